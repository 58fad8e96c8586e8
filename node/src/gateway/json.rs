//! Messages as JSON, written as etcd's gateway writes them: 64-bit numbers as strings,
//! bytes as base64, names as in the .proto files, defaults left out.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Serialize;
use tonic::{Code, Status};

/// Writes a message.
pub(super) fn write(
    descriptor: &MessageDescriptor,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    let internal =
        |e: &dyn std::fmt::Display| Status::internal(format!("an answer is garbled: {e}"));
    let message = DynamicMessage::decode(descriptor.clone(), message).map_err(|e| internal(&e))?;
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(true)
        .use_proto_field_name(true)
        .skip_default_fields(true);
    let mut serializer = serde_json::Serializer::new(out);
    message
        .serialize_with_options(&mut serializer, &options)
        .map_err(|e| internal(&e))
}

/// Reads a message from the first JSON value of a text; nothing at all is an empty message.
/// What it does not know it passes over.
pub(super) fn read(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, Status> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor.clone()));
    }
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    DynamicMessage::deserialize_with_options(descriptor.clone(), &mut deserializer, &options)
        .map_err(|e| refused(&e))
}

fn refused(error: &serde_json::Error) -> Status {
    if error.is_eof() {
        // etcd's words.
        return Status::invalid_argument("unexpected EOF");
    }
    Status::invalid_argument(format!(
        "the request is not the JSON of its message: {error}"
    ))
}

/// Cuts a stream of JSON values into single ones.
#[derive(Default)]
pub(super) struct Values {
    text: Vec<u8>,
}

impl Values {
    pub(super) fn add(&mut self, more: &[u8]) {
        self.text.extend_from_slice(more);
    }

    /// Bytes that wait for the rest of their value.
    pub(super) fn waiting(&self) -> usize {
        self.text.len()
    }

    /// The next whole value; `None`: more is needed.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Status> {
        let mut values =
            serde_json::Deserializer::from_slice(&self.text).into_iter::<serde::de::IgnoredAny>();
        match values.next() {
            None => {
                self.text.clear();
                Ok(None)
            }
            Some(Ok(_)) => {
                let rest = self.text.split_off(values.byte_offset());
                Ok(Some(std::mem::replace(&mut self.text, rest)))
            }
            Some(Err(error)) if error.is_eof() => Ok(None),
            Some(Err(error)) => Err(refused(&error)),
        }
    }
}

/// A failure as the gateway tells it.
#[derive(Serialize)]
pub(super) struct Failure<'a> {
    code: i32,
    message: &'a str,
}

impl<'a> From<&'a Status> for Failure<'a> {
    fn from(status: &'a Status) -> Self {
        Self {
            code: status.code().into(),
            message: status.message(),
        }
    }
}

/// The HTTP status that the gateway gives for a code.
pub(super) fn http_status(code: Code) -> http::StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    http::StatusCode::from_u16(number).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_proto::etcdserverpb::RangeRequest;
    use prost::Message;
    use prost_reflect::DescriptorPool;

    fn range() -> MessageDescriptor {
        let pool = DescriptorPool::decode(kvorum_proto::DESCRIPTORS).unwrap();
        pool.get_message_by_name("etcdserverpb.RangeRequest")
            .unwrap()
    }

    fn parsed(text: &str) -> Result<RangeRequest, String> {
        let message = read(&range(), text.as_bytes()).map_err(|e| e.message().to_owned())?;
        Ok(message.transcode_to().unwrap())
    }

    #[test]
    fn messages_are_read_in_every_spelling_that_etcd_takes() {
        let expected = RangeRequest {
            key: b"a".as_slice().into(),
            limit: 5,
            sort_order: 1,
            ..RangeRequest::default()
        };
        for text in [
            r#"{"key":"YQ==","limit":"5","sort_order":"ASCEND"}"#,
            r#" {"key":"YQ==","limit":5,"sortOrder":1,"nosuch":[{}]} and more"#,
            r#"{"key":"YQ","limit":5.0,"sort_order":"ASCEND","keys_only":null}"#,
        ] {
            assert_eq!(parsed(text).as_ref(), Ok(&expected), "{text}");
        }
        assert_eq!(parsed(""), Ok(RangeRequest::default()));
        assert_eq!(
            parsed(r#"{"sort_order":"NOPE"}"#),
            Ok(RangeRequest::default())
        );
        assert_eq!(parsed(r#"{"key":"#), Err("unexpected EOF".to_owned()));
        for wrong in [r#"{"key":5}"#, r#"{"key":"!!"}"#, r#"{"limit":1.5}"#, "[]"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_are_written_as_etcd_does() {
        let request = RangeRequest {
            key: b"a\xff".as_slice().into(),
            revision: -1,
            sort_target: 4,
            keys_only: true,
            ..RangeRequest::default()
        };
        let mut out = Vec::new();
        write(&range(), &request.encode_to_vec(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"key":"Yf8=","revision":"-1","sort_target":"VALUE","keys_only":true}"#
        );
    }

    #[test]
    fn streams_are_cut_wherever_their_bytes_come() {
        let text = br#"{"a":"}{"} {"b":[1,{"c":"\""}]}{}"#;
        for size in 1..text.len() {
            let mut values = Values::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                values.add(part);
                while let Some(value) = values.next().unwrap() {
                    found.push(String::from_utf8(value).unwrap().trim().to_owned());
                }
            }
            assert_eq!(found, [r#"{"a":"}{"}"#, r#"{"b":[1,{"c":"\""}]}"#, "{}"]);
        }
        let mut values = Values::default();
        values.add(b"{]");
        assert!(values.next().is_err());
    }
}
