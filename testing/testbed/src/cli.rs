//! Commands that make and end faults, shared by `kvorum-testbed` and `cargo xtask`.

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::Testbed;
use crate::addresses::parse_zone;
use crate::nft::Cut;

/// Faults by hand.
#[derive(Clone, Debug, Subcommand)]
pub enum FaultCommand {
    /// Cut and heal the links between zones
    #[command(subcommand)]
    Net(NetCommand),
    /// Power of single nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Power of the control plane (etcd, API server, controller manager, scheduler)
    #[command(subcommand)]
    ControlPlane(ControlPlaneCommand),
}

/// Faults of the network.
#[derive(Clone, Debug, Subcommand)]
pub enum NetCommand {
    /// Two zones no longer reach each other; both still reach everything else
    Cut {
        /// One zone, as `a` or `zone-a`
        zone: String,
        /// The other
        other: String,
        /// Lose only what goes from the first to the second
        #[arg(long)]
        one_way: bool,
    },
    /// A zone or a node reaches nothing outside itself
    Isolate {
        /// A zone (`a`, `zone-a`) or a node (`a1`)
        what: String,
        /// Leave a zone its way to the control plane
        #[arg(long)]
        keep_control_plane: bool,
    },
    /// End all cuts, or only the one between two zones
    Heal {
        /// Nothing, or two zones
        #[arg(num_args = 0..=2)]
        zones: Vec<String>,
    },
    /// Say what is cut
    Show,
}

/// Power of nodes.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Cut the power: all processes die at once, the disk stays
    Kill {
        /// The node, as `a1`
        node: String,
    },
    /// Power a node on
    Start {
        /// The node, as `a1`
        node: String,
    },
    /// Stop all processes of a node where they stand
    Freeze {
        /// The node, as `a1`
        node: String,
    },
    /// Let a frozen node go on
    Thaw {
        /// The node, as `a1`
        node: String,
    },
}

/// Power of the control plane.
#[derive(Clone, Debug, Subcommand)]
pub enum ControlPlaneCommand {
    /// Kill it; pods, DNS and the clusters go on
    Kill,
    /// Start it again on its data
    Start,
}

impl FaultCommand {
    /// Does it to a testbed and gives a sentence about what is so now.
    ///
    /// # Errors
    /// If a name is wrong or the fault cannot be made.
    pub fn run(&self, testbed: &Testbed) -> Result<String> {
        match self {
            Self::Net(command) => command.run(testbed),
            Self::Node(command) => command.run(testbed),
            Self::ControlPlane(ControlPlaneCommand::Kill) => {
                testbed.control_plane_kill()?;
                Ok("the control plane is off; pods go on".to_owned())
            }
            Self::ControlPlane(ControlPlaneCommand::Start) => {
                testbed.control_plane_start()?;
                Ok("the control plane is on and ready".to_owned())
            }
        }
    }
}

impl NetCommand {
    fn run(&self, testbed: &Testbed) -> Result<String> {
        match self {
            Self::Cut {
                zone,
                other,
                one_way,
            } => {
                let (zone, other) = (parse_zone(zone)?, parse_zone(other)?);
                if zone == other {
                    bail!(
                        "a zone cannot be cut from itself; `net isolate` cuts it from everything else"
                    );
                }
                testbed.cut(if *one_way {
                    Cut::OneWay(zone, other)
                } else {
                    Cut::Zones(zone, other)
                })?;
            }
            Self::Isolate {
                what,
                keep_control_plane,
            } => testbed.cut(isolation(testbed, what, *keep_control_plane)?)?,
            Self::Heal { zones } => match zones.as_slice() {
                [] => testbed.heal_all()?,
                [zone, other] => testbed.heal(Cut::Zones(parse_zone(zone)?, parse_zone(other)?))?,
                _ => bail!("name two zones, or none to end all cuts"),
            },
            Self::Show => {}
        }
        let cuts: Vec<String> = testbed.cuts()?.iter().map(describe).collect();
        Ok(if cuts.is_empty() {
            "nothing is cut".to_owned()
        } else {
            cuts.join("\n")
        })
    }
}

fn isolation(testbed: &Testbed, what: &str, keep_control_plane: bool) -> Result<Cut> {
    if testbed.nodes().iter().any(|node| node.name == what) {
        if keep_control_plane {
            bail!("--keep-control-plane is for zones; a node is isolated from everything");
        }
        return Ok(Cut::Node(what.to_owned()));
    }
    let zone = parse_zone(what)?;
    Ok(if keep_control_plane {
        Cut::ZoneFromZones(zone)
    } else {
        Cut::Zone(zone)
    })
}

fn describe(cut: &Cut) -> String {
    match cut {
        Cut::Zones(one, two) => format!("zone-{one} and zone-{two} do not reach each other"),
        Cut::OneWay(from, to) => format!("what zone-{from} sends to zone-{to} is lost"),
        Cut::Zone(zone) => format!("zone-{zone} reaches nothing outside itself"),
        Cut::ZoneFromZones(zone) => {
            format!("zone-{zone} reaches no other zone, only the control plane")
        }
        Cut::Node(node) => format!("node {node} reaches nothing"),
    }
}

impl NodeCommand {
    fn run(&self, testbed: &Testbed) -> Result<String> {
        let node = match self {
            Self::Kill { node } => {
                testbed.node_kill(node)?;
                node
            }
            Self::Start { node } => {
                testbed.node_start(node)?;
                node
            }
            Self::Freeze { node } => {
                testbed.node_freeze(node)?;
                node
            }
            Self::Thaw { node } => {
                testbed.node_thaw(node)?;
                node
            }
        };
        Ok(format!("node {node} is {}", testbed.node_power(node)?))
    }
}
