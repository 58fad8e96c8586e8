//! Goal: members that know each other by name elect a new leader and go on while no name can be
//! looked up, as when the name service went down together with the leader's zone.
//! Method: names from files that are emptied before the leader is killed; writers that know
//! addresses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::World;
use kvorum_faults::limits::{LIMIT, WRITER_PAUSE};
use kvorum_faults::names::{Names, name};
use kvorum_processes::load::Load;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_is_elected_while_no_name_can_be_looked_up() {
    let stations = ["a1", "b1", "c1"];
    let mut world = World::lay_out(&stations, &["bx", "cx"], &[]);
    let names = Names::give(&world.network, &world.stations);
    let url = |station: &str| format!("http://{}:2380", name(station));
    let numbered = (1..).zip(stations);
    let all = numbered.map(|(n, station)| format!("m{n}={}", url(station)));
    let all = all.collect::<Vec<_>>().join(",");
    for (station, member) in stations.iter().zip(&mut world.cluster.members) {
        member.set_flag("initial-advertise-peer-urls", &url(station));
        member.set_flag("initial-cluster", &all);
    }
    world.cluster.start_all().await;
    world.cluster.move_leader(0).await;
    let (_, term) = world.agreed().await;
    let writers = ["b", "c"].map(|zone| world.clients(&format!("{zone}x"), zone));
    let load = Load::start_with(writers.to_vec(), "load/", WRITER_PAUSE);
    load.more(50, LIMIT).await;
    let ids: Vec<u64> = world.views().await.iter().flatten().map(|v| v.id).collect();
    for (member, own) in world.cluster.members.iter().zip(&ids) {
        for other in ids.iter().filter(|id| *id != own) {
            member
                .prints(&format!("Reached a peer peer={other} "))
                .await;
        }
    }

    names.lose();
    world.cluster.members[0].kill();
    let (_, elected) = world.elected(term).await;
    load.more(50, LIMIT).await;
    // It can look up nobody, but it is where it was, and the others find it there.
    world.cluster.members[0].start().unwrap();
    let (_, returned) = world.agreed().await;
    load.more(50, LIMIT).await;
    names.restore();
    world.cluster.wait_ready().await;
    assert_eq!(returned, elected, "the return caused an election");
    let outcome = load.stop().await;
    println!(
        "longest time without a write: {:.2} s",
        outcome.longest_gap.as_secs_f64()
    );
    for member in &world.cluster.members {
        outcome.verify(&member.client()).await;
    }
}
