//! The end of birth: Initialize once every empty member answers, then Confirm, with the latches between.

use std::collections::BTreeMap;

use crate::MemberId;
use crate::observed::{Life, Observed, Report, Reservation, Stage};
use crate::steps::Step;

use super::roster::Roster;
use super::trouble;

/// What to do once the members answer, or what is still missing, in words.
pub(super) fn initialize(
    observed: &Observed,
    reservation: &Reservation,
    stage: Stage,
) -> Result<Vec<Step>, Vec<String>> {
    let reports: BTreeMap<MemberId, &Report> = reservation
        .size
        .first_ids()
        .filter_map(|id| Some((id, observed.members.get(&id)?.report.as_ref()?)))
        .collect();
    let mut stores: BTreeMap<MemberId, String> = reports
        .iter()
        .map(|(id, report)| (*id, report.store_uuid.clone()))
        .collect();
    if let Some(via) = alive(&reports) {
        // Initialize was called, by us or by a predecessor that was cut short. What was recorded before
        // it stands; a member that does not answer now is no reason to wait.
        stores.extend(stores_recorded(observed));
        return Ok(vec![
            Step::Confirm { via },
            latch(Stage::Bootstrapped, &stores),
        ]);
    }
    let missing: Vec<String> = reservation
        .size
        .first_ids()
        .filter_map(|id| missing(observed, reports.get(&id).copied(), id, stage))
        .collect();
    let Some(via) = stores.keys().next().copied().filter(|_| missing.is_empty()) else {
        return Err(missing);
    };
    let mut steps = Vec::new();
    if stage == Stage::Reserved || stores_recorded(observed) != stores {
        steps.push(latch(Stage::Initializing, &stores));
    }
    steps.push(Step::Initialize {
        via,
        stores: stores.clone(),
    });
    steps.push(Step::Confirm { via });
    steps.push(latch(Stage::Bootstrapped, &stores));
    Ok(steps)
}

/// What the records do not say yet: latches that a crash left behind the others, and the stores of members
/// that joined later.
pub(super) fn finish_latches(observed: &Observed, roster: &Roster<'_>) -> Option<Step> {
    let record = observed
        .record
        .as_ref()
        .is_none_or(|record| record.stage == Stage::Bootstrapped);
    let kept = || {
        let volumes = observed.volumes.iter();
        volumes.filter(|(_, volume)| volume.retired.is_none())
    };
    let volumes = kept().all(|(_, volume)| volume.stage == Stage::Bootstrapped);
    let unknown = kept().filter(|(_, volume)| volume.store_uuid.is_none());
    let joined: BTreeMap<MemberId, String> = unknown
        .filter_map(|(id, _)| Some((*id, roster.seat(*id)?.store_uuid.clone()?)))
        .collect();
    if record && volumes && joined.is_empty() {
        return None;
    }
    let mut stores = stores_recorded(observed);
    stores.extend(joined);
    Some(latch(Stage::Bootstrapped, &stores))
}

/// The best member to ask of those whose log holds a cluster.
fn alive(reports: &BTreeMap<MemberId, &Report>) -> Option<MemberId> {
    reports
        .iter()
        .filter(|(_, report)| report.initialized)
        .max_by_key(|(_, report)| (report.ready, report.life == Life::Leader))
        .map(|(id, _)| *id)
}

/// What is missing of one member before `Initialize` may be called.
fn missing(
    observed: &Observed,
    report: Option<&Report>,
    id: MemberId,
    stage: Stage,
) -> Option<String> {
    let Some(volume) = observed.volumes.get(&id) else {
        return Some(format!("{id}: has no volume yet"));
    };
    let Some(report) = report else {
        return Some(trouble::silence(observed, id));
    };
    if report.life != Life::Waiting {
        return Some(format!("{id}: is neither empty nor part of a cluster yet"));
    }
    let recorded = volume.store_uuid.as_ref();
    let changed =
        stage != Stage::Reserved && recorded.is_some_and(|store| *store != report.store_uuid);
    // Not the store that was recorded before Initialize was tried: it may have voted and been wiped.
    changed.then(|| {
        format!(
            "{id}: its store is not the one recorded before Initialize; put the right disk back"
        )
    })
}

fn stores_recorded(observed: &Observed) -> BTreeMap<MemberId, String> {
    observed
        .volumes
        .iter()
        .filter_map(|(id, volume)| Some((*id, volume.store_uuid.clone()?)))
        .collect()
}

fn latch(stage: Stage, stores: &BTreeMap<MemberId, String>) -> Step {
    Step::Latch {
        stage,
        stores: stores.clone(),
    }
}
