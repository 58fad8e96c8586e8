//! Goal: kvorum-node answers as etcd does.
//! Method: every case of the suite, on a fresh one-member server of each kind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_conformance as suite;
use kvorum_processes::{Cluster, Program};

async fn fresh(program: Program) -> Cluster {
    let cluster = Cluster::start(&program, 1, &["--unsafe-no-fsync"]).await;
    cluster.wait_registered().await;
    cluster
}

macro_rules! cases {
    ($($group:ident: $($case:ident),* $(,)?;)*) => {
        mod etcd {
            $(mod $group { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let cluster = crate::fresh(crate::Program::etcd()).await;
                    crate::suite::$group::$case(&cluster.members[0].client()).await;
                }
            )* })*
        }
        mod kvorum {
            $(mod $group { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let cluster = crate::fresh(crate::Program::kvorum()).await;
                    crate::suite::$group::$case(&cluster.members[0].client()).await;
                }
            )* })*
        }
    };
}

cases! {
    kv: revisions_count_writes, headers_are_filled_in, deletion_resets_the_version,
        deleting_nothing_keeps_the_revision, a_range_is_deleted_at_once, ranges_have_etcds_forms,
        limits_cut_and_count_goes_on, counts_and_keys_only, the_past_reads_as_it_was,
        puts_give_back_the_previous_record, a_put_may_keep_the_value, keys_and_values_are_bytes,
        serializable_reads_work;
    sorting: every_target_sorts, limits_apply_after_sorting, revision_filters_drop_records;
    errors: an_empty_key_is_refused, unknown_sort_options_are_refused, a_future_revision_is_refused,
        keeping_what_is_not_there_is_refused, a_large_request_is_refused, wrong_leases_are_refused;
    compaction: the_compacted_past_is_gone, compacting_twice_or_ahead_is_refused,
        compaction_keeps_what_is_there;
    txn: every_comparison_holds_or_not, a_missing_key_compares_as_zeroes,
        range_comparisons_hold_for_all_or_not, a_branch_is_one_revision, operations_see_earlier_ones,
        reading_keeps_the_revision, transactions_nest, colliding_writes_are_refused,
        too_many_operations_are_refused, wrong_operations_are_refused,
        an_impossible_read_writes_nothing;
    watch: changes_come_in_order, ranges_are_watched, the_past_is_replayed, the_future_is_waited_for,
        one_revision_is_one_response, previous_records_come_along, filters_leave_out,
        a_compacted_start_is_cancelled, watchers_have_ids, watchers_can_be_cancelled,
        an_empty_range_is_refused, progress_is_told_when_asked, large_revisions_come_in_fragments;
    lease: granting_gives_an_id, a_short_ttl_is_raised, revoking_deletes_the_keys,
        revoking_nothing_keeps_the_revision, keys_move_between_leases, time_to_live_is_told,
        leases_are_kept_alive, leases_end;
    maintenance: alarms_are_raised_and_cleared, the_space_alarm_refuses_what_grows,
        the_corruption_alarm_refuses_changes, hashes_belong_to_a_revision,
        defragmenting_keeps_everything, downgrades_are_announced_and_called_off,
        strangers_cannot_lead;
    streaming: pieces_add_up_to_the_range, counting_takes_one_message,
        sorting_and_filters_are_left_to_range;
    health: the_server_is_healthy, an_unknown_service_is_told, health_is_watched;
    lock: a_lock_has_a_key, a_session_may_lock_again, the_next_one_gets_the_lock, locks_go_in_order,
        a_lock_ends_with_its_lease, an_abandoned_wait_leaves_no_key, a_lost_lease_ends_the_wait,
        a_wrong_lease_cannot_lock, unlocking_nothing_is_fine;
    election: the_first_candidate_leads, a_leader_may_campaign_again, nobody_leads_at_first,
        only_the_leader_proclaims, resigning_makes_room, a_leader_key_is_needed, leaders_are_observed,
        an_abandoned_candidacy_ends;
    gateway: keys_are_put_and_read, transactions_work, errors_have_codes, what_cannot_be_read_is_refused, other_methods_are_refused,
        leases_are_kept_alive, changes_are_watched, other_services_are_there;
    auth: enabling_needs_root, users_are_managed, roles_are_managed, permissions_are_managed,
        passwords_give_tokens, only_root_administers, root_cannot_lose_itself;
    permission: ranges_must_be_covered, previous_records_need_reading, transactions_are_looked_through,
        watching_is_reading, leases_are_as_their_keys;
    admission: everybody_needs_a_name, maintenance_is_for_root, tokens_end_with_their_password,
        locking_is_writing, the_gateway_passes_tokens_on;
    metrics: the_mixin_finds_its_names;
    server: the_member_is_listed, status_is_told, no_alarm_is_on, insisting_on_a_leader_is_served;
}
