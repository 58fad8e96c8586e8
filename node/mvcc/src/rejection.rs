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
    /// The highest ID there can be is taken.
    #[error("no member ID is left")]
    NoMemberId = 9,
    /// Authentication needs a user named root …
    #[error("root user does not exist")]
    RootUserMissing = 40,
    /// … with a role named root.
    #[error("root user does not have root role")]
    RootRoleMissing = 41,
    /// A user of that name is there.
    #[error("user name already exists")]
    UserExists = 42,
    /// No name; a request without a user.
    #[error("user name is empty")]
    UserNameEmpty = 43,
    /// No user of that name.
    #[error("user name not found")]
    UserNotFound = 44,
    /// A role of that name is there.
    #[error("role name already exists")]
    RoleExists = 45,
    /// No role of that name.
    #[error("role name not found")]
    RoleNotFound = 46,
    /// A role without a name.
    #[error("role name is empty")]
    RoleNameEmpty = 47,
    /// The user may not do that.
    #[error("permission denied")]
    PermissionDenied = 48,
    /// The user does not have that role.
    #[error("role is not granted to the user")]
    RoleNotGranted = 49,
    /// The role does not have that permission.
    #[error("permission is not granted to the role")]
    PermissionNotGranted = 50,
    /// Nobody needs a token.
    #[error("authentication is not enabled")]
    AuthNotEnabled = 51,
    /// Permissions changed since the user was known.
    #[error("revision of auth store is old")]
    AuthOldRevision = 52,
    /// A change that would lock everybody out, or a permission on no range.
    #[error("invalid auth management")]
    InvalidAuthManagement = 53,
    /// A grant of nothing.
    #[error("permission not given")]
    PermissionNotGiven = 54,
    /// Wrong name or password.
    #[error("authentication failed, invalid user ID or password")]
    AuthFailed = 55,
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
            Self::NoMemberId,
            Self::RootUserMissing,
            Self::RootRoleMissing,
            Self::UserExists,
            Self::UserNameEmpty,
            Self::UserNotFound,
            Self::RoleExists,
            Self::RoleNotFound,
            Self::RoleNameEmpty,
            Self::PermissionDenied,
            Self::RoleNotGranted,
            Self::PermissionNotGranted,
            Self::AuthNotEnabled,
            Self::AuthOldRevision,
            Self::InvalidAuthManagement,
            Self::PermissionNotGiven,
            Self::AuthFailed,
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
        for code in (1..=9).chain(40..=55) {
            assert_eq!(Rejection::from_code(code).code(), code);
        }
        assert_eq!(Rejection::from_code(99), Rejection::Unknown);
    }
}
