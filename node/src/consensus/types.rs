//! openraft's types as this program uses them, and how its values are written.
//!
//! Nothing outside `consensus` and `peer` sees openraft. On disk and on the wire
//! stand only the messages of `peer.proto`, never openraft's own serialization.

use bytes::{BufMut, Bytes, BytesMut};
use kvorum_proto::log::{Command, Reply};
use kvorum_proto::peer;
use openraft::impls::leader_id_std::LeaderId;
use openraft::{EntryPayload, entry::RaftEntry};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

/// A member's ID.
pub type MemberId = u64;

/// An encoded command with its kind byte in front: as it stands in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(Bytes);

const KIND_BLANK: u8 = 0;
const KIND_COMMAND: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

fn prefixed(kind: u8, message: &impl Message) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + message.encoded_len());
    out.put_u8(kind);
    // A growing buffer has room for any message.
    let _ = message.encode(&mut out);
    out.freeze()
}

impl Proposal {
    /// Encodes a command.
    #[must_use]
    pub fn new(command: &Command) -> Self {
        Self(prefixed(KIND_COMMAND, command))
    }

    /// From the command's own encoding, as another member sent it.
    #[must_use]
    pub fn from_encoded(command: &[u8]) -> Self {
        let mut out = BytesMut::with_capacity(1 + command.len());
        out.put_u8(KIND_COMMAND);
        out.extend_from_slice(command);
        Self(out.freeze())
    }

    /// The command's encoding.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        self.0.slice(1..)
    }

    /// Bytes it takes in the log.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Decodes the command. A command of a newer version decodes to one without an
    /// operation, which every member refuses alike.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::decode(self.encoded()).unwrap_or_default()
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The answer to an applied entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied(pub Reply);

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reply")
    }
}

/// What the membership says of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Its zone, if it has one.
    pub zone: String,
    /// Store UUID given when the cluster was formed; empty: unknown.
    pub store_uuid: String,
    /// Added as a voter: gets its vote once its log has caught up.
    pub becomes_voter: bool,
}

openraft::declare_raft_types!(
    /// The type configuration.
    pub Types:
        D = Proposal,
        R = Applied,
        NodeId = MemberId,
        Node = Node,
        LeaderId = LeaderId<u64, MemberId>,
        AsyncRuntime = openraft_rt_tokio::TokioRuntime,
);

/// A log position.
pub type LogId = openraft::type_config::alias::LogIdOf<Types>;
/// A vote.
pub type Vote = openraft::type_config::alias::VoteOf<Types>;
/// A log entry.
pub type Entry = openraft::type_config::alias::EntryOf<Types>;
/// A membership with its position.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
/// A membership.
pub type Membership = openraft::Membership<MemberId, Node>;

/// A log position from its parts.
#[must_use]
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// What cannot be read back.
fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} does not decode"),
    )
}

/// The payload of an entry as it stands in the log.
#[must_use]
pub fn encode_payload(entry: &Entry) -> Bytes {
    match &entry.payload {
        EntryPayload::Blank => Bytes::from_static(&[KIND_BLANK]),
        EntryPayload::Normal(proposal) => proposal.0.clone(),
        EntryPayload::Membership(m) => prefixed(KIND_MEMBERSHIP, &membership_to_wire(m)),
    }
}

/// The inverse of [`encode_payload`].
///
/// # Errors
/// If the bytes make no sense.
pub fn decode_entry(id: LogId, payload: Bytes) -> io::Result<Entry> {
    let payload = match payload.first() {
        Some(&KIND_BLANK) => EntryPayload::Blank,
        Some(&KIND_COMMAND) => EntryPayload::Normal(Proposal(payload)),
        Some(&KIND_MEMBERSHIP) => {
            let wire = peer::Membership::decode(payload.slice(1..))
                .map_err(|_| damaged("a membership entry"))?;
            EntryPayload::Membership(membership_from_wire(wire)?)
        }
        _ => return Err(damaged("an entry")),
    };
    Ok(Entry::new(id, payload))
}

/// For the wire.
#[must_use]
pub fn node_to_wire(id: MemberId, node: &Node) -> peer::Node {
    peer::Node {
        id,
        name: node.name.clone(),
        peer_urls: node.peer_urls.clone(),
        zone: node.zone.clone(),
        store_uuid: node.store_uuid.clone(),
        becomes_voter: node.becomes_voter,
    }
}

/// From the wire.
#[must_use]
pub fn node_from_wire(node: peer::Node) -> (MemberId, Node) {
    let inner = Node {
        name: node.name,
        peer_urls: node.peer_urls,
        zone: node.zone,
        store_uuid: node.store_uuid,
        becomes_voter: node.becomes_voter,
    };
    (node.id, inner)
}

