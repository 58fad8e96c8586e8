//! Goal: partitions that are not clean come to an end: a leader that sees only a bridge, or is
//! heard and does not hear, is replaced, and a follower that was away comes back without an election.
//! Method: processes in network namespaces, links cut one by one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::limits::{LIMIT, WINDOW, WRITER_PAUSE};
use kvorum_faults::report::{Table, seconds};
use kvorum_faults::rules::{Cut, one_way, stations};
use kvorum_faults::{World, network::OBSERVER};
use kvorum_processes::load::Load;

const FIVE: [&str; 5] = ["m1", "m2", "m3", "m4", "m5"];

fn load(world: &World, prefix: &str) -> Load {
    let writer = || world.clients(OBSERVER, "m");
    Load::start_with(vec![writer(), writer(), writer()], prefix, WRITER_PAUSE)
}

/// Cuts these links with m1 leading; whoever leads then, somebody serves. Heals.
async fn comes_to_an_end(world: &World, name: &str, links: &[Cut], table: &mut Table) {
    world.cluster.move_leader(0).await;
    let (_, term) = world.agreed().await;
    let load = load(world, &format!("load/{name}/"));
    load.more(50, LIMIT).await;
    world.network.cut(links);
    let (leader, elected) = world.elected(term).await;
    load.more(50, LIMIT).await;
    world.network.heal();
    let (_, healed) = world.agreed().await;
    load.more(50, LIMIT).await;
    let outcome = load.stop().await;
    for member in &world.cluster.members {
        outcome.verify(&member.client()).await;
    }
    table.row(&[
        name.to_owned(),
        FIVE[leader].to_owned(),
        seconds(outcome.longest_gap),
        (elected - term).to_string(),
        (healed - elected).to_string(),
        format!("0 of {}", outcome.acknowledged.len()),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_only_half_connected_is_replaced() {
    let world = World::start(&FIVE, &[], &[]).await;
    let mut table = Table::new(&[
        "m1 leads, then",
        "leads afterwards",
        "longest time without a write",
        "elections",
        "elections by the heal",
        "acknowledged writes lost",
    ]);
    let only_m2 = ["m3", "m4", "m5"]
        .map(|other| stations("m1", other))
        .concat();
    comes_to_an_end(&world, "m1 reaches only m2", &only_m2, &mut table).await;
    // The bridge is needed for the other side's majority, and hears the old leader too.
    let m5_alone = ["m2", "m3", "m4"]
        .map(|other| stations("m5", other))
        .concat();
    let without_m5 = [only_m2, m5_alone].concat();
    let name = "m1 reaches only m2, m5 reaches nobody";
    comes_to_an_end(&world, name, &without_m5, &mut table).await;
    let others = ["m2", "m3", "m4", "m5"];
    let deaf = others.map(|other| one_way(other, "m1"));
    comes_to_an_end(&world, "m1 hears nobody, all hear m1", &deaf, &mut table).await;
    let mute = others.map(|other| one_way("m1", other));
    comes_to_an_end(&world, "nobody hears m1, m1 hears all", &mute, &mut table).await;
    table.write("bridges");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_away_comes_back_without_an_election() {
    let world = World::start(&FIVE[..3], &[], &[]).await;
    let (leader, term) = world.agreed().await;
    let away = (leader + 1) % 3;
    let load = load(&world, "load/");
    load.more(50, LIMIT).await;
    let others = (0..3).filter(|i| *i != away);
    let links: Vec<Cut> = others.flat_map(|i| stations(FIVE[away], FIVE[i])).collect();
    world.network.cut(&links);
    // Long enough for it to want many elections.
    tokio::time::sleep(2 * WINDOW).await;
    let lonely = world.views().await[away].unwrap();
    assert_eq!(lonely.term, term, "it stood for election alone");
    assert_eq!(
        lonely.leader, 0,
        "it takes a leader for granted that it cannot hear"
    );
    world.network.heal();
    assert_eq!(world.agreed().await, (leader, term));
    tokio::time::sleep(WINDOW).await;
    assert_eq!(world.agreed().await, (leader, term));
    let outcome = load.stop().await;
    outcome.verify(&world.cluster.members[away].client()).await;
    println!(
        "a follower was away: longest time without a write {:?}",
        outcome.longest_gap
    );
}
