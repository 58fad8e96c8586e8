//! Changing who the members are: calls that only the leader answers, each compared with the membership that
//! it was decided on.

use kvorum_plan::MemberId;
use kvorum_plan::placement::Assigned;
use kvorum_proto::admin::{
    AddLearnerRequest, AllocateMemberRequest, ChangeVotersRequest, LogId, RemoveLearnerRequest,
    TransferLeaderRequest,
};

use super::{Door, MemberError, introduce};
use crate::limits::CHANGE_DEADLINE;
use crate::names::Names;

fn log((term, index): (u64, u64)) -> Option<LogId> {
    Some(LogId { term, index })
}

impl Door {
    /// An ID that no member ever had; the same one for the same key.
    ///
    /// # Errors
    /// When the leader cannot be reached or refuses.
    pub async fn allocate(&self, key: &str) -> Result<MemberId, MemberError> {
        let mut client = self.open(CHANGE_DEADLINE).await?;
        let key = key.to_owned();
        let answer = client.allocate_member(AllocateMemberRequest { key }).await;
        answer
            .map(|answer| MemberId(answer.into_inner().id))
            .map_err(|status| self.refused("AllocateMember", &status))
    }

    /// Adds a member without a vote.
    ///
    /// # Errors
    /// When the leader cannot be reached or refuses, as it does when the membership has moved.
    pub async fn add_learner(
        &self,
        names: &Names,
        expected: (u64, u64),
        member: &Assigned,
        store_uuid: &str,
    ) -> Result<bool, MemberError> {
        let mut client = self.open(CHANGE_DEADLINE).await?;
        let request = AddLearnerRequest {
            expected_membership_log: log(expected),
            member: Some(introduce(names, member, store_uuid.to_owned())),
        };
        let answer = client.add_learner(request).await;
        answer
            .map(|answer| !answer.into_inner().already)
            .map_err(|status| self.refused("AddLearner", &status))
    }

    /// Removes a member that has no vote.
    ///
    /// # Errors
    /// When the leader cannot be reached or refuses, as it does when the membership has moved.
    pub async fn remove_learner(
        &self,
        expected: (u64, u64),
        id: MemberId,
    ) -> Result<bool, MemberError> {
        let mut client = self.open(CHANGE_DEADLINE).await?;
        let request = RemoveLearnerRequest {
            expected_membership_log: log(expected),
            id: id.0,
        };
        let answer = client.remove_learner(request).await;
        answer
            .map(|answer| !answer.into_inner().already)
            .map_err(|status| self.refused("RemoveLearner", &status))
    }

    /// Gives the vote to exactly these members.
    ///
    /// # Errors
    /// When the leader cannot be reached or refuses, as it does when the membership has moved.
    pub async fn change_voters(
        &self,
        expected: (u64, u64),
        voters: &[MemberId],
    ) -> Result<bool, MemberError> {
        let mut client = self.open(CHANGE_DEADLINE).await?;
        let request = ChangeVotersRequest {
            expected_membership_log: log(expected),
            voters: voters.iter().map(|id| id.0).collect(),
        };
        let answer = client.change_voters(request).await;
        answer
            .map(|answer| !answer.into_inner().already)
            .map_err(|status| self.refused("ChangeVoters", &status))
    }

    /// Hands leadership over.
    ///
    /// # Errors
    /// When the leader cannot be reached or refuses, as it does when the target cannot lead.
    pub async fn transfer_leader(&self, to: MemberId) -> Result<bool, MemberError> {
        let mut client = self.open(CHANGE_DEADLINE).await?;
        let answer = client
            .transfer_leader(TransferLeaderRequest { target: to.0 })
            .await;
        answer
            .map(|answer| !answer.into_inner().already)
            .map_err(|status| self.refused("TransferLeader", &status))
    }
}
