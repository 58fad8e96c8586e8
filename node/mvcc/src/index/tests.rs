//! What is seen, dropped and counted at every revision.

use super::*;

fn put(index: &mut Index, key: &[u8], main: i64) {
    let before = index.latest(key);
    let version = Version {
        revision: Revision { main, sub: 0 },
        create: before.map_or(main, |v| v.create),
        version: before.map_or(0, |v| v.version) + 1,
        lease: 0,
        size: 0,
    };
    index.set(key, version);
}

fn delete(index: &mut Index, key: &[u8], main: i64) {
    let version = Version {
        revision: Revision { main, sub: 0 },
        create: 0,
        version: 0,
        lease: 0,
        size: 0,
    };
    index.set(key, version);
}

fn seen(index: &Index, revision: i64) -> Option<i64> {
    index.at(b"k", revision).map(|f| f.revision().main)
}

fn history() -> Index {
    let mut index = Index::default();
    put(&mut index, b"k", 2);
    put(&mut index, b"k", 4);
    delete(&mut index, b"k", 6);
    put(&mut index, b"k", 8);
    index
}

#[test]
fn every_past_revision_is_seen_as_it_was() {
    let index = history();
    let all: Vec<_> = (1..10).map(|r| seen(&index, r)).collect();
    assert_eq!(
        all,
        [
            None,
            Some(2),
            Some(2),
            Some(4),
            Some(4),
            None,
            None,
            Some(8),
            Some(8)
        ]
    );
    assert_eq!(index.live(), 1);
}

#[test]
fn sweeping_keeps_what_is_readable_from_the_revision_on() {
    // compacted at -> records dropped
    let cases: &[(i64, &[i64])] = &[
        (1, &[]),
        (2, &[]),
        (3, &[]),
        (4, &[2]),
        (5, &[2]),
        (6, &[2, 4]),
        (7, &[2, 4, 6]),
        (8, &[2, 4, 6]),
        (9, &[2, 4, 6]),
    ];
    for (at, expected) in cases {
        let mut index = history();
        let before: Vec<_> = (*at..10).map(|r| seen(&index, r)).collect();
        let mut dropped = Vec::new();
        assert!(
            index
                .sweep(b"", *at, 10, |r, _| dropped.push(r.main))
                .is_none()
        );
        assert_eq!(dropped, *expected, "at {at}");
        assert_eq!(
            (*at..10).map(|r| seen(&index, r)).collect::<Vec<_>>(),
            before
        );
    }
}

#[test]
fn a_deleted_key_disappears_only_after_its_deletion_is_compacted() {
    let mut index = Index::default();
    put(&mut index, b"k", 2);
    delete(&mut index, b"k", 3);
    let mut dropped = Vec::new();
    index.sweep(b"", 3, 10, |r, _| dropped.push(r.main));
    assert_eq!(dropped, [2]);
    index.sweep(b"", 4, 10, |r, _| dropped.push(r.main));
    assert_eq!(dropped, [2, 3]);
    assert!(index.keys.is_empty());
}

#[test]
fn every_range_is_counted_as_a_walk_counts_it() {
    let mut index = Index::default();
    let mut random = 0x9e37_79b9_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let key = |n: u64| format!("{n:03}").into_bytes();
    let mut most = 0;
    for step in 0..6000 {
        let main = i64::from(step) + 2;
        // Mostly growing, then mostly shrinking, twice.
        let grows = step / 1500 % 2 == 0;
        match (next(10), grows) {
            (0..=6, true) | (0..=1, false) => put(&mut index, &key(next(400)), main),
            (9, _) => drop(index.sweep(b"", main, 30, |_, _| ())),
            _ => {
                let key = key(next(400));
                if index.latest(&key).is_some() {
                    delete(&mut index, &key, main);
                }
            }
        }
        most = most.max(index.census.districts());
        let (a, b) = (key(next(401)), key(next(401)));
        for range in [
            KeyRange::Span(&a, &b),
            KeyRange::From(&a),
            KeyRange::One(&a),
        ] {
            let walked = index.range(range, i64::MAX).count();
            assert_eq!(index.count(range), walked, "step {step}: {range:?}");
        }
    }
    assert!(most > 20, "districts are divided");
    for n in 0..400 {
        if index.latest(&key(n)).is_some() {
            delete(&mut index, &key(n), 9000);
        }
    }
    index.sweep(b"", 9001, 1000, |_, _| ());
    assert_eq!(index.census.districts(), 1, "districts are joined again");
}

#[test]
fn a_sweep_goes_on_where_it_stopped() {
    let mut index = Index::default();
    for key in [b"a", b"b", b"c"] {
        put(&mut index, key, 2);
        put(&mut index, key, 3);
    }
    let mut from: Box<[u8]> = Box::default();
    let mut dropped = 0;
    let mut slices = 0;
    while let Some(next) = index.sweep(&from, 3, 1, |_, _| dropped += 1) {
        (from, slices) = (next, slices + 1);
    }
    assert_eq!((dropped, slices), (3, 2));
}
