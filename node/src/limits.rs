//! Every bound of the server, in one place.

use std::time::Duration;

/// etcd's default cap of one request, in bytes (`--max-request-bytes`).
pub const REQUEST_BYTES_DEFAULT: usize = 1536 * 1024;
/// What gRPC may receive beyond the request cap, in bytes (etcd's number).
pub const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;
/// etcd's default cap of operations in one transaction (`--max-txn-ops`).
pub const TXN_OPS_DEFAULT: usize = 128;
/// Streams that one client connection may have open (etcd: no limit).
pub const CLIENT_STREAMS_MAX: u32 = 1 << 20;
/// Default space quota in bytes (`--quota-backend-bytes` 0 means this, as with etcd).
pub const QUOTA_BYTES_DEFAULT: i64 = 2 << 30;

/// Bytes of proposals that may wait for their commit; more are refused with "too many requests".
pub const PROPOSAL_BYTES_MAX: usize = 64 << 20;
/// Proposals that may wait for their commit.
pub const PROPOSALS_MAX: usize = 5000;
/// A request that needs the leader is answered within this and two election timeouts.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before asking again while there is no leader.
pub const NO_LEADER_PAUSE: Duration = Duration::from_millis(10);
/// How long a proposal waits for its outcome after its leader was replaced: the new
/// one commits what it has of the old one's log within a few round trips.
pub const LEADER_LOST_GRACE: Duration = Duration::from_millis(200);

/// When a leader's process is gone, the voters stand for election this long after each other.
pub const SUCCESSION_STEP: Duration = Duration::from_millis(40);
/// How often one of them tries before it leaves it to the election timeout.
pub const SUCCESSION_TRIES: usize = 5;

/// Appends under way to one peer at a time: more would only make batches smaller.
pub const APPEND_WINDOW: usize = 4;
/// Bytes of entries in one append.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Entries in one append.
pub const APPEND_ENTRIES_MAX: u64 = 4096;
/// An append not answered within this ends its connection.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a peer that could not be reached is tried again: the first one …
pub const PEER_PAUSE_MIN: Duration = Duration::from_millis(10);
/// … which doubles up to this one.
pub const PEER_PAUSE_MAX: Duration = Duration::from_millis(200);
/// A connection whose peer owes an answer for this long is given up at the next request.
pub const SILENT_MAX: Duration = Duration::from_secs(1);
/// A peer is tried at its last address for so long before its name is looked up as well.
pub const KNOWN_ADDRESS_LEAD: Duration = Duration::from_millis(100);
/// Addresses of peers that are remembered.
pub const ADDRESSES_KEPT: usize = 64;
/// How often every other member is asked for a sign of life, so that a connection is open
/// and works when it is needed …
pub const PING_INTERVAL: Duration = Duration::from_secs(1);
/// … and how long that may take, with the dial.
pub const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Dialling a peer and its hello.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One snapshot chunk, sent and taken in.
pub const SNAPSHOT_CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// Loading a received snapshot before it is answered.
pub const SNAPSHOT_INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of records in one snapshot chunk.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// Snapshot chunks made ahead of the wire.
pub const SNAPSHOT_CHUNKS_AHEAD: usize = 4;
/// A peer frame longer than this is garbage.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes gathered before they are sent to a peer, and read from it at once.
pub const LINK_BUFFER_BYTES: usize = 64 << 10;
/// Calls of one peer handled at a time.
pub const PEER_CALLS_MAX: usize = 4096;
/// Calls, or answers to them, that are sent in one piece.
pub const PEER_CALLS_GATHERED: usize = 256;

/// Entries applied under one lock at most.
pub const APPLY_BATCH: usize = 512;
/// Unflushed bytes of the state machine at which a durable point is made …
pub const FLUSH_BYTES: usize = 32 << 20;
/// … or after this time with anything unflushed …
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// … and at which applying waits for it.
pub const UNFLUSHED_BYTES_MAX: usize = 256 << 20;
/// How often the upkeep of log and store looks around.
pub const UPKEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Log bytes beyond which the log is purged even if a follower still needs them.
pub const LOG_BYTES_MAX: u64 = 512 << 20;
/// Entries kept behind a purge for followers that lag a little.
pub const LOG_KEEP_ENTRIES: u64 = 5000;

/// Kinds of calls counted by themselves; there are about 80 known ones.
pub const CALL_KINDS_MAX: usize = 200;
/// Responses that wait for one watch client.
pub const WATCH_RESPONSES_AHEAD: usize = 16;
/// Bytes of one piece of a snapshot for clients (etcd's number).
pub const SNAPSHOT_BLOB_BYTES: usize = 32 << 10;
/// Pieces of a snapshot read ahead of the wire.
pub const SNAPSHOT_BLOBS_AHEAD: usize = 16;
/// Keys in the first message of a streamed range; it then grows and shrinks towards
/// the request size.
pub const RANGE_STREAM_FIRST: i64 = 10;
/// Messages of a streamed range made ahead of the wire.
pub const RANGE_STREAM_AHEAD: usize = 2;
/// Watchers on one stream.
pub const WATCHERS_PER_STREAM_MAX: usize = 100_000;
/// Passwords that may wait to be hashed; more are refused with "too many requests".
pub const PASSWORDS_WAITING_MAX: usize = 1000;
/// How often simple tokens that were not shown for long are forgotten.
pub const TOKEN_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a signed token is good (etcd's number).
pub const JWT_TTL_DEFAULT: Duration = Duration::from_secs(300);
/// How often those who watch a member's health are told of a change.
pub const HEALTH_INTERVAL: Duration = Duration::from_millis(200);
/// TTL in seconds of the lease that a lock or a candidacy without one gets (etcd's number).
pub const SESSION_TTL: i64 = 60;

/// Lease renewals that may wait; more wait for a place.
pub const RENEWALS_MAX: usize = 16 * 1024;
/// Lease renewals in one log entry.
pub const RENEWALS_PER_ENTRY: usize = 4096;
/// Longest wait for connections to end on the way out.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often certificates are looked at for a change.
pub const TLS_FILES_INTERVAL: Duration = Duration::from_secs(1);
/// How long a new connection may take to say what it speaks.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Lag behind the leader's commit, in entries, up to which a member is ready.
pub const READY_LAG_ENTRIES: u64 = 5000;

/// A member's hash of its whole key space is waited for this long.
pub const HASH_TIMEOUT: Duration = Duration::from_secs(300);
/// Percent of the leader's log that a learner must have to be promoted (etcd's number).
pub const PROMOTE_PERCENT: u64 = 90;
/// Entries that a member may lag when it gets its vote by itself: they are on their way.
pub const PROMOTE_LAG_ENTRIES: u64 = 1000;
/// Entries that a learner may lag when the operator has it made a voter.
pub const JOIN_LAG_ENTRIES: u64 = 1000;
/// Bytes of a key under which a member ID is asked for.
pub const ALLOCATION_KEY_MAX: usize = 128;
/// How often the leader looks after the membership.
pub const MEMBERSHIP_INTERVAL: Duration = Duration::from_millis(100);
/// How long a newcomer asks the members of its cluster who it is.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it asks again where they refuse it or do not say the same: one may be behind.
pub const LOOKUP_DISAGREEMENT: Duration = Duration::from_secs(2);
