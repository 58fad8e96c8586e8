//! Goal: three, five and seven members over three zones survive that the leader's zone loses its
//! power under write load: the others go on, nothing acknowledged is lost, and the zone's return
//! elects nobody.
//! Method: the zone's links are cut first, so that no connection is closed, then its members are
//! killed; writers in the two other zones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::limits::{LIMIT, WRITER_PAUSE};
use kvorum_faults::report::{Table, seconds};
use kvorum_faults::{World, rules};
use kvorum_processes::load::Load;

/// Members by zone, the leader's zone first.
const LAYOUTS: [&[&str]; 3] = [
    &["a1", "b1", "c1"],
    &["a1", "a2", "b1", "b2", "c1"],
    &["a1", "a2", "a3", "b1", "b2", "c1", "c2"],
];

async fn loses_power(stations: &[&str], table: &mut Table) {
    let mut world = World::start(stations, &["bx", "cx"], &[]).await;
    world.cluster.move_leader(0).await;
    let (_, term) = world.agreed().await;
    let writers = ["b", "c"].map(|zone| world.clients(&format!("{zone}x"), zone));
    let load = Load::start_with(writers.to_vec(), "load/", WRITER_PAUSE);
    load.more(50, LIMIT).await;

    let dark = stations.iter().filter(|name| name.starts_with('a')).count();
    let links = ['b', 'c', 'o']
        .map(|other| rules::zones('a', other))
        .concat();
    world.network.cut(&links);
    for member in &mut world.cluster.members[..dark] {
        member.kill();
    }
    let (_, elected) = world.elected(term).await;
    load.more(100, LIMIT).await;
    world.network.heal();
    world.cluster.start_all().await;
    let (_, returned) = world.agreed().await;
    load.more(50, LIMIT).await;
    assert_eq!(returned, elected, "the zone's return caused an election");
    let outcome = load.stop().await;
    for member in &world.cluster.members {
        outcome.verify(&member.client()).await;
    }
    table.row(&[
        stations.len().to_string(),
        format!("{dark} with the leader"),
        seconds(outcome.longest_gap),
        (elected - term).to_string(),
        (returned - elected).to_string(),
        format!("0 of {}", outcome.acknowledged.len()),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaders_zone_loses_power_under_load() {
    let mut table = Table::new(&[
        "members",
        "without power",
        "longest time without a write",
        "elections",
        "elections by the return",
        "acknowledged writes lost",
    ]);
    for stations in LAYOUTS {
        loses_power(stations, &mut table).await;
    }
    table.write("power");
}
