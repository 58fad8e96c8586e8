//! Answers to watchers whose events are encoded once, however many watchers get them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{
    DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len,
};
use prost::{DecodeError, Message};

use crate::etcdserverpb;
use crate::mvccpb::Event;

/// The number of the field `events` in etcd's `WatchResponse`: its last one.
const EVENTS: u32 = 11;

/// An event as a field of an answer: key, length, message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEvent(Bytes);

impl EncodedEvent {
    /// Encodes it.
    #[must_use]
    pub fn new(event: &Event) -> Self {
        let len = event.encoded_len();
        let mut field =
            BytesMut::with_capacity(key_len(EVENTS) + encoded_len_varint(len as u64) + len);
        encode_key(EVENTS, WireType::LengthDelimited, &mut field);
        encode_varint(len as u64, &mut field);
        event.encode_raw(&mut field);
        Self(field.freeze())
    }

    /// Bytes that it adds to an answer.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.0.len()
    }
}

/// etcd's `WatchResponse`: the same bytes on the wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchResponse {
    /// All but the events.
    pub head: etcdserverpb::WatchResponse,
    /// The events.
    pub events: Vec<EncodedEvent>,
}

impl From<etcdserverpb::WatchResponse> for WatchResponse {
    fn from(mut head: etcdserverpb::WatchResponse) -> Self {
        let events = std::mem::take(&mut head.events);
        Self {
            head,
            events: events.iter().map(EncodedEvent::new).collect(),
        }
    }
}

impl Message for WatchResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.head.encode_raw(buf);
        for event in &self.events {
            buf.put_slice(&event.0);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let merged = self.head.merge_field(tag, wire_type, buf, ctx);
        let events = self.head.events.drain(..);
        self.events
            .extend(events.map(|event| EncodedEvent::new(&event)));
        merged
    }

    fn encoded_len(&self) -> usize {
        let events = self.events.iter().map(EncodedEvent::encoded_len);
        self.head.encoded_len() + events.sum::<usize>()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcdserverpb::ResponseHeader;
    use crate::mvccpb::KeyValue;

    #[test]
    fn the_bytes_are_those_of_the_whole_message() {
        let event = |value: usize| Event {
            r#type: 1,
            kv: Some(KeyValue {
                key: Bytes::from_static(b"key"),
                value: vec![b'v'; value].into(),
                ..KeyValue::default()
            }),
            prev_kv: None,
        };
        let plain = etcdserverpb::WatchResponse {
            header: Some(ResponseHeader {
                revision: 7,
                ..ResponseHeader::default()
            }),
            watch_id: 3,
            fragment: true,
            cancel_reason: "none".to_owned(),
            events: vec![event(0), event(1000), Event::default()],
            ..etcdserverpb::WatchResponse::default()
        };
        let encoded = WatchResponse::from(plain.clone());
        assert_eq!(encoded.encode_to_vec(), plain.encode_to_vec());
        assert_eq!(encoded.encoded_len(), plain.encoded_len());
        let decoded = WatchResponse::decode(&plain.encode_to_vec()[..]).unwrap();
        assert_eq!(decoded, encoded);
    }
}
