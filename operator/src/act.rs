//! Stage 5: does what the plan says, step by step. Dumb on purpose: every decision is made before.
//!
//! Every write is one that may be repeated. A step that fails ends the row; the next look starts afresh.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::Client;
use kvorum_plan::observed::{Reservation, Stage};
use kvorum_plan::{MemberId, Plan, Step};

use crate::build::OverlayRefused;
use crate::caches::Caches;
use crate::failpoint::Failpoint;
use crate::members::MemberError;
use crate::observe::Sight;
use crate::validate::ValidCluster;

mod writes;

pub use writes::Applied;

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
    /// A member that the plan wants to ask has no address any more.
    #[error("{0} has no address")]
    NoAddress(MemberId),
}

impl ActError {
    /// Whether trying again soon may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Overlay(_) => false,
            Self::Kube { .. } | Self::Member(_) | Self::NoAddress(_) => true,
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
}

impl Outcome {
    fn note(&mut self, step: &Step, done: Result<bool, ActError>) {
        match done {
            Ok(changed) => {
                if changed {
                    self.changed.push(step.name());
                }
                match step {
                    Step::Latch { stage, .. } => self.latched = Some(*stage),
                    Step::Reserve { stage, .. } => self.reserved = Some(*stage),
                    Step::SyncServices
                    | Step::CreateVolume(_)
                    | Step::ApplyMember(_)
                    | Step::Initialize { .. }
                    | Step::Confirm { .. } => {}
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

    /// Does one step; true if it changed something.
    async fn step(&self, step: &Step, reservation: &Reservation) -> Result<bool, ActError> {
        match step {
            Step::Reserve { reservation, stage } => self.reserve(reservation, *stage).await,
            Step::SyncServices => {
                self.failpoint.before("services");
                let changed = self.services(reservation).await?;
                self.failpoint.after("services");
                Ok(changed)
            }
            Step::CreateVolume(member) => {
                let name = step.name();
                self.failpoint.before(&name);
                self.create_volume(reservation, member).await?;
                self.failpoint.after(&name);
                Ok(true)
            }
            Step::ApplyMember(member) => {
                let name = step.name();
                self.failpoint.before(&name);
                let changed = self.statefulset(reservation, member).await?;
                self.failpoint.after(&name);
                Ok(changed)
            }
            Step::Latch { stage, stores } => self.latch(reservation, *stage, stores).await,
            Step::Initialize { via, stores } => self.initialize(reservation, *via, stores).await,
            Step::Confirm { via } => {
                self.failpoint.before("confirm");
                let door = self.door(*via)?;
                door.confirm().await.map_err(ActError::Member)?;
                self.failpoint.after("confirm");
                Ok(true)
            }
        }
    }

    async fn initialize(
        &self,
        reservation: &Reservation,
        via: MemberId,
        stores: &BTreeMap<MemberId, String>,
    ) -> Result<bool, ActError> {
        let names = &self.cluster.names;
        let door = self.door(via)?;
        self.failpoint.before("initialize");
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
        self.failpoint.after("initialize");
        Ok(true)
    }

    fn door(&self, id: MemberId) -> Result<crate::members::Door, ActError> {
        self.sight
            .doors
            .get(&id)
            .copied()
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
        let steps = [
            Step::SyncServices,
            Step::CreateVolume(member(1)),
            Step::CreateVolume(member(2)),
            Step::ApplyMember(member(1)),
            Step::ApplyMember(member(2)),
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
