//! One connection between two members: its hello, and its frames.
//!
//! A frame is `length u32 | id u64 | crc32c u32 | message`. The dialler says who
//! it is and whom it expects; each side refuses a peer of another cluster, another
//! member, or a member whose data directory is not the one that its ID registered.

use super::{Context, Traffic};
use crate::addresses::{Addresses, Target};
use crate::consensus::types::{MemberId, Node};
use crate::limits::{CONNECT_TIMEOUT, FRAME_BYTES_MAX};
use crate::socket::{ReadSide, Socket, WriteSide};
use crate::tls::Port;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use kvorum_proto::peer::{Directory, Hello, Purpose, Refusal, Welcome};
use prost::Message;
use std::io;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// First bytes of a peer connection; anything else on the port is HTTP.
pub const PREFACE: &[u8; 4] = b"KVP1";
/// Version of the frames and messages.
pub const VERSION: u32 = 1;

/// Both directions of a connection.
pub struct Link {
    /// From the peer.
    pub reader: LinkReader,
    /// To the peer.
    pub writer: LinkWriter,
}

/// From the peer.
pub struct LinkReader(FramedRead<ReadSide, LengthDelimitedCodec>);
/// To the peer.
pub struct LinkWriter(FramedWrite<WriteSide, LengthDelimitedCodec>);

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(FRAME_BYTES_MAX)
        .new_codec()
}

fn garbage(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a peer sent {what}"))
}

impl LinkReader {
    /// The next frame; `None` when the peer has closed the connection.
    /// May be dropped and called again without losing bytes.
    ///
    /// # Errors
    /// If the connection breaks or the frame is damaged.
    pub async fn next(&mut self, traffic: &Traffic) -> io::Result<Option<(u64, Bytes)>> {
        let Some(frame) = self.0.next().await else {
            return Ok(None);
        };
        let mut frame = frame?.freeze();
        traffic.note_received(frame.len() + 4);
        if frame.len() < 12 {
            return Err(garbage("a short frame"));
        }
        let id = frame.get_u64_le();
        if frame.get_u32_le() != crc32c::crc32c(&frame) {
            return Err(garbage("a damaged frame"));
        }
        Ok(Some((id, frame)))
    }

    /// The next frame's message; an end of the connection is an error.
    ///
    /// # Errors
    /// As for [`LinkReader::next`].
    pub async fn expect<M: Message + Default>(
        &mut self,
        traffic: &Traffic,
    ) -> io::Result<(u64, M)> {
        let (id, data) = self
            .next(traffic)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let message = M::decode(data).map_err(|_| garbage("a message that does not decode"))?;
        Ok((id, message))
    }
}

impl LinkWriter {
    /// Sends one frame.
    ///
    /// # Errors
    /// If the connection breaks. Must not be dropped halfway: the peer would see garbage.
    pub async fn send(
        &mut self,
        traffic: &Traffic,
        id: u64,
        message: &impl Message,
    ) -> io::Result<()> {
        let mut body = BytesMut::with_capacity(12 + message.encoded_len());
        body.put_u64_le(id);
        body.put_u32_le(0);
        message.encode(&mut body).map_err(io::Error::other)?;
        let crc = crc32c::crc32c(&body[12..]);
        body[8..12].copy_from_slice(&crc.to_le_bytes());
        traffic.note_sent(body.len() + 4);
        self.0.send(body.freeze()).await
    }
}

/// The host and port of a peer URL, and whether TLS is spoken there.
///
/// # Errors
/// If it is not `http://host:port` or `https://host:port`.
pub fn address(url: &str) -> io::Result<(bool, &str)> {
    let rest = |scheme| url.strip_prefix(scheme).map(|r| r.trim_end_matches('/'));
    match (rest("https://"), rest("http://")) {
        (Some(address), _) => Ok((true, address)),
        (None, Some(address)) => Ok((false, address)),
        (None, None) => Err(io::Error::other(format!(
            "peer URL {url} is not of the form http(s)://host:port"
        ))),
    }
}

