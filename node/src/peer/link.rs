//! One connection between two members: its hello, and its frames.
//!
//! A frame is `length u32 | id u64 | crc32c u32 | message`. The dialler says who
//! it is and whom it expects; each side refuses a peer of another cluster, another
//! member, or a member whose data directory is not the one that its ID registered.

use super::{Context, Traffic};
use crate::addresses::{Addresses, Target};
use crate::consensus::types::{MemberId, Node};
use crate::limits::{CONNECT_TIMEOUT, FRAME_BYTES_MAX, LINK_BUFFER_BYTES};
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
        self.feed(traffic, id, message).await?;
        self.flush().await
    }

    /// Sends what was fed.
    ///
    /// # Errors
    /// As for [`LinkWriter::send`].
    pub async fn flush(&mut self) -> io::Result<()> {
        SinkExt::<Bytes>::flush(&mut self.0).await
    }

    /// Takes one frame, to be sent with those that follow, at the latest when
    /// [`LINK_BUFFER_BYTES`] have come together.
    ///
    /// # Errors
    /// As for [`LinkWriter::send`].
    pub async fn feed(
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
        self.0.feed(body.freeze()).await
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
    let mut writer = FramedWrite::new(writer, codec());
    writer.set_backpressure_boundary(LINK_BUFFER_BYTES);
    Link {
        reader: LinkReader(FramedRead::with_capacity(
            reader,
            codec(),
            LINK_BUFFER_BYTES,
        )),
        writer: LinkWriter(writer),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls_have_one_form() {
        assert_eq!(address("http://a.b:2380/").unwrap(), (false, "a.b:2380"));
        assert_eq!(address("https://a:1").unwrap(), (true, "a:1"));
        assert!(address("unix://a").is_err());
    }
}
