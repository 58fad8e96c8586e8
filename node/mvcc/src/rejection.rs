//! Why the state machine refuses a command. Decided by the state alone, so that
//! every member refuses the same commands.

/// A refusal; the number is its code in the log's replies and is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Rejection {
    /// A put that keeps the value or lease of a key that is not there; an empty operation.
    #[error("key not found")]
    KeyNotFound = 1,
    /// A revision below the compacted one.
    #[error("required revision has been compacted")]
    Compacted = 2,
    /// A revision above the current one.
    #[error("required revision is a future revision")]
    FutureRevision = 3,
    /// No such lease.
    #[error("requested lease not found")]
    LeaseNotFound = 4,
    /// A lease with that ID is there.
    #[error("lease already exists")]
    LeaseExists = 5,
    /// A lease longer than allowed.
    #[error("too large lease TTL")]
    LeaseTtlTooLarge = 6,
    /// The command is one that this version does not know.
    #[error("unknown command")]
    Unknown = 7,
    /// A downgrade is announced while another one is.
    #[error("a downgrade job is in progress")]
    DowngradeInProgress = 8,
}

impl Rejection {
    /// The code for the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The inverse of [`Rejection::code`]; codes of a newer version become [`Rejection::Unknown`].
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        [
            Self::KeyNotFound,
            Self::Compacted,
            Self::FutureRevision,
            Self::LeaseNotFound,
            Self::LeaseExists,
            Self::LeaseTtlTooLarge,
            Self::DowngradeInProgress,
        ]
        .into_iter()
        .find(|r| r.code() == code)
        .unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for code in 1..=8 {
            assert_eq!(Rejection::from_code(code).code(), code);
        }
        assert_eq!(Rejection::from_code(99), Rejection::Unknown);
    }
}
