//! What the planner was told at one moment, as a file: so that any later reader can ask it again, without a
//! cluster, and by another version of the operator.

use std::fmt::Write;

use kvorum_plan::observed::{Life, Member, Observed, UnixSeconds, Volume};
use kvorum_plan::steps::{Plan, Recheck, Step};
use kvorum_plan::{MemberId, Spec, Zone};
use serde::{Deserialize, Serialize};

use super::{Verdict, time};

/// What the key that makes a file a dump says: changes when an old planner could misread a new file.
const FORMAT: u32 = 1;

/// The planner's three arguments, and whose they are. No secret is among them: names, zones and nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dump {
    /// The format's number; also what tells a dump from a KvCluster.
    kvorum_dump: u32,
    /// The version of the operator that looked.
    pub operator: String,
    /// The KvCluster's.
    pub namespace: String,
    /// The KvCluster's.
    pub name: String,
    /// When it looked.
    pub now: UnixSeconds,
    /// What is asked for.
    pub spec: Spec,
    /// What is there.
    pub observed: Observed,
}

impl Dump {
    /// Of what one look has found.
    #[must_use]
    pub fn new(namespace: &str, name: &str, now: i64, spec: Spec, observed: Observed) -> Self {
        Self {
            kvorum_dump: FORMAT,
            operator: env!("CARGO_PKG_VERSION").to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            now: UnixSeconds(now),
            spec,
            observed,
        }
    }

    /// Whether a file wants to be one.
    pub(super) fn is_one(object: &serde_json::Value) -> bool {
        object.get("kvorumDump").is_some()
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(object: serde_json::Value) -> Result<Self, String> {
        let format = &object["kvorumDump"];
        if format.as_u64() != Some(u64::from(FORMAT)) {
            return Err(format!(
                "kvorumDump is {format}, and this kvorum-operator reads {FORMAT}: use the version that wrote the dump"
            ));
        }
        serde_json::from_value(object).map_err(|error| format!("it is no dump: {error}"))
    }

    /// What the planner of this version decides on it. Pure.
    #[must_use]
    pub fn explain(&self) -> (Verdict, String) {
        let plan = kvorum_plan::plan(&self.observed, &self.spec, self.now);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "KvCluster {}/{} as kvorum-operator {} saw it at {}, decided by {}\n",
            self.namespace,
            self.name,
            self.operator,
            time(self.now.0),
            env!("CARGO_PKG_VERSION"),
        );
        decision(&mut text, &plan);
        self.members(&mut text);
        let verdict = if plan.blocked.is_empty() {
            Verdict::Works
        } else {
            Verdict::Unsatisfiable
        };
        (verdict, text)
    }

    fn members(&self, text: &mut String) {
        let _ = writeln!(text, "\nMembers:");
        let (volumes, members) = (&self.observed.volumes, &self.observed.members);
        let mut ids: Vec<&MemberId> = volumes.keys().chain(members.keys()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            let _ = writeln!(text, "  none yet");
        }
        for id in ids {
            let mut words = volumes.get(id).map(volume).unwrap_or_default();
            words.extend(member(members.get(id)));
            let _ = writeln!(text, "  {id}: {}", words.join(", "));
        }
    }
}

fn decision(text: &mut String, plan: &Plan) {
    let _ = writeln!(text, "Phase: {:?}", plan.phase);
    match &plan.operation {
        None => {
            let _ = writeln!(text, "Under way: nothing");
        }
        Some(operation) => {
            let about = operation.member.map(|id| format!(" ({id})"));
            let kind = operation.kind.as_str();
            let _ = writeln!(text, "Under way: {kind}{}", about.unwrap_or_default());
        }
    }
    let gated = plan.operation.as_ref().and_then(|is| is.gate.as_ref());
    if let Some(gated) = gated {
        let gate = gated.gate.as_str();
        let _ = writeln!(text, "Waits at the gate {gate}: {}", gated.message);
    }
    for blocked in &plan.blocked {
        let reason = blocked.reason.as_str();
        let _ = writeln!(text, "Blocked ({reason}): {}", blocked.message);
    }
    for waiting in &plan.waiting {
        let _ = writeln!(text, "Waits: {waiting}");
    }
    for (id, suspicion) in &plan.suspicions {
        let (loss, since) = (suspicion.loss.in_words(), time(suspicion.since.0));
        let _ = writeln!(text, "Looks lost: {id}, {loss}, since {since}");
    }
    let _ = writeln!(text, "\nNext:");
    if plan.steps.is_empty() {
        let _ = writeln!(text, "  nothing");
    }
    for step in &plan.steps {
        let _ = writeln!(text, "  {}", in_words(step));
    }
    let again = match plan.recheck {
        Recheck::Soon => "within a second",
        Recheck::Watchful => "within seconds",
        Recheck::Calm => "when something changes",
    };
    let _ = writeln!(text, "Then it looks again {again}.");
}

