//! `kvorum-operator explain`: what would be created for a file, and which failures it would survive; for a
//! KvCluster that was read back with its status, what is under way and which gate is closed; for a dump, and
//! for what a running operator sees, what comes next. Acts on nothing: the rules, the planner and the builders
//! are the ones that `run` uses.
//!
//! Exit codes: 0 it would work, or does; 1 the rules refuse it; 2 the file, or the operator, cannot be
//! read; 3 the rules take it, and these zones cannot satisfy it, or it is stalled.

mod dump;
mod fetch;
mod live;

pub use dump::Dump;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::ExitCode;

use k8s_openapi::jiff::Timestamp;
use kvorum_api::{KvCluster, rules};
use kvorum_plan::observed::{Observed, Reservation, StatusLatch, StorageClass, UnixSeconds, World};
use kvorum_plan::tolerance::{Tolerance, Voter};
use kvorum_plan::{ClusterId, Plan, Zone, placement};

use crate::build;
use crate::cli::ExplainArgs;
use crate::names::Names;
use crate::validate::{ValidCluster, validate};

/// How an explanation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would work.
    Works,
    /// The rules refuse it.
    Refused,
    /// The file, or the operator, cannot be read.
    Unreadable,
    /// These zones cannot satisfy it.
    Unsatisfiable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Works => 0,
            Verdict::Refused => 1,
            Verdict::Unreadable => 2,
            Verdict::Unsatisfiable => 3,
        })
    }
}

/// Explains what the arguments name.
#[must_use]
pub fn run(args: &ExplainArgs) -> ExitCode {
    let read = match (&args.live, &args.filename) {
        (Some(cluster), _) => fetch::dump(&args.operator, cluster),
        (None, Some(file)) => read(file),
        (None, None) => Err("name a file or a cluster".to_owned()),
    };
    let (verdict, text) = match read {
        Ok(dump) if args.dump => (Verdict::Works, dump),
        Ok(file) => explain(&file, &args.zones),
        Err(problem) => (Verdict::Unreadable, format!("{problem}\n")),
    };
    if verdict == Verdict::Works {
        return print(&text);
    }
    eprint!("{text}");
    verdict.into()
}