/// Wraps an accepted or dialled socket.
#[must_use]
pub fn wrap(socket: Socket) -> Link {
    let (reader, writer) = socket.split();
    Link {
        reader: LinkReader(FramedRead::with_capacity(reader, codec(), 64 << 10)),
        writer: LinkWriter(FramedWrite::new(writer, codec())),
    }
}

/// Why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It said no.
    #[error("member {id} refused the connection: {text}")]
    Refused {
        /// Whom we dialled.
        id: MemberId,
        /// Its reason.
        reason: Refusal,
        /// Its words.
        text: String,
    },
    /// It could not be reached.
    #[error("member {id} cannot be reached at {url}: {source}")]
    Io {
        /// Whom we dialled.
        id: MemberId,
        /// Where.
        url: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// Connects to a member and says hello, trying its URLs in turn.
///
/// # Errors
/// See [`DialError`].
pub async fn dial(
    context: &Context,
    id: MemberId,
    node: &Node,
    purpose: Purpose,
) -> Result<Link, DialError> {
    let mut last = DialError::Io {
        id,
        url: String::new(),
        source: io::Error::other("it has no peer URL"),
    };
    // Where it is by now, as far as this member knows.
    let node = context.node(id).unwrap_or_else(|| node.clone());
    for url in &node.peer_urls {
        let failed = |source| DialError::Io {
            id,
            url: url.clone(),
            source,
        };
        let (https, target) = match address(url) {
            Ok((https, address)) => (https, context.addresses.target(address)),
            Err(source) => {
                last = failed(source);
                continue;
            }
        };
        let greeting = hello(context, (id, &node), purpose, (https, &target));
        let outcome = tokio::time::timeout(CONNECT_TIMEOUT, greeting).await;
        if !matches!(outcome, Ok(Ok(Ok(_)))) {
            target.failed();
        }
        match outcome {
            Ok(Ok(Ok(link))) => return Ok(link),
            Ok(Ok(Err(welcome))) => {
                if welcome.reason() == Refusal::Removed {
                    context.removed.cancel();
                }
                return Err(DialError::Refused {
                    id,
                    reason: welcome.reason(),
                    text: welcome.refused,
                });
            }
            Ok(Err(source)) => last = failed(source),
            Err(_) => last = failed(io::ErrorKind::TimedOut.into()),
        }
    }
    context.traffic.note_failure();
    Err(last)
}

/// Asks the member at `url` who the members of its cluster are.
///
/// # Errors
/// If it cannot be reached or does not tell.
pub async fn look_up(url: &str, port: &Port) -> io::Result<Directory> {
    let asking = async {
        let traffic = super::Traffic::default();
        let (https, address) = address(url)?;
        let addresses = Addresses::default();
        let mut link = connect(port, https, &addresses.target(address)).await?;
        let hello = Hello {
            version: VERSION,
            purpose: Purpose::Lookup.into(),
            ..Hello::default()
        };
        link.writer.send(&traffic, 0, &hello).await?;
        let (_, welcome) = link.reader.expect::<Welcome>(&traffic).await?;
        if !welcome.refused.is_empty() {
            return Err(io::Error::other(welcome.refused));
        }
        Ok(link.reader.expect::<Directory>(&traffic).await?.1)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, asking)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn connect(port: &Port, https: bool, target: &Target<'_>) -> io::Result<Link> {
    let mut socket = port.call(https, target).await?;
    tokio::io::AsyncWriteExt::write_all(&mut socket, PREFACE).await?;
    Ok(wrap(socket))
}

async fn hello(
    context: &Context,
    (id, node): (MemberId, &Node),
    purpose: Purpose,
    (https, target): (bool, &Target<'_>),
) -> io::Result<Result<Link, Welcome>> {
    let mut link = connect(&context.peer_port, https, target).await?;
    let hello = Hello {
        version: VERSION,
        cluster_id: context.identity.cluster_id,
        from: context.identity.member_id,
        from_store: context.identity.store_uuid.clone(),
        to: id,
        to_store: context.known_store(id, Some(node)),
        purpose: purpose.into(),
    };
    link.writer.send(&context.traffic, 0, &hello).await?;
    let (_, welcome) = link.reader.expect::<Welcome>(&context.traffic).await?;
    Ok(if welcome.refused.is_empty() {
        Ok(link)
    } else {
        Err(welcome)
    })
}

fn refuse(reason: Refusal, refused: String) -> Welcome {
    Welcome {
        refused,
        reason: reason.into(),
    }
}

/// Whether to tell this one who the members are; pure.
#[must_use]
pub fn judge_newcomer(hello: &Hello) -> Welcome {
    if hello.version != VERSION {
        let text = format!("peer protocol {} is not {VERSION}", hello.version);
        return refuse(Refusal::Version, text);
    }
    Welcome::default()
}

/// Whether to talk to someone who says this; pure.
#[must_use]
pub fn judge(
    hello: &Hello,
    us: &kvorum_storage::identity::Identity,
    known_store: &str,
    removed: bool,
) -> Welcome {
    let welcome = judge_newcomer(hello);
    if !welcome.refused.is_empty() {
        return welcome;
    }
    if hello.cluster_id != us.cluster_id {
        let text = format!(
            "cluster ID mismatch: the sender belongs to cluster {:016x}, this member to {:016x}",
            hello.cluster_id, us.cluster_id
        );
        return refuse(Refusal::Cluster, text);
    }
    if hello.to != us.member_id {
        let text = format!(
            "member {} was called, but this is member {}",
            hello.to, us.member_id
        );
        return refuse(Refusal::NotMe, text);
    }
    if removed {
        let text = format!(
            "member {} was removed from the cluster: its ID and its data directory must not be used again; \
             add a new member with an empty directory",
            hello.from
        );
        return refuse(Refusal::Removed, text);
    }
    if !hello.to_store.is_empty() && hello.to_store != us.store_uuid {
        let text = format!(
            "the cluster knows member {} by data directory {}, but this one is {}: a member ID with a \
             new or emptied directory must not be used again; remove the member and add a new one",
            us.member_id, hello.to_store, us.store_uuid
        );
        return refuse(Refusal::StoreOfReceiver, text);
    }
    if !known_store.is_empty() && hello.from_store != known_store {
        let text = format!(
            "member {} has already been bootstrapped with data directory {known_store}, and now comes \
             with {}: a member ID with a new or emptied directory must not be used again; remove the \
             member and add a new one",
            hello.from, hello.from_store
        );
        return refuse(Refusal::StoreOfSender, text);
    }
    Welcome::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_storage::identity::Identity;

    #[test]
    fn strangers_and_wiped_members_are_refused() {
        let us = Identity {
            format: 1,
            cluster_id: 7,
            member_id: 2,
            store_uuid: "ours".to_owned(),
        };
        let good = Hello {
            version: VERSION,
            cluster_id: 7,
            from: 1,
            from_store: "theirs".to_owned(),
            to: 2,
            to_store: "ours".to_owned(),
            purpose: Purpose::Append.into(),
        };
        let reason = |change: fn(&mut Hello), known: &str| {
            let mut hello = good.clone();
            change(&mut hello);
            judge(&hello, &us, known, false).reason()
        };
        assert_eq!(reason(|_| {}, "theirs"), Refusal::None);
        assert_eq!(reason(|h| h.to_store.clear(), ""), Refusal::None);
        assert_eq!(reason(|h| h.version = 9, ""), Refusal::Version);
        assert_eq!(reason(|h| h.cluster_id = 8, ""), Refusal::Cluster);
        assert_eq!(reason(|h| h.to = 3, ""), Refusal::NotMe);
        assert_eq!(
            reason(|h| h.to_store = "x".to_owned(), ""),
            Refusal::StoreOfReceiver
        );
        assert_eq!(reason(|_| {}, "older"), Refusal::StoreOfSender);
        let removed = judge(&good, &us, "theirs", true);
        assert_eq!(removed.reason(), Refusal::Removed);
    }

    #[test]
    fn peer_urls_have_one_form() {
        assert_eq!(address("http://a.b:2380/").unwrap(), (false, "a.b:2380"));
        assert_eq!(address("https://a:1").unwrap(), (true, "a:1"));
        assert!(address("unix://a").is_err());
    }
}
