//! Every bound of the operator: timeouts, sizes, retries.

use std::time::Duration;

/// How long one member may take to answer.
pub const MEMBER_DEADLINE: Duration = Duration::from_secs(2);

/// How many connections to members are kept from one look to the next.
pub const CONNECTIONS_MAX: usize = 128;
/// A kept connection that was not used for this long gives room to another.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(60);
/// A connection that is this old is opened anew.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);

/// How long `Initialize` may take: one member writes to its disk.
pub const INITIALIZE_DEADLINE: Duration = Duration::from_secs(10);

/// How long the read through quorum of a newborn cluster may take: an election comes first.
pub const CONFIRM_DEADLINE: Duration = Duration::from_secs(5);

/// How long a change of members, or a hand-over of leadership, may take.
pub const CHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// How long one look at one cluster may take, so that a stuck one never holds a place for ever.
pub const RECONCILE_DEADLINE: Duration = Duration::from_secs(60);

/// How many clusters are looked at side by side.
pub const RECONCILES_AT_ONCE: u16 = 32;

/// Events that come in a burst are answered by one look.
pub const DEBOUNCE: Duration = Duration::from_millis(20);

/// Something is expected that sends no event: looks come at this pace, slower each time.
pub const SOON_FIRST: Duration = Duration::from_millis(100);
/// The slowest of that pace.
pub const SOON_SLOWEST: Duration = Duration::from_secs(1);

/// Something is not as it should be: looks come at this pace, slower each time.
pub const WATCHFUL_FIRST: Duration = Duration::from_secs(1);
/// The slowest of that pace.
pub const WATCHFUL_SLOWEST: Duration = Duration::from_secs(10);

/// All is well: watch events can be lost, and a change of leader sends none.
pub const CALM: Duration = Duration::from_secs(10);

/// A look failed: the next comes after this, slower each time.
pub const FAILURE_FIRST: Duration = Duration::from_millis(200);
/// The slowest of that pace.
pub const FAILURE_SLOWEST: Duration = Duration::from_secs(60);

/// A spec that cannot work: only a change of it helps.
pub const INVALID_PAUSE: Duration = Duration::from_secs(300);
/// An object that cannot be read is said again after this: as often as Kubernetes forgets events, since each
/// time is a write.
pub const UNREADABLE_PAUSE: Duration = Duration::from_secs(3600);

/// The Lease: for how long a leader counts after it was last seen to renew.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long gives up by itself.
pub const LEASE_RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries.
pub const LEASE_RETRY: Duration = Duration::from_secs(2);
/// Objects of one page when a watch starts: while it is read, a page takes many times what is kept of it.
pub const PAGE_SIZE: u32 = 100;

/// A watch is asked for anew after so many seconds: kube's 290 let a machine of the control plane that went
/// without a word leave us blind for minutes.
pub const WATCH_SECONDS: u32 = 20;
/// An answer of the API server that does not go on for this long never will: more than a watch takes.
pub const SILENCE_MAX: Duration = Duration::from_secs(25);

/// A watch that failed is started again after this, slower each time.
pub const WATCH_RETRY_FIRST: Duration = Duration::from_millis(200);
/// The slowest of that pace.
pub const WATCH_RETRY_SLOWEST: Duration = Duration::from_secs(5);
/// A watch that went well for this long starts at the first pace again.
pub const WATCH_RETRY_RESET: Duration = Duration::from_secs(20);

/// The definition is not installed: asked again after this.
pub const DEFINITION_RETRY: Duration = Duration::from_secs(2);

/// Kubernetes cuts or drops longer notes.
pub const EVENT_NOTE_BYTES_MAX: usize = 1024;

/// The longest message of a condition.
pub const CONDITION_MESSAGE_BYTES_MAX: usize = 4096;

/// How long a member may take to leave when its pod is deleted; it hands leadership over first.
pub const TERMINATION_GRACE_SECONDS: i64 = 30;

/// What is read of an answer of an operator's HTTP server: a dump of nine members takes a hundredth of it.
pub const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// `check`: one try.
pub const CHECK_REQUEST: Duration = Duration::from_secs(5);
/// Between two tries.
pub const CHECK_RETRY: Duration = Duration::from_millis(500);
/// All tries.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(60);

/// How long a CA lasts.
pub const CA_SECONDS: i64 = 10 * 365 * 24 * 3600;
/// With less than this left, a CA is replaced.
pub const CA_RENEW_SECONDS: i64 = 365 * 24 * 3600;
/// How long a certificate lasts.
pub const LEAF_SECONDS: i64 = 90 * 24 * 3600;
/// With less than this left, it is renewed.
pub const LEAF_RENEW_SECONDS: i64 = 30 * 24 * 3600;
/// Clocks may differ by this much: certificates begin that much earlier.
pub const CLOCK_SKEW_SECONDS: i64 = 3600;
/// Secrets are read again after this: somebody may have changed them.
pub const CERTIFICATES_REREAD: Duration = Duration::from_secs(300);

/// Retired volumes that the status names.
pub const RETIRED_SHOWN_MAX: usize = 64;
