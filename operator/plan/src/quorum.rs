//! Quorum arithmetic: the table that the product's promise rests on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most members a cluster may have: every write goes to all of them.
pub const MEMBERS_MAX: u8 = 9;

/// A number of members that makes sense: odd, 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct ClusterSize(u8);

/// Why a number of members was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeRefused {
    /// Fewer than one.
    TooFew,
    /// More than [`MEMBERS_MAX`].
    TooMany,
    /// Even: survives no more losses than one member less.
    Even(u8),
}

impl fmt::Display for SizeRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew => write!(formatter, "must be at least 1: use 1, 3, 5, 7 or 9"),
            Self::TooMany => write!(
                formatter,
                "must be at most {MEMBERS_MAX}: every write goes to every member; use 9, or more clusters"
            ),
            Self::Even(members) => write!(
                formatter,
                "must be odd: {members} members survive the loss of {}, exactly like {}; use {} or {}",
                losses(*members),
                members - 1,
                members - 1,
                members + 1
            ),
        }
    }
}

impl std::error::Error for SizeRefused {}

impl TryFrom<i32> for ClusterSize {
    type Error = SizeRefused;

    fn try_from(members: i32) -> Result<Self, SizeRefused> {
        if members < 1 {
            return Err(SizeRefused::TooFew);
        }
        match u8::try_from(members) {
            Ok(members) if members <= MEMBERS_MAX => {
                if members % 2 == 0 {
                    Err(SizeRefused::Even(members))
                } else {
                    Ok(Self(members))
                }
            }
            _ => Err(SizeRefused::TooMany),
        }
    }
}

impl From<ClusterSize> for i32 {
    fn from(size: ClusterSize) -> Self {
        Self::from(size.0)
    }
}

impl ClusterSize {
    /// How many members.
    #[must_use]
    pub fn members(self) -> usize {
        usize::from(self.0)
    }

    /// How many members must agree: floor(n/2)+1.
    #[must_use]
    pub fn quorum(self) -> usize {
        quorum(self.members())
    }

    /// How many members may be lost with the rest going on.
    #[must_use]
    pub fn losses(self) -> usize {
        self.members() - self.quorum()
    }

    /// The member IDs of a new cluster: 1..n.
    pub fn first_ids(self) -> impl Iterator<Item = crate::MemberId> {
        (1..=u64::from(self.0)).map(crate::MemberId)
    }
}

/// How many of `voters` must agree.
#[must_use]
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

fn losses(members: u8) -> u8 {
    members - (members / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_sizes_one_to_nine() {
        // members, quorum, losses survived
        let table = [(1, 1, 0), (3, 2, 1), (5, 3, 2), (7, 4, 3), (9, 5, 4)];
        for (members, quorum, losses) in table {
            let size = ClusterSize::try_from(members).unwrap();
            assert_eq!(size.quorum(), quorum, "quorum of {members}");
            assert_eq!(size.losses(), losses, "losses of {members}");
            assert_eq!(size.losses(), (size.members() - 1) / 2);
        }
    }

    #[test]
    fn refusals_say_what_to_use_instead() {
        let message = |members: i32| ClusterSize::try_from(members).unwrap_err().to_string();
        assert_eq!(
            message(4),
            "must be odd: 4 members survive the loss of 1, exactly like 3; use 3 or 5"
        );
        assert_eq!(
            message(2),
            "must be odd: 2 members survive the loss of 0, exactly like 1; use 1 or 3"
        );
        assert!(message(0).starts_with("must be at least 1"));
        assert!(message(-3).starts_with("must be at least 1"));
        assert!(message(11).starts_with("must be at most 9"));
        assert!(message(300).starts_with("must be at most 9"));
    }
}
