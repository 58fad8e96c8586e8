//! Alarms, announced downgrades, and IDs for new members.

use super::Write;
use crate::Rejection;
use crate::rows;
use crate::store::Error;
use kvorum_proto::etcdserverpb::alarm_request::AlarmAction;
use kvorum_proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmResponse, AlarmType};
use kvorum_proto::log::AllocateMember;

fn named(request: &AlarmRequest) -> AlarmMember {
    AlarmMember {
        member_id: request.member_id,
        alarm: request.alarm,
    }
}

impl Write<'_> {
    /// Raises or clears one alarm, named by its member and kind; answers it if it is
    /// or was there.
    pub(super) fn alarm(&mut self, request: &AlarmRequest) -> AlarmResponse {
        let concerned = match request.action() {
            AlarmAction::Get => None,
            AlarmAction::Activate => self.raise(request),
            AlarmAction::Deactivate => self.clear(request),
        };
        AlarmResponse {
            header: crate::range::header(self.state.revision),
            alarms: concerned.into_iter().collect(),
        }
    }

    fn clear(&mut self, request: &AlarmRequest) -> Option<AlarmMember> {
        let alarm = named(request);
        if !self.state.alarms.remove(&(alarm.member_id, alarm.alarm)) {
            return None;
        }
        self.keep(&alarm, false);
        Some(alarm)
    }

    fn raise(&mut self, request: &AlarmRequest) -> Option<AlarmMember> {
        if request.alarm() == AlarmType::None {
            return None;
        }
        let alarm = named(request);
        if self.state.alarms.insert((alarm.member_id, alarm.alarm)) {
            self.keep(&alarm, true);
        }
        Some(alarm)
    }

    fn keep(&mut self, alarm: &AlarmMember, raised: bool) {
        let row = rows::alarm(alarm.member_id, alarm.alarm, raised);
        self.state.rows.push(row);
    }

    /// Announces a downgrade, or (empty) calls it off.
    pub(super) fn downgrade(&mut self, target: String) -> Result<i64, Error> {
        if !self.state.downgrade.is_empty() && !target.is_empty() {
            return Err(Rejection::DowngradeInProgress.into());
        }
        self.state.downgrade = target;
        Ok(self.state.revision)
    }

    /// An ID for a new member, above those of all that ever were.
    pub(super) fn allocate(&mut self, request: AllocateMember) -> Result<u64, Error> {
        let known = self.state.members.keys().next_back().copied();
        let id = self
            .state
            .allocations
            .allocate(request, known.unwrap_or(0))?;
        Ok(id)
    }
}
