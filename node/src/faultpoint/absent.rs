//! The steps in a build without fault points: nothing happens at any of them.

use crate::consensus::types::{Entry, LogId, MemberId, Types};
use kvorum_proto::peer::AppendReply;
use openraft::raft::AppendEntriesRequest;

#[inline]
pub(crate) fn appending(_entry: &Entry) {}

#[inline]
pub(crate) fn flushed(_last: u64) {}

#[inline]
pub(crate) async fn sending(_to: MemberId, _request: &AppendEntriesRequest<Types>) {}

#[inline]
pub(crate) async fn answered(_by: MemberId, _told: Option<LogId>, _reply: &AppendReply) {}

#[inline]
pub(crate) fn applying(_index: u64) {}

#[inline]
pub(crate) async fn answering(_last: u64) {}
