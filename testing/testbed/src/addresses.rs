//! The address plan of a testbed: pure arithmetic over its block number and its nodes.
//!
//! Block `b` holds four /16: `10.(64+4b)` links, `10.(65+4b)` pods, `10.(66+4b)` services, one spare. Nothing of it is
//! visible outside the testbed's namespaces; on the machine itself only `127.77.b.1:6443` listens.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, ensure};

use crate::limits::{MAX_BLOCKS, MAX_NAME, MAX_NODES_PER_ZONE};

/// The three zones; the first letter of a node's name says which one it is in.
pub const ZONES: [char; 3] = ['a', 'b', 'c'];

/// The value of `topology.kubernetes.io/zone` of the zone with this letter.
#[must_use]
pub fn zone_label(zone: char) -> String {
    format!("zone-{zone}")
}

/// Reads a zone as people write it, `a` or `zone-a`.
///
/// # Errors
/// Says which zones there are if it is none of them.
pub fn parse_zone(text: &str) -> Result<char> {
    let letter = text.strip_prefix("zone-").unwrap_or(text);
    let found = ZONES.into_iter().find(|zone| letter == zone.to_string());
    found.ok_or_else(|| {
        anyhow::anyhow!("there is no zone {text:?}; the zones are zone-a, zone-b and zone-c")
    })
}

/// Node names in the order in which they are numbered: a1 b1 c1 a2 b2 c2 …
///
/// # Errors
/// If the number is outside 1 to 9.
pub fn node_names(nodes_per_zone: u8) -> Result<Vec<String>> {
    ensure!(
        (1..=MAX_NODES_PER_ZONE).contains(&nodes_per_zone),
        "nodes per zone must be 1 to {MAX_NODES_PER_ZONE}, not {nodes_per_zone}"
    );
    Ok((1..=nodes_per_zone)
        .flat_map(|number| ZONES.into_iter().map(move |zone| format!("{zone}{number}")))
        .collect())
}

/// Checks the name of a testbed, which becomes part of namespace and cgroup names.
///
/// # Errors
/// If it is empty, too long, or has other characters than a-z, 0-9 and `-`.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(
        !name.is_empty()
            && name.len() <= MAX_NAME
            && name.chars().all(plain)
            && !name.starts_with('-'),
        "a testbed's name is 1 to {MAX_NAME} characters of a-z, 0-9 and '-', not {name:?}"
    );
    Ok(())
}

/// All addresses of one testbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    block: u8,
}

impl Addresses {
    /// The plan of block `block`.
    ///
    /// # Errors
    /// If there is no such block.
    pub fn new(block: u8) -> Result<Self> {
        ensure!(
            block < MAX_BLOCKS,
            "address block {block} does not exist; {MAX_BLOCKS} testbeds can run side by side"
        );
        Ok(Self { block })
    }

    /// The router's end of link `index` (0 is the control plane, nodes count from 1).
    #[must_use]
    pub fn router(self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 64 + 4 * self.block, index, 1)
    }

    /// The far end of link `index`: the address of the control plane or of a node.
    #[must_use]
    pub fn host(self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 64 + 4 * self.block, index, 2)
    }

    /// The control plane's address.
    #[must_use]
    pub fn control_plane(self) -> Ipv4Addr {
        self.host(0)
    }

    /// The pods of node `index`, as a prefix.
    #[must_use]
    pub fn pods_of(self, index: u8) -> String {
        format!("10.{}.{index}.0/24", 65 + 4 * self.block)
    }

    /// All pods, as a prefix.
    #[must_use]
    pub fn pods(self) -> String {
        format!("10.{}.0.0/16", 65 + 4 * self.block)
    }

    /// All services, as a prefix.
    #[must_use]
    pub fn services(self) -> String {
        format!("10.{}.0.0/16", 66 + 4 * self.block)
    }

    /// The ClusterIP of the `kubernetes` service.
    #[must_use]
    pub fn first_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 66 + 4 * self.block, 0, 1)
    }

    /// Where the machine's own processes reach the API server.
    #[must_use]
    pub fn api_on_machine(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 77, self.block, 1), 6443)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap() {
        let mut seen = std::collections::BTreeSet::new();
        for block in 0..MAX_BLOCKS {
            let plan = Addresses::new(block).unwrap();
            for prefix in [
                plan.pods(),
                plan.services(),
                format!("{}/16", plan.router(0)),
            ] {
                let second: u8 = prefix.split('.').nth(1).unwrap().parse().unwrap();
                assert!((64..128).contains(&second));
                assert!(seen.insert(second), "10.{second} is used twice");
            }
            assert!(seen.insert(128 + block) && plan.api_on_machine().ip().octets()[2] == block);
        }
        assert!(Addresses::new(MAX_BLOCKS).is_err());
    }

    #[test]
    fn names_go_round_the_zones() {
        assert_eq!(node_names(2).unwrap(), ["a1", "b1", "c1", "a2", "b2", "c2"]);
        assert!(node_names(0).is_err());
        assert!(node_names(10).is_err());
    }

    #[test]
    fn zones_are_read_both_ways() {
        assert_eq!(parse_zone("b").unwrap(), 'b');
        assert_eq!(parse_zone("zone-c").unwrap(), 'c');
        assert!(
            parse_zone("zone-d")
                .unwrap_err()
                .to_string()
                .contains("zone-a, zone-b and zone-c")
        );
    }

    #[test]
    fn odd_names_are_refused() {
        for bad in ["", "A", "a/b", "-x", "a-name-that-is-far-too-long"] {
            assert!(check_name(bad).is_err(), "{bad:?} was accepted");
        }
        check_name("dev-2").unwrap();
    }
}