/// For the wire.
#[must_use]
pub fn membership_to_wire(membership: &Membership) -> peer::Membership {
    let configs = membership
        .get_joint_config()
        .iter()
        .map(|ids| peer::VoterSet {
            ids: ids.iter().copied().collect(),
        });
    let nodes = membership.nodes().map(|(id, node)| node_to_wire(*id, node));
    peer::Membership {
        configs: configs.collect(),
        nodes: nodes.collect(),
    }
}

fn membership_from_wire(wire: peer::Membership) -> io::Result<Membership> {
    let configs: Vec<BTreeSet<MemberId>> = wire
        .configs
        .into_iter()
        .map(|set| set.ids.into_iter().collect())
        .collect();
    let nodes: BTreeMap<MemberId, Node> = wire.nodes.into_iter().map(node_from_wire).collect();
    Membership::new(configs, nodes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}

/// A membership with its position, for the state machine to keep.
#[must_use]
pub fn encode_stored(stored: &StoredMembership) -> Bytes {
    let wire = peer::StoredMembership {
        log_id: stored.log_id().map(id_to_wire),
        membership: Some(membership_to_wire(stored.membership())),
    };
    wire.encode_to_vec().into()
}

/// The inverse of [`encode_stored`]; empty bytes are the empty membership.
///
/// # Errors
/// If the bytes make no sense.
pub fn decode_stored(data: Bytes) -> io::Result<StoredMembership> {
    if data.is_empty() {
        return Ok(StoredMembership::default());
    }
    let wire = peer::StoredMembership::decode(data).map_err(|_| damaged("the membership"))?;
    let membership = membership_from_wire(wire.membership.unwrap_or_default())?;
    Ok(StoredMembership::new(
        wire.log_id.map(id_from_wire),
        membership,
    ))
}

/// For the wire.
#[must_use]
pub fn id_to_wire(id: LogId) -> peer::LogId {
    peer::LogId {
        term: id.leader_id.term,
        index: id.index,
    }
}

/// From the wire.
#[must_use]
pub fn id_from_wire(id: peer::LogId) -> LogId {
    log_id(id.term, id.index)
}

/// For the wire.
#[must_use]
pub fn vote_to_wire(vote: &Vote) -> peer::Vote {
    peer::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

/// From the wire.
#[must_use]
pub fn vote_from_wire(vote: Option<peer::Vote>) -> Vote {
    let vote = vote.unwrap_or_default();
    Vote {
        leader_id: LeaderId {
            term: vote.term,
            voted_for: vote.node,
        },
        committed: vote.committed,
    }
}

/// For the wire.
#[must_use]
pub fn entry_to_wire(entry: &Entry) -> peer::Entry {
    let id = entry.log_id();
    peer::Entry {
        term: id.leader_id.term,
        index: id.index,
        payload: encode_payload(entry),
    }
}

/// From the wire.
///
/// # Errors
/// If the payload makes no sense.
pub fn entry_from_wire(entry: peer::Entry) -> io::Result<Entry> {
    decode_entry(log_id(entry.term, entry.index), entry.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let node = |name: &str| Node {
            name: name.to_owned(),
            peer_urls: vec![format!("http://{name}:2380")],
            zone: "zone-a".to_owned(),
            store_uuid: "u".to_owned(),
            becomes_voter: name == "b",
        };
        let nodes = BTreeMap::from([(1, node("a")), (2, node("b")), (3, node("c"))]);
        Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], nodes).unwrap()
    }

    #[test]
    fn entries_come_back_from_the_log() {
        let command = Command::default();
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Proposal::new(&command)),
            EntryPayload::Membership(membership()),
        ] {
            let entry = Entry::new(log_id(3, 9), payload);
            let bytes = encode_payload(&entry);
            assert_eq!(decode_entry(log_id(3, 9), bytes).unwrap(), entry);
            assert_eq!(entry_from_wire(entry_to_wire(&entry)).unwrap(), entry);
        }
        assert!(decode_entry(log_id(1, 1), Bytes::from_static(&[9])).is_err());
        assert!(decode_entry(log_id(1, 1), Bytes::new()).is_err());
    }

    #[test]
    fn memberships_come_back_from_the_store() {
        let stored = StoredMembership::new(Some(log_id(2, 5)), membership());
        assert_eq!(decode_stored(encode_stored(&stored)).unwrap(), stored);
        assert_eq!(
            decode_stored(Bytes::new()).unwrap(),
            StoredMembership::default()
        );
    }
}
