//! What Raft's rules, with pre-vote and a leader that asks its quorum, say about three zones
//! whose links are cut. Pure: the tests compare it with what they see.
//!
//! A leader stays as long as it reaches a majority by itself: those it reaches refuse everybody
//! else's pre-vote. Where it does not, the others elect if they are a majority and reach each
//! other. A member serves if it leads or reaches who leads; members do not pass requests on for
//! each other, so a zone without a link to the leader's zone does not serve, but its clients
//! may go to one that does.

use std::fmt;

/// A zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Three members.
    A,
    /// Two members.
    B,
    /// Two members.
    C,
}

impl Zone {
    /// All three.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Its letter.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
            Self::C => 'c',
        }
    }

    /// How many members it has.
    #[must_use]
    pub fn members(self) -> usize {
        match self {
            Self::A => 3,
            Self::B | Self::C => 2,
        }
    }
}

/// Majority of the seven.
const QUORUM: usize = 4;

/// Which links are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// Between a and b.
    pub ab: bool,
    /// Between b and c.
    pub bc: bool,
    /// Between a and c.
    pub ac: bool,
}

impl Cuts {
    /// All eight combinations.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let bit = |n: u8, i: u8| n & (1 << i) != 0;
        let one = |n| Self {
            ab: bit(n, 0),
            bc: bit(n, 1),
            ac: bit(n, 2),
        };
        (0..8).map(one).collect()
    }

    /// The pairs of zones that are cut.
    #[must_use]
    pub fn pairs(self) -> Vec<(Zone, Zone)> {
        let all = [
            (self.ab, (Zone::A, Zone::B)),
            (self.bc, (Zone::B, Zone::C)),
            (self.ac, (Zone::A, Zone::C)),
        ];
        all.into_iter()
            .filter(|(cut, _)| *cut)
            .map(|p| p.1)
            .collect()
    }

    /// Whether two zones reach each other.
    #[must_use]
    pub fn linked(self, one: Zone, two: Zone) -> bool {
        let pair = if one < two { (one, two) } else { (two, one) };
        !self.pairs().contains(&pair)
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .pairs()
            .iter()
            .map(|(one, two)| format!("{}–{}", one.letter(), two.letter()))
            .collect();
        f.write_str(&if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(", ")
        })
    }
}

/// Who leads while the links are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// The same as before, in the same term.
    Stays,
    /// Another one, in one of these zones.
    In(Vec<Zone>),
    /// Nobody.
    Nobody,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Who leads.
    pub leader: Leader,
    /// Zones whose members serve writes.
    pub serving: Vec<Zone>,
    /// Zones whose clients can write, through whatever member they reach.
    pub writing: Vec<Zone>,
    /// Whether healing leaves the term as it was.
    pub heal_is_quiet: bool,
}

/// What Raft's rules say, with the leader in `at`.
#[must_use]
pub fn predict(cuts: Cuts, at: Zone) -> Expectation {
    let near = |zone: Zone| -> Vec<Zone> {
        let reached = Zone::ALL.into_iter();
        reached.filter(|z| cuts.linked(*z, zone)).collect()
    };
    let votes = |zones: &[Zone]| zones.iter().map(|z| z.members()).sum::<usize>();
    let (leader, serving) = if votes(&near(at)) >= QUORUM {
        (Leader::Stays, near(at))
    } else {
        // At whatever zone of these the next leader is, it must reach a majority from there.
        let able = Zone::ALL.into_iter().filter(|z| votes(&near(*z)) >= QUORUM);
        let able: Vec<Zone> = able.collect();
        if able.is_empty() {
            (Leader::Nobody, Vec::new())
        } else {
            (Leader::In(able.clone()), able)
        }
    };
    let writes = |z: &Zone| serving.iter().any(|s| cuts.linked(*s, *z));
    Expectation {
        writing: Zone::ALL.into_iter().filter(writes).collect(),
        // A leader that is there stays when links come back; without one, one is elected.
        heal_is_quiet: leader != Leader::Nobody,
        leader,
        serving,
    }
}

/// Zones as a table shows them.
#[must_use]
pub fn letters(zones: &[Zone]) -> String {
    let letters: Vec<String> = zones.iter().map(|z| z.letter().to_string()).collect();
    if letters.is_empty() {
        "none".to_owned()
    } else {
        letters.join(" ")
    }
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stays => f.write_str("the same"),
            Self::In(zones) => write!(f, "a new one in {}", letters(zones).replace(' ', " or ")),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations() {
        let mut lines = String::new();
        for at in Zone::ALL {
            for cuts in Cuts::all() {
                let e = predict(cuts, at);
                lines.push_str(&format!(
                    "leader in {}, cut {cuts}: {}; serving {}; writing {}{}\n",
                    at.letter(),
                    e.leader,
                    letters(&e.serving),
                    letters(&e.writing),
                    if e.heal_is_quiet {
                        ""
                    } else {
                        "; the heal elects"
                    }
                ));
            }
        }
        insta::assert_snapshot!(lines);
    }
}
