//! The admin calls that change who the members are, and who leads.

use super::AdminApi;
use crate::api::errors;
use crate::consensus::membership::managed::{Error, Made, Managed};
use crate::consensus::transfer::MoveError;
use crate::consensus::types::{self, LogId, MemberId, Node};
use crate::limits::ALLOCATION_KEY_MAX;
use kvorum_mvcc::Rejection;
use kvorum_proto::admin::{
    AddLearnerRequest, AddLearnerResponse, AllocateMemberRequest, AllocateMemberResponse,
    ChangeVotersRequest, ChangeVotersResponse, InitialMember, LogId as WireLogId,
    RemoveLearnerRequest, RemoveLearnerResponse, TransferLeaderRequest, TransferLeaderResponse,
};
use kvorum_proto::log::{AllocateMember, Command, command, reply};
use std::collections::BTreeSet;
use tonic::Status;

/// For errors of a change: what was refused, and what is not known.
fn from_error(error: Error) -> Status {
    match error {
        Error::NotLeader(_) | Error::Denied(_) => Status::failed_precondition(error.to_string()),
        Error::Failed(failure) => {
            Status::unavailable(format!("{failure}: it may or may not come to pass"))
        }
    }
}

fn position(id: Option<WireLogId>) -> Option<LogId> {
    id.map(|id| types::log_id(id.term, id.index))
}

/// Checks the shape of a new member. Pure.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn learner(member: Option<InitialMember>) -> Result<Managed, Status> {
    let member = member.unwrap_or_default();
    let missing = |what: &str| Status::invalid_argument(format!("the new member needs {what}"));
    if member.id == 0 {
        return Err(missing("an ID: allocate one"));
    }
    if member.peer_urls.is_empty() {
        return Err(missing("a peer URL"));
    }
    if member.store_uuid.is_empty() {
        return Err(missing("its store UUID: ask it by Inspect"));
    }
    let node = Node {
        name: member.name,
        peer_urls: member.peer_urls,
        zone: member.zone,
        store_uuid: member.store_uuid,
        becomes_voter: false,
    };
    Ok(Managed::AddLearner(member.id, node))
}

/// Checks the shape of a set of voters. Pure.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn voters(ids: &[MemberId]) -> Result<Managed, Status> {
    let set: BTreeSet<MemberId> = ids.iter().copied().collect();
    if set.len() != ids.len() {
        return Err(Status::invalid_argument("a voter is listed twice"));
    }
    Ok(Managed::ChangeVoters(set))
}

/// Checks the key that an ID is asked for by. Pure.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn allocation_key(key: String) -> Result<String, Status> {
    if key.is_empty() || key.len() > ALLOCATION_KEY_MAX {
        return Err(Status::invalid_argument(format!(
            "the key has {} bytes: it must have 1 to {ALLOCATION_KEY_MAX}, the same for every try of one addition",
            key.len()
        )));
    }
    Ok(key)
}

impl AdminApi {
    async fn manage(
        &self,
        expected: Option<WireLogId>,
        change: Managed,
    ) -> Result<(bool, Option<WireLogId>), Status> {
        let consensus = self.member.consensus();
        let Made {
            already,
            membership_log,
        } = consensus
            .manage(position(expected), change)
            .await
            .map_err(from_error)?;
        Ok((already, membership_log.map(super::wire)))
    }

    pub(super) async fn allocate(
        &self,
        request: AllocateMemberRequest,
    ) -> Result<AllocateMemberResponse, Status> {
        let key = allocation_key(request.key)?;
        let consensus = self.member.consensus();
        consensus.insist_on_leading().map_err(from_error)?;
        let command = Command {
            op: Some(command::Op::Allocate(AllocateMember { key, above: 0 })),
            ..Command::default()
        };
        let reply = consensus.propose(&command).await;
        match reply.map_err(|failure| from_error(failure.into()))?.op {
            Some(reply::Op::Allocated(id)) => Ok(AllocateMemberResponse { id }),
            Some(reply::Op::Rejected(code)) => {
                Err(errors::from_rejection(Rejection::from_code(code)))
            }
            _ => Err(Status::internal("the log answered something else")),
        }
    }

    pub(super) async fn add(
        &self,
        request: AddLearnerRequest,
    ) -> Result<AddLearnerResponse, Status> {
        let change = learner(request.member)?;
        let (already, membership_log) =
            self.manage(request.expected_membership_log, change).await?;
        Ok(AddLearnerResponse {
            already,
            membership_log,
        })
    }

    pub(super) async fn remove(
        &self,
        request: RemoveLearnerRequest,
    ) -> Result<RemoveLearnerResponse, Status> {
        let change = Managed::RemoveLearner(request.id);
        let (already, membership_log) =
            self.manage(request.expected_membership_log, change).await?;
        Ok(RemoveLearnerResponse {
            already,
            membership_log,
        })
    }

    pub(super) async fn change(
        &self,
        request: ChangeVotersRequest,
    ) -> Result<ChangeVotersResponse, Status> {
        let change = voters(&request.voters)?;
        let (already, membership_log) =
            self.manage(request.expected_membership_log, change).await?;
        Ok(ChangeVotersResponse {
            already,
            membership_log,
        })
    }

    pub(super) async fn transfer(
        &self,
        request: TransferLeaderRequest,
    ) -> Result<TransferLeaderResponse, Status> {
        let consensus = self.member.consensus();
        consensus.insist_on_leading().map_err(from_error)?;
        if request.target == self.member.context().identity.member_id {
            return Ok(TransferLeaderResponse { already: true });
        }
        let moved = consensus.move_leader(request.target).await;
        moved.map_err(|error| match error {
            MoveError::NotLeader | MoveError::BadTarget(_) => {
                Status::failed_precondition(error.to_string())
            }
            MoveError::TimedOut => Status::unavailable(error.to_string()),
        })?;
        Ok(TransferLeaderResponse { already: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> InitialMember {
        InitialMember {
            id: 4,
            peer_urls: vec!["http://d:2380".to_owned()],
            store_uuid: "store-4".to_owned(),
            ..InitialMember::default()
        }
    }

    #[test]
    fn requests_without_shape_are_refused() {
        let refused = [
            learner(None),
            learner(Some(InitialMember { id: 0, ..member() })),
            learner(Some(InitialMember {
                peer_urls: Vec::new(),
                ..member()
            })),
            learner(Some(InitialMember {
                store_uuid: String::new(),
                ..member()
            })),
            voters(&[1, 2, 2]),
        ]
        .map(|r| r.unwrap_err().message().to_owned());
        assert_eq!(
            refused,
            [
                "the new member needs an ID: allocate one",
                "the new member needs an ID: allocate one",
                "the new member needs a peer URL",
                "the new member needs its store UUID: ask it by Inspect",
                "a voter is listed twice",
            ]
        );
        assert!(learner(Some(member())).is_ok());
        assert_eq!(allocation_key("k".repeat(128)).unwrap().len(), 128);
        for bad in [String::new(), "k".repeat(129)] {
            let refused = allocation_key(bad).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn errors_say_who_leads_and_what_is_unknown() {
        let said = [
            Error::NotLeader(Some(3)),
            Error::NotLeader(None),
            Error::Failed(crate::consensus::Failure::TimedOut),
        ]
        .map(|e| {
            let status = from_error(e);
            format!("{:?}: {}", status.code(), status.message())
        });
        assert_eq!(
            said,
            [
                "FailedPrecondition: not the leader; the leader is 3",
                "FailedPrecondition: not the leader; the leader is unknown",
                "Unavailable: request timed out: it may or may not come to pass",
            ]
        );
    }
}
