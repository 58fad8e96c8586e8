//! Stage 5: does what the plan says, step by step. Dumb on purpose: every decision is made before.
//!
//! Every write is one that may be repeated. A step that fails ends the row; the next look starts afresh.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use kvorum_plan::observed::{Reservation, Stage};
use kvorum_plan::{MemberId, Plan, Step};

use crate::build::OverlayRefused;
use crate::caches::{Caches, Kept, Ours};
use crate::certificates::{IssueError, Keeper};
use crate::failpoint::Failpoint;
use crate::members::MemberError;
use crate::observe::Sight;
use crate::validate::ValidCluster;

mod certificates;
mod members;
mod pods;
mod writes;

pub use writes::{Applied, write_status};

/// What one row of steps needs.
pub struct Act<'a> {
    /// To the API server.
    pub client: &'a Client,
    /// What is known already.
    pub caches: &'a Caches,
    /// What was written, so that nothing is written twice.
    pub applied: &'a Applied,
    /// Where to die, if anywhere.
    pub failpoint: &'a Failpoint,
    /// Whose row.
    pub cluster: &'a ValidCluster,
    /// What was seen.
    pub sight: &'a Sight,
    /// The certificates of all clusters.
    pub keeper: &'a Keeper,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The API server says no, and will say no again: somebody must change something.
    #[error("{object}: {message}")]
    Refused {
        /// Which object.
        object: String,
        /// What the API server said.
        message: String,
    },
    /// The API server cannot be reached, or something changed meanwhile.
    #[error("{object}: {source}")]
    Kube {
        /// Which object.
        object: String,
        /// What happened.
        source: kube::Error,
    },
    /// The user's overlay does not fit.
    #[error(transparent)]
    Overlay(OverlayRefused),
    /// A member says no, or does not answer.
    #[error(transparent)]
    Member(MemberError),
    /// A drain or a disruption budget is in the way.
    #[error("{object}: {message}")]
    OtherDisruption {
        /// Which pod.
        object: String,
        /// What the API server said.
        message: String,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(IssueError),
    /// A member that the plan wants to ask has no address any more.
    #[error("{0} has no address")]
    NoAddress(MemberId),
}

impl ActError {
    /// Whether trying again soon may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Overlay(_) | Self::Certificate(_) => false,
            Self::Kube { .. }
            | Self::Member(_)
            | Self::OtherDisruption { .. }
            | Self::NoAddress(_) => true,
        }
    }

    /// A stable name: condition reason, event reason and metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "ApplyRefused",
            Self::Kube { .. } => "ApplyFailed",
            Self::Overlay(_) => "InvalidPodOverlay",
            Self::Member(_) => "MemberRefused",
            Self::OtherDisruption { .. } => "OtherDisruption",
            Self::Certificate(_) => "CertificateFailed",
            Self::NoAddress(_) => "MemberUnreachable",
        }
    }

    /// Of an API call.
    fn of_call(object: String, source: kube::Error) -> Self {
        match &source {
            // Invalid, or not allowed: the same request gets the same answer.
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Self::Refused {
                object,
                message: status.message.clone(),
            },
            _ => Self::Kube { object, source },
        }
    }
}

/// What is gone already need not be deleted.
fn gone<T>(object: String, deleted: Result<T, kube::Error>) -> Result<(), ActError> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other
            .map(|_| ())
            .map_err(|error| ActError::of_call(object, error)),
    }
}

/// Deletes this very object, and only as it was seen where `unchanged`.
fn this_very<K: ResourceExt>(object: &K, unchanged: bool) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: object.uid(),
        resource_version: object.resource_version().filter(|_| unchanged),
    })
}

/// What came of a row of steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps that changed something, by name.
    pub changed: Vec<String>,
    /// The step that failed, and why.
    pub failure: Option<(String, ActError)>,
    /// The last latch that was set.
    pub latched: Option<Stage>,
    /// The stage with which identity and zones were written, if they were.
    pub reserved: Option<Stage>,
    /// Members that were enlisted for lost ones.
    pub replacements: usize,
    /// Members whose template is held back: only a new version of the operator would change it.
    pub held_back: Vec<MemberId>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Changed,
    Unchanged,
    /// Not done on purpose: see [`Outcome::held_back`].
    HeldBack,
}

impl From<bool> for Done {
    fn from(changed: bool) -> Self {
        if changed {
            Self::Changed
        } else {
            Self::Unchanged
        }
    }
}

impl Outcome {
    fn note(&mut self, step: &Step, done: Result<Done, ActError>) {
        match done {
            Ok(done) => {
                if done == Done::Changed {
                    self.changed.push(step.name());
                }
                match step {
                    Step::Latch { stage, .. } => self.latched = Some(*stage),
                    Step::Reserve { stage, .. } => self.reserved = Some(*stage),
                    Step::Enlist { replaces: true, .. } if done == Done::Changed => {
                        self.replacements += 1;
                    }
                    Step::ApplyMember { member, .. } if done == Done::HeldBack => {
                        self.held_back.push(member.id);
                    }
                    _ => {}
                }
            }
            Err(error) if self.failure.is_none() => self.failure = Some((step.name(), error)),
            Err(error) => tracing::warn!(step = step.name(), %error, "A step failed too"),
        }
    }
}