fn read(file: &Path) -> Result<String, String> {
    let read = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// Prints to standard output; a reader that has left, such as `head`, is no failure of ours.
#[must_use]
pub fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kvorum-operator: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Explains a file, given as text. Pure.
#[must_use]
pub fn explain(file: &str, zones: &[String]) -> (Verdict, String) {
    let object: serde_json::Value = match serde_saphyr::from_str(file) {
        Ok(object) => object,
        Err(error) => {
            let text = format!("The file is not YAML with one object: {error}\n");
            return (Verdict::Unreadable, text);
        }
    };
    if Dump::is_one(&object) {
        return match Dump::read(object) {
            Ok(dump) => dump.explain(),
            Err(problem) => (Verdict::Unreadable, format!("{problem}\n")),
        };
    }
    let stored = match rules::review(&object, None) {
        Ok(stored) => stored,
        Err(problems) => {
            let mut text = "The API server would refuse this KvCluster:\n".to_owned();
            for problem in problems {
                let _ = writeln!(text, "  {problem}");
            }
            return (Verdict::Refused, text);
        }
    };
    let cluster: KvCluster = match serde_json::from_value(stored) {
        Ok(cluster) => cluster,
        Err(error) => {
            return (
                Verdict::Refused,
                format!("The object is no KvCluster: {error}\n"),
            );
        }
    };
    let image = concat!("kvorum.dev/kvorum-node:", env!("CARGO_PKG_VERSION"));
    let valid = match validate(&cluster, image) {
        Ok(valid) => valid,
        Err(invalid) => return (Verdict::Refused, format!("{invalid}\n")),
    };
    if let Some(status) = cluster
        .status
        .as_ref()
        .filter(|status| status.cluster_id.is_some())
    {
        return live::describe(&valid.names, valid.generation, status);
    }
    let plan = plan(&valid, zones);
    match &plan.reservation {
        Some(reservation) => describe(&valid, reservation, zones),
        None => {
            let mut text =
                "The rules take this KvCluster, and these zones cannot satisfy it:\n".to_owned();
            for blocked in &plan.blocked {
                let _ = writeln!(text, "  {}: {}", blocked.reason.as_str(), blocked.message);
            }
            (Verdict::Unsatisfiable, text)
        }
    }
}

/// What would be decided for it if it were new, in a world with these zones.
fn plan(valid: &ValidCluster, zones: &[String]) -> Plan {
    let observed = Observed {
        deleting: false,
        created: UnixSeconds(0),
        // Any will do: only the layout is shown.
        fresh_cluster_id: ClusterId::MAX,
        status: StatusLatch::default(),
        record: None,
        volumes: BTreeMap::new(),
        foreign: Vec::new(),
        unreadable: Vec::new(),
        members: BTreeMap::new(),
        world: World {
            zones: zones.iter().map(|zone| (Zone::new(zone), 1)).collect(),
            storage_class: StorageClass::Found,
        },
    };
    let mut spec = valid.spec.clone();
    spec.paused = false;
    kvorum_plan::plan(&observed, &spec, UnixSeconds(0))
}

fn describe(
    valid: &ValidCluster,
    reservation: &Reservation,
    zones: &[String],
) -> (Verdict, String) {
    let names: &Names = &valid.names;
    let members = reservation.members();
    let size = reservation.size;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "KvCluster {}: {} member{}, {} must agree\n",
        names.cluster,
        size.members(),
        if size.members() == 1 { "" } else { "s" },
        size.quorum()
    );
    let listed = valid.spec.zones != kvorum_plan::spec::ZoneChoice::Discover;
    let origin = if listed {
        "as listed".to_owned()
    } else {
        format!(
            "assuming schedulable nodes in {}; choose others with --zones",
            zones.join(", ")
        )
    };
    let _ = writeln!(text, "Layout ({origin}):");
    let counts = placement::count_per_zone(members.iter().map(|member| member.zone.as_ref()));
    for (zone, count) in &counts {
        let inside = members
            .iter()
            .filter(|member| member.zone.as_ref() == Some(zone));
        let inside: Vec<String> = inside.map(|member| names.member(member.id)).collect();
        let _ = writeln!(text, "  {zone}: {count} ({})", inside.join(", "));
    }
    if counts.is_empty() {
        let _ = writeln!(text, "  wherever the scheduler puts them");
    }
    survives(&mut text, valid, reservation);
    let _ = writeln!(text, "\nObjects in namespace {}:", namespace(names));
    for (kind, name) in names.objects(members.iter().map(|member| member.id)) {
        let _ = writeln!(text, "  {kind}/{name}");
    }
    let _ = writeln!(
        text,
        "\nImage: {}\nVolumes: {} each",
        valid.pod.image, valid.storage_size.0
    );
    // What the pods would look like must be possible too.
    match build::statefulset(valid, reservation, &members[0], true) {
        Ok(_) => (Verdict::Works, text),
        Err(refused) => (Verdict::Refused, format!("{refused}\n")),
    }
}

fn survives(text: &mut String, valid: &ValidCluster, reservation: &Reservation) {
    let voters: Vec<Voter> = reservation
        .members()
        .into_iter()
        .map(|member| Voter {
            zone: member.zone,
            live: true,
        })
        .collect();
    let tolerance = Tolerance::of(&voters);
    let _ = writeln!(text, "\nSurvives:");
    let _ = match reservation.size.losses() {
        0 => writeln!(text, "  members: no loss at all"),
        1 => writeln!(text, "  members: the loss of any 1"),
        losses => writeln!(text, "  members: the loss of any {losses}"),
    };
    let _ = writeln!(text, "  zones: {}", tolerance.zones_sentence());
    let nodes = if reservation.size.members() == 1 {
        "no loss at all"
    } else if crate::validate::nodes_required(&valid.pod.placement) {
        "the loss of any 1 (never two members on one node)"
    } else {
        "up to the scheduler (nodeSpread Preferred: two members may share one)"
    };
    let _ = writeln!(text, "  nodes: {nodes}");
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn namespace(names: &Names) -> &str {
    if names.namespace.is_empty() {
        "default"
    } else {
        &names.namespace
    }
}

#[cfg(test)]
mod tests;
