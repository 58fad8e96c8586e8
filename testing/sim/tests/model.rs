//! Goal: the real planner keeps every rule, in all orders of small worlds as far as a minute reaches, and in
//! long walks; and what is asked for comes about. Method: see the crate; `cargo xtask model-check` goes on
//! for longer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_sim::limits::{STATES_DEFAULT, WALK_LENGTH, WALKS_DEFAULT};
use kvorum_sim::suite::{Report, run_searches, run_walks};

fn unbroken(report: &Report) {
    for line in &report.lines {
        println!("{line}");
    }
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
}

#[test]
fn no_rule_is_broken_in_any_order_in_small_worlds() {
    unbroken(&run_searches(STATES_DEFAULT));
}

#[test]
fn no_rule_is_broken_on_long_walks_and_what_is_asked_for_comes_about() {
    unbroken(&run_walks(1, WALKS_DEFAULT, WALK_LENGTH));
}