impl Act<'_> {
    /// Does the steps of a plan.
    pub async fn run(&self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(reservation) = &plan.reservation else {
            return outcome;
        };
        for wave in waves(&plan.steps, self.failpoint.is_set()) {
            let steps = wave.iter().map(|step| async move {
                let done = self.step(step, reservation).await;
                (step, done)
            });
            for (step, done) in join_all(steps).await {
                outcome.note(step, done);
            }
            if outcome.failure.is_some() {
                break;
            }
        }
        outcome
    }

    /// Does one step, between the two places at which the program can be made to die.
    async fn step(&self, step: &Step, reservation: &Reservation) -> Result<Done, ActError> {
        // These write in several places, each with places of its own.
        if matches!(step, Step::Reserve { .. } | Step::Latch { .. }) {
            return self.execute(step, reservation).await;
        }
        let name = step.name();
        self.failpoint.before(&name);
        let done = self.execute(step, reservation).await?;
        self.failpoint.after(&name);
        Ok(done)
    }

    async fn execute(&self, step: &Step, reservation: &Reservation) -> Result<Done, ActError> {
        let changed = match step {
            Step::Reserve { reservation, stage } => self.reserve(reservation, *stage).await?,
            Step::Latch { stage, stores } => self.latch(*stage, stores).await?,
            Step::SyncServices { at_least } => self.services(*at_least).await?,
            Step::CreateVolume(member) => {
                self.create_volume(reservation, member, Stage::Reserved)
                    .await?
            }
            Step::ApplyMember { member, running } => {
                return self.statefulset(reservation, member, *running).await;
            }
            Step::Initialize { via, stores } => self.initialize(reservation, *via, stores).await?,
            Step::Confirm { via } => {
                self.door(*via)?.confirm().await.map_err(ActError::Member)?;
                true
            }
            Step::Enlist { via, key, zone, .. } => {
                self.enlist(reservation, *via, key, zone.clone()).await?
            }
            Step::AddLearner { .. }
            | Step::RemoveLearner { .. }
            | Step::ChangeVoters { .. }
            | Step::TransferLeader { .. } => self.change(step).await?,
            Step::Retire { id, at } => self.retire(*id, *at).await?,
            Step::DeleteVolume { id } => self.delete_volume(*id).await?,
            Step::Restart { id, evict } => self.restart(*id, *evict).await?,
        };
        Ok(changed.into())
    }

    async fn initialize(
        &self,
        reservation: &Reservation,
        via: MemberId,
        stores: &BTreeMap<MemberId, String>,
    ) -> Result<bool, ActError> {
        let names = &self.cluster.names;
        let door = self.door(via)?;
        tracing::info!(
            namespace = names.namespace,
            cluster = names.cluster,
            cluster_id = %reservation.cluster_id,
            %via,
            "Calling Initialize"
        );
        let already_initialized = door
            .initialize(names, reservation, stores)
            .await
            .map_err(ActError::Member)?;
        tracing::info!(
            namespace = names.namespace,
            cluster = names.cluster,
            already_initialized,
            "Initialize was answered"
        );
        Ok(true)
    }

    /// An object of this cluster as it was seen last.
    fn seen<K: Ours>(&self, cache: &Kept<K>, name: &str) -> Option<Arc<K>> {
        cache.get(&ObjectRef::new(name).within(&self.cluster.names.namespace))
    }

    fn door(&self, id: MemberId) -> Result<crate::members::Door, ActError> {
        self.sight
            .doors
            .get(&id)
            .cloned()
            .ok_or(ActError::NoAddress(id))
    }
}

/// Neighbouring steps that may run side by side; with a failpoint set, none do.
fn waves(steps: &[Step], one_by_one: bool) -> Vec<&[Step]> {
    steps
        .chunk_by(|one, next| !one_by_one && one.wave().is_some() && one.wave() == next.wave())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_plan::placement::Assigned;

    #[test]
    fn volumes_come_before_members_and_each_wave_runs_side_by_side() {
        let member = |id| Assigned {
            id: MemberId(id),
            zone: None,
        };
        let apply = |id| Step::ApplyMember {
            member: member(id),
            running: true,
        };
        let steps = [
            Step::SyncServices { at_least: None },
            Step::CreateVolume(member(1)),
            Step::CreateVolume(member(2)),
            apply(1),
            apply(2),
            Step::Confirm { via: MemberId(1) },
            Step::Confirm { via: MemberId(1) },
        ];
        let sizes = |waves: Vec<&[Step]>| waves.iter().map(|wave| wave.len()).collect::<Vec<_>>();
        assert_eq!(sizes(waves(&steps, false)), [3, 2, 1, 1]);
        assert_eq!(sizes(waves(&steps, true)), [1; 7]);
    }

    #[test]
    fn a_refusal_is_told_from_a_mishap() {
        let answer = |code: u16| {
            let status = kube::core::Status::failure("no", "Because").with_code(code);
            ActError::of_call("Service x".to_owned(), kube::Error::Api(status.boxed()))
        };
        assert!(!answer(422).is_transient());
        assert!(!answer(403).is_transient());
        assert!(answer(409).is_transient());
        assert!(answer(500).is_transient());
    }
}
