//! What is written is read back, whatever it is; damage is told, never a panic.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_bolt::{Reader, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

type Buckets = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

fn write(buckets: &Buckets) -> File {
    let mut writer = Writer::new(tempfile::tempfile().unwrap()).unwrap();
    for (name, pairs) in buckets {
        writer
            .bucket(name, |add| pairs.iter().try_for_each(|(k, v)| add(k, v)))
            .unwrap();
    }
    writer.finish().unwrap()
}

fn read(file: File) -> std::io::Result<Buckets> {
    let reader = Reader::open(file)?;
    let mut buckets = Buckets::new();
    for name in reader.buckets()? {
        let mut pairs = BTreeMap::new();
        reader.bucket(&name, &mut |k, v| {
            pairs.insert(k.to_vec(), v.to_vec());
            Ok(())
        })?;
        buckets.insert(name, pairs);
    }
    Ok(buckets)
}

#[test]
fn large_buckets_have_several_levels() {
    let pairs = (0..200_000_u64).map(|n| (n.to_be_bytes().to_vec(), vec![7; 30]));
    let large = pairs.collect();
    let values = (1..40_u8).map(|n| (vec![n], vec![n; usize::from(n) * 1000]));
    let buckets = Buckets::from([
        (b"key".to_vec(), large),
        (b"values".to_vec(), values.collect()),
        (b"empty".to_vec(), BTreeMap::new()),
    ]);
    assert_eq!(read(write(&buckets)).unwrap(), buckets);
}

#[test]
fn keys_out_of_order_are_refused() {
    let mut writer = Writer::new(tempfile::tempfile().unwrap()).unwrap();
    let wrong = writer.bucket(b"b", |add| {
        add(b"2", b"")?;
        add(b"1", b"")
    });
    assert!(wrong.is_err());
}

/// Sixty pages, each of which names the next one twice, in a file that claims to have endless pages: nothing but
/// the file's length ends this walk, which is one of 2^59 steps.
#[test]
fn a_walk_ends_whatever_the_file_says_of_its_size() {
    let mut data = Vec::new();
    for id in 0..62_u64 {
        let mut page = vec![0; 4096];
        let (kind, count): (u16, u16) = match id {
            0 | 1 => (4, 0),
            61 => (2, 0),
            _ => (1, 2),
        };
        page[..8].copy_from_slice(&id.to_le_bytes());
        page[8..10].copy_from_slice(&kind.to_le_bytes());
        page[10..12].copy_from_slice(&count.to_le_bytes());
        for element in 0..usize::from(count) {
            let below = 16 + element * 16 + 8;
            page[below..below + 8].copy_from_slice(&(id + 1).to_le_bytes());
        }
        data.extend(page);
    }
    let mut meta = Vec::new();
    meta.extend([0xED0C_DAED_u32, 2, 4096, 0].map(u32::to_le_bytes).concat());
    meta.extend([2, 0, 1, u64::MAX, 1].map(u64::to_le_bytes).concat());
    let sum = meta.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    meta.extend(sum.to_le_bytes());
    data[16..16 + meta.len()].copy_from_slice(&meta);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&data).unwrap();
    let error = read(file).unwrap_err().to_string();
    assert!(error.contains("form a circle"), "{error}");
}

fn small() -> impl Strategy<Value = Buckets> {
    let bytes = |n| prop::collection::vec(any::<u8>(), 0..n);
    let pairs = prop::collection::btree_map(bytes(40), bytes(2000), 0..40);
    prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..20), pairs, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_read(buckets in small()) {
        prop_assert_eq!(read(write(&buckets)).unwrap(), buckets);
    }

    #[test]
    fn damage_never_panics(
        buckets in small(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = Vec::new();
        let mut file = write(&buckets);
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut data).unwrap();
        for (at, byte) in hits {
            let at = at.index(data.len());
            data[at] = byte;
        }
        data.truncate(data.len() - cut.index(data.len()) / 4);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        // An error or other bytes, but an end.
        let _ = read(file);
    }
}
