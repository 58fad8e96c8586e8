//! As much of etcd's write-ahead log as tells a restored directory from a used one.

use prost::Message;
use std::io;
use std::path::Path;

/// One record of the log.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(bytes = "vec", optional, tag = "3")]
    data: Option<Vec<u8>>,
}

/// Whose log it is.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(uint64, tag = "1")]
    member_id: u64,
    #[prost(uint64, tag = "2")]
    cluster_id: u64,
}

/// One Raft entry; its data does not matter here.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    term: u64,
}

const METADATA: i64 = 1;
const ENTRY: i64 = 2;
/// An entry that adds a member: all that a restored log holds.
const CONFIGURATION: i32 = 1;

/// Member and cluster of a log that `etcdutl snapshot restore` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) member_id: u64,
    pub(super) cluster_id: u64,
}

fn wrong(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

/// Reads the log in `dir`.
///
/// # Errors
/// If it cannot be read, or a member has run on it.
pub(super) fn owner(dir: &Path) -> io::Result<Owner> {
    let mut names: Vec<_> = std::fs::read_dir(dir)?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "wal"))
        .collect();
    names.sort();
    let [only] = &names[..] else {
        return Err(wrong(
            "its log is not the one segment of a restored directory",
        ));
    };
    parse(&std::fs::read(only)?)
}

fn parse(mut data: &[u8]) -> io::Result<Owner> {
    let mut owner = None;
    while let Some((length, rest)) = data.split_first_chunk::<8>() {
        // The low 56 bits are the record's length, the rest says how it is padded.
        let field = u64::from_le_bytes(*length);
        let length = usize::try_from(field & 0x00FF_FFFF_FFFF_FFFF).unwrap_or(usize::MAX);
        if field == 0 {
            break;
        }
        let padding = if field >> 63 == 1 {
            (field >> 56) & 7
        } else {
            0
        };
        let padded = length.saturating_add(padding as usize);
        if padded > rest.len() {
            return Err(wrong("its log is cut short"));
        }
        let record = Record::decode(&rest[..length]).map_err(|_| wrong("its log is damaged"))?;
        data = &rest[padded..];
        let body = record.data.unwrap_or_default();
        match record.kind {
            METADATA => {
                let found = Metadata::decode(&body[..]).map_err(|_| wrong("its log is damaged"))?;
                owner = Some(Owner {
                    member_id: found.member_id,
                    cluster_id: found.cluster_id,
                });
            }
            ENTRY => {
                let entry = Entry::decode(&body[..]).map_err(|_| wrong("its log is damaged"))?;
                if entry.kind != CONFIGURATION || entry.term != 1 {
                    return Err(wrong("a member has run on it"));
                }
            }
            _ => {}
        }
    }
    owner.ok_or_else(|| wrong("its log says nobody's name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: i64, data: Vec<u8>) -> Vec<u8> {
        let data = Some(data);
        let record = Record { kind, data }.encode_to_vec();
        let padding = (8 - record.len() % 8) % 8;
        let mark = if padding > 0 {
            0x80 | padding as u64
        } else {
            0
        };
        let mut out = (record.len() as u64 | mark << 56).to_le_bytes().to_vec();
        out.extend(record);
        out.extend(vec![0; padding]);
        out
    }

    fn log(entries: &[Entry]) -> Vec<u8> {
        let metadata = Metadata {
            member_id: 7,
            cluster_id: 9,
        };
        let mut out = framed(4, Vec::new());
        out.extend(framed(METADATA, metadata.encode_to_vec()));
        for entry in entries {
            out.extend(framed(ENTRY, entry.encode_to_vec()));
        }
        out.extend([0; 64]);
        out
    }

    #[test]
    fn only_a_restored_log_is_taken() {
        let added = Entry { kind: 1, term: 1 };
        let restored = parse(&log(&[added.clone(), added.clone()])).unwrap();
        let expected = Owner {
            member_id: 7,
            cluster_id: 9,
        };
        assert_eq!(restored, expected);
        let used = Entry { kind: 0, term: 2 };
        let error = parse(&log(&[added.clone(), used])).unwrap_err();
        assert!(error.to_string().contains("has run on it"));
        let mut cut = log(&[added]);
        cut.truncate(40);
        assert!(parse(&cut).is_err());
    }
}
