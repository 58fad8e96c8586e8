//! What a member said, as the planner wants it. Pure.

use kvorum_plan::observed::{Life, Membership, Report, Seat};
use kvorum_plan::{MemberId, Zone};
use kvorum_proto::admin::{InspectResponse, Member, MemberState};

/// Reads an answer.
pub(super) fn read(answer: InspectResponse, confirmed: bool) -> Report {
    let life = match answer.state() {
        MemberState::Unspecified | MemberState::Candidate => Life::Candidate,
        MemberState::Waiting => Life::Waiting,
        MemberState::Learner => Life::Learner,
        MemberState::Follower => Life::Follower,
        MemberState::Leader => Life::Leader,
        MemberState::Removed => Life::Removed,
    };
    let log = answer.membership_log.unwrap_or_default();
    let last = answer.last_log.unwrap_or_default().index;
    let leads = life == Life::Leader;
    let seats = answer.members.iter();
    let seats = seats.map(|member| (MemberId(member.id), seat(member, leads, last)));
    Report {
        store_uuid: answer.store_uuid,
        life,
        initialized: answer.initialized,
        ready: answer.ready,
        confirmed,
        leader: (answer.leader_id != 0).then_some(MemberId(answer.leader_id)),
        term: answer.term,
        membership: Membership {
            log: (log.term, log.index),
            // What is not committed may yet be undone: half done, too.
            joint: answer.joint || log.index > answer.committed.unwrap_or_default().index,
            seats: seats.collect(),
            removed: answer.removed.iter().copied().map(MemberId).collect(),
        },
        version: answer.version,
    }
}

fn seat(member: &Member, leads: bool, last: u64) -> Seat {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    Seat {
        voter: member.voter,
        zone: some(&member.zone).map(Zone::new),
        store_uuid: some(&member.store_uuid),
        lag: (leads && member.heard).then(|| last.saturating_sub(member.matched_index)),
        heard_millis: (leads && member.heard).then_some(member.heard_ago_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_proto::admin::LogId;

    #[test]
    fn only_a_leader_says_who_lags() {
        let member = |id, heard| Member {
            id,
            voter: id != 3,
            zone: "east".to_owned(),
            store_uuid: format!("store-{id}"),
            matched_index: 90,
            heard_ago_millis: 20,
            heard,
            ..Member::default()
        };
        let mut answer = InspectResponse {
            state: MemberState::Leader.into(),
            last_log: Some(LogId {
                term: 0,
                index: 100,
            }),
            membership_log: Some(LogId { term: 2, index: 7 }),
            committed: Some(LogId { term: 2, index: 7 }),
            members: vec![member(2, true), member(3, false)],
            removed: vec![1],
            ..InspectResponse::default()
        };
        let report = read(answer.clone(), true);
        assert_eq!(report.membership.log, (2, 7));
        assert_eq!(report.membership.removed, [MemberId(1)].into());
        let well = Seat {
            voter: true,
            zone: Some(Zone::new("east")),
            store_uuid: Some("store-2".to_owned()),
            lag: Some(10),
            heard_millis: Some(20),
        };
        assert_eq!(report.membership.seats[&MemberId(2)], well);
        let silent = &report.membership.seats[&MemberId(3)];
        assert_eq!(
            (silent.voter, silent.lag, silent.heard_millis),
            (false, None, None)
        );
        assert!(!report.membership.joint);
        answer.committed = Some(LogId { term: 2, index: 6 });
        assert!(
            read(answer.clone(), true).membership.joint,
            "not committed yet"
        );
        answer.state = MemberState::Follower.into();
        let follower = read(answer, true);
        assert_eq!(follower.membership.seats[&MemberId(2)].lag, None);
    }
}