/// What a step does. Those that keep things as they should be are done at every look and mostly change nothing.
fn in_words(step: &Step) -> String {
    let place = |zone: &Option<Zone>| {
        let zone = zone.as_ref().map(|zone| format!(" in {zone}"));
        zone.unwrap_or_default()
    };
    match step {
        Step::Reserve { reservation, .. } => format!(
            "record who it is: cluster {}, {} members",
            reservation.cluster_id,
            reservation.size.members()
        ),
        Step::SyncServices { .. } => "keep Services and disruption budget as they should be".into(),
        Step::CreateVolume(member) => {
            format!("create the volume of {}{}", member.id, place(&member.zone))
        }
        Step::ApplyMember { member, running } => {
            let without = if *running { "" } else { ", without a pod" };
            format!("keep the StatefulSet of {}{without}", member.id)
        }
        Step::Latch { stage, .. } => format!("record that the cluster is {stage}"),
        Step::Initialize { via, .. } => format!("form the cluster, by {via}"),
        Step::Confirm { via } => format!("read through quorum, by {via}"),
        Step::Enlist { zone, replaces, .. } => {
            let why = if *replaces {
                " for one that is lost"
            } else {
                ""
            };
            format!("have an ID given for a new member{}{why}", place(zone))
        }
        Step::AddLearner { member, .. } => {
            format!("add {}{} without a vote", member.id, place(&member.zone))
        }
        Step::RemoveLearner { id, .. } => format!("remove {id}, which has no vote"),
        Step::ChangeVoters { voters, .. } => {
            let voters: Vec<String> = voters.iter().map(MemberId::to_string).collect();
            format!("let {} vote, by one joint change", voters.join(", "))
        }
        Step::TransferLeader { to, .. } => format!("hand the lead over to {to}"),
        Step::Retire { id, .. } => format!("retire {id}: its StatefulSet goes, its volume stays"),
        Step::DeleteVolume { id } => format!("delete the volume of {id}, which left long ago"),
        Step::Restart { id, evict } => {
            let how = if *evict { "by eviction" } else { "by deletion" };
            format!("make the pod of {id} anew, {how}")
        }
    }
}

fn volume(volume: &Volume) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(volume.zone.as_ref().map(|zone| format!("in {zone}")));
    if let Some(since) = volume.retired {
        words.push(format!("retired since {}", time(since.0)));
    }
    if volume.terminating {
        words.push("its volume is being deleted".to_owned());
    }
    if volume.node_gone {
        words.push("its volume's node is gone".to_owned());
    }
    words.extend(volume.problem.clone());
    words
}

fn member(member: Option<&Member>) -> Vec<String> {
    let mut words = Vec::new();
    let pod = member.and_then(|member| member.pod.as_ref());
    match pod {
        None => words.push("no pod".to_owned()),
        Some(pod) => {
            words.extend(pod.node.as_ref().map(|node| format!("on {node}")));
            let said = [
                (pod.node_down, "its node is down"),
                (pod.terminating, "its pod is being deleted"),
                (!pod.up_to_date, "its pod is not of the newest template"),
                (!pod.ready, "its pod is not ready"),
            ];
            words.extend(
                said.iter()
                    .filter(|(is, _)| *is)
                    .map(|(_, what)| (*what).to_owned()),
            );
            words.extend(pod.problem.as_ref().map(|problem| problem.message.clone()));
        }
    }
    match member.and_then(|member| member.report.as_ref()) {
        None => words.push("does not answer".to_owned()),
        Some(report) => {
            words.push(
                match report.life {
                    Life::Waiting => "waits for the cluster to be formed",
                    Life::Learner => "learns",
                    Life::Follower => "votes",
                    Life::Candidate => "asks for votes",
                    Life::Leader => "leads",
                    Life::Removed => "was removed",
                }
                .to_owned(),
            );
            words.push(format!("version {}", report.version));
        }
    }
    words
}
