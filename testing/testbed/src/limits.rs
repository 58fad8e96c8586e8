//! Every bound of the testbed: how long a step may take and how large a testbed may be.

use std::time::Duration;

/// The API server must answer /readyz within this time after its start.
pub const API_READY: Duration = Duration::from_secs(90);
/// All nodes must be Ready and untainted within this time after the API server is.
pub const NODES_READY: Duration = Duration::from_secs(120);
/// Processes that got SIGKILL must be gone within this time.
pub const KILL: Duration = Duration::from_secs(20);
/// A control group must have frozen or thawed within this time.
pub const FREEZE: Duration = Duration::from_secs(10);
/// containerd of a node must answer within this time.
pub const CONTAINERD_READY: Duration = Duration::from_secs(30);
/// The pause between two looks at something that is awaited.
pub const POLL: Duration = Duration::from_millis(50);
/// A TCP dial through the forwarder gives up after this time.
pub const DIAL: Duration = Duration::from_secs(5);
/// A look whether a node answers gives up after this time; nodes are microseconds apart.
pub const PROBE: Duration = Duration::from_secs(1);
/// How often a long build says how far it is when the output is not a terminal.
pub const PROGRESS: Duration = Duration::from_secs(15);
/// Lines of each log that a dump shows.
pub const DUMP_LINES: usize = 60;

/// Testbeds that can run side by side on one machine (one address block each).
pub const MAX_BLOCKS: u8 = 16;
/// Nodes in one zone.
pub const MAX_NODES_PER_ZONE: u8 = 9;
/// Characters in the name of a testbed.
pub const MAX_NAME: usize = 20;

/// Seconds without a sign of life after which a node counts as not ready. The control plane's own default is 50;
/// below about 15 a busy two-core machine loses healthy nodes.
pub const DEFAULT_GRACE_SECONDS: u32 = 16;
