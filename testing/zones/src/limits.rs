//! How long each thing may take before a test fails: generous, as a machine under test is a busy one.

use std::time::Duration;

/// From apply to Ready.
pub const READY: Duration = Duration::from_secs(90);
/// The goal for three members, printed beside what was measured.
pub const READY_GOAL: Duration = Duration::from_secs(6);
/// From a cause to its condition.
pub const CONDITION: Duration = Duration::from_secs(60);
/// From a fault to the next acknowledged write.
pub const FAILOVER: Duration = Duration::from_secs(30);
/// From the end of a fault to a whole cluster.
pub const HEALED: Duration = Duration::from_secs(180);
/// The operator's installation.
pub const INSTALL: Duration = Duration::from_secs(120);
/// An operator that dies at a failpoint.
pub const DEATH: Duration = Duration::from_secs(60);
/// One request of a client.
pub const REQUEST: Duration = Duration::from_secs(2);
/// Between two looks at something that is waited for.
pub const POLL: Duration = Duration::from_millis(100);
/// An API server on our members, from its start to its first answer.
pub const API_READY: Duration = Duration::from_secs(120);
/// Writers of a load.
pub const WRITERS: usize = 4;
/// One attempt of a writer at one member.
pub const ATTEMPT: Duration = Duration::from_millis(400);
/// Between two writes of a writer.
pub const WRITE_PAUSE: Duration = Duration::from_millis(20);
/// Between two looks for members that came or went.
pub const ENDPOINTS_REFRESH: Duration = Duration::from_millis(500);
/// An operation of the operator, from the change of the spec to Ready.
pub const OPERATED: Duration = Duration::from_secs(180);
