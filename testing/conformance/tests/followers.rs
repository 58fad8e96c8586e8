//! Goal: a member that does not lead answers as the leader does.
//! Method: cases of the suite against a follower of three members.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_conformance as suite;
use kvorum_processes::{Client, Cluster, Program};

async fn follower(cluster: &Cluster) -> Client {
    let leader = cluster.leader().await;
    cluster.members[(leader + 1) % cluster.members.len()].client()
}

macro_rules! cases {
    ($($group:ident: $($case:ident),* $(,)?;)*) => {
        $(mod $group { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let cluster = crate::Cluster::start(&crate::Program::kvorum(), 3, &["--unsafe-no-fsync"]).await;
                cluster.wait_registered().await;
                crate::suite::$group::$case(&crate::follower(&cluster).await).await;
            }
        )* })*
    };
}

cases! {
    kv: revisions_count_writes, the_past_reads_as_it_was, puts_give_back_the_previous_record;
    errors: keeping_what_is_not_there_is_refused, a_large_request_is_refused, wrong_leases_are_refused;
    txn: a_branch_is_one_revision, an_impossible_read_writes_nothing;
    compaction: the_compacted_past_is_gone;
    watch: changes_come_in_order, the_past_is_replayed, progress_is_told_when_asked;
    auth: passwords_give_tokens, only_root_administers;
    permission: ranges_must_be_covered, leases_are_as_their_keys, watching_is_reading;
    health: the_server_is_healthy;
    lock: the_next_one_gets_the_lock, an_abandoned_wait_leaves_no_key, a_lost_lease_ends_the_wait;
    election: resigning_makes_room, leaders_are_observed;
    lease: revoking_deletes_the_keys, time_to_live_is_told, leases_are_kept_alive, leases_end;
}
