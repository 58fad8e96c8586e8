//! gRPC calls within the process: the same services that the network reaches.

use axum::Router;
use axum::body::{Body, Bytes};
use bytes::{Buf, BufMut, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::codegen::Service;

/// A flag and the length stand before every message.
const PREFIX: usize = 5;
/// HTTP headers with this prefix are meant for gRPC.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// A message as gRPC frames it.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// What of an HTTP request's headers a call gets to see.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut found = HeaderMap::new();
    for (name, value) in headers {
        let name = match name.as_str().strip_prefix(METADATA_PREFIX) {
            Some(rest) => HeaderName::from_bytes(rest.as_bytes()).ok(),
            None if *name == header::AUTHORIZATION => Some(name.clone()),
            None => None,
        };
        if let Some(name) = name {
            found.append(name, value.clone());
        }
    }
    found
}

/// The answers of one call, as they come.
pub(super) struct Answers {
    body: Body,
    buffer: BytesMut,
    status: Option<Status>,
}

/// Starts a call.
pub(super) async fn call(
    mut grpc: Router,
    path: &str,
    headers: &HeaderMap,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Answers, Status> {
    let body = Body::from_stream(messages.map(Ok::<_, std::convert::Infallible>));
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = http::Uri::try_from(path)
        .map_err(|e| Status::internal(format!("{path} is no path: {e}")))?;
    *request.headers_mut() = metadata(headers);
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let Ok(response) = Service::call(&mut grpc, request).await;
    let (parts, body) = response.into_parts();
    Ok(Answers {
        body,
        buffer: BytesMut::new(),
        status: Status::from_header_map(&parts.headers),
    })
}

impl Answers {
    fn whole_message(&mut self) -> Option<Bytes> {
        let mut head = self.buffer.get(1..PREFIX)?;
        let length = usize::try_from(head.get_u32()).ok()?;
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        self.buffer.advance(PREFIX);
        Some(self.buffer.split_to(length).freeze())
    }

    /// The next message; `None` once the call has ended well.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.whole_message() {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                return match self.status.take() {
                    Some(status) if status.code() == tonic::Code::Ok => Ok(None),
                    Some(status) => Err(status),
                    None => Err(Status::internal("a call ended without a status")),
                };
            };
            let frame = frame.map_err(|e| Status::internal(e.to_string()))?;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.status = Status::from_header_map(&trailers);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_see_the_token_and_nothing_else_of_the_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "word"),
            ("grpc-metadata-hasleader", "true"),
            ("token", "not from here"),
            ("content-type", "application/json"),
            ("te", "gzip"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let seen = metadata(&headers);
        let seen: Vec<_> = seen
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        assert_eq!(
            seen,
            [("authorization", &b"word"[..]), ("hasleader", &b"true"[..]),]
        );
    }

    #[tokio::test]
    async fn answers_are_put_together_from_pieces() {
        let framed = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let pieces: Vec<Result<Bytes, std::convert::Infallible>> = framed
            .chunks(2)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        let mut answers = Answers {
            body: Body::from_stream(futures::stream::iter(pieces)),
            buffer: BytesMut::new(),
            status: Some(Status::not_found("gone")),
        };
        for expected in ["one", "", "three"] {
            assert_eq!(answers.next().await.unwrap().unwrap(), expected);
        }
        let ended = answers.next().await.unwrap_err();
        assert_eq!(ended.code(), tonic::Code::NotFound);
    }
}
