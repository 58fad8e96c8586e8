//! Goal: whatever bytes come as a request, the server answers, and lives on.
//! Method: valid requests of every service, encoded and changed, sent to a real process as they are.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut};
use kvorum_fuzz::fuzz;
use kvorum_processes::{Cluster, Program};
use kvorum_proto::DESCRIPTORS;
use prost_reflect::prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// A call that is to be answered at once takes no longer.
const ANSWER: Duration = Duration::from_secs(20);
/// One that may wait for others is given up after this.
const WAITING: Duration = Duration::from_millis(20);
/// Calls that wait for something to happen.
const WAITS: [&str; 7] = [
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/v3lockpb.Lock/Lock",
    "/v3electionpb.Election/Campaign",
    "/v3electionpb.Election/Observe",
    "/v3electionpb.Election/Leader",
    "/grpc.health.v1.Health/Watch",
];

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length).to_vec()))
    }
}

/// Sends bytes as one message, and reads the answers.
async fn call(channel: &Channel, path: &str, message: &[u8]) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX);
    grpc.ready()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    let request = Request::new(message.to_vec());
    let path = PathAndQuery::try_from(path).map_err(|e| Status::internal(e.to_string()))?;
    let mut answers = grpc
        .server_streaming(request, path, Raw)
        .await?
        .into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

/// Every method of etcd's services and of the health service, with a request that has every field.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let ours = |name: &str| name.starts_with("kvorum");
    let services = pool.services().filter(|is| !ours(is.full_name()));
    let services: Vec<_> = services.collect();
    let methods = services.iter().flat_map(|is| is.methods());
    methods
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, filled(&method.input(), 3).encode_to_vec())
        })
        .collect()
}

fn filled(of: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        // The first of several that exclude each other.
        let first =
            |one: &prost_reflect::OneofDescriptor| one.fields().next() == Some(field.clone());
        if depth > 0 && field.containing_oneof().as_ref().is_none_or(first) {
            let value = sample(&field, depth);
            let list = field.is_list();
            message.set_field(
                &field,
                if list {
                    Value::List(vec![value])
                } else {
                    value
                },
            );
        }
    }
    message
}

fn sample(field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::Message(of) => Value::Message(filled(&of, depth - 1)),
        Kind::Bytes => Value::Bytes("a/key/of/some/length".into()),
        Kind::String => Value::String("some-name".to_owned()),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
        Kind::Double => Value::F64(1.0),
        Kind::Float => Value::F32(1.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
    }
}

/// Whether an error is none that a client deserves: the connection broke, or something within failed. That a message
/// cannot be decoded is an internal error to every gRPC server.
fn is_ours(status: &Status) -> bool {
    let undecodable = status
        .message()
        .contains("failed to decode Protobuf message");
    // One that the server sent has no source.
    status.source().is_some() || (status.code() == Code::Internal && !undecodable)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_ends_the_server_or_stays_without_an_answer() {
    let cluster = Cluster::start(&Program::kvorum(), 1, &["--unsafe-no-fsync"]).await;
    let endpoint = format!("http://{}", cluster.members[0].endpoint());
    let channel = Endpoint::from_shared(endpoint).unwrap().connect_lazy();
    let seeds = seeds();
    assert!(seeds.len() > 49, "etcd's calls and the health service's");
    let inputs: Vec<Vec<u8>> = seeds
        .iter()
        .enumerate()
        .map(|(number, (_, message))| [&[u8::try_from(number).unwrap()], &message[..]].concat())
        .collect();
    tokio::task::spawn_blocking(move || {
        let handle = tokio::runtime::Handle::current();
        let (mut taken, mut refused) = (0_u64, 0_u64);
        fuzz("api", 3000, &inputs, |input| {
            let Some((number, message)) = input.split_first() else {
                return Ok(());
            };
            let (path, _) = &seeds[usize::from(*number) % seeds.len()];
            let waits = WAITS.contains(&path.as_str());
            let limit = if waits { WAITING } else { ANSWER };
            match handle.block_on(timeout(limit, call(&channel, path, message))) {
                Ok(Ok(())) => taken += 1,
                Ok(Err(status)) if is_ours(&status) => {
                    return Err(format!("{path}: {status}"));
                }
                Ok(Err(_)) => refused += 1,
                Err(_) if waits => taken += 1,
                Err(_) => return Err(format!("{path}: no answer")),
            }
            Ok(())
        });
        println!("{taken} taken, {refused} refused");
        assert!(taken > 0 && refused > 0, "both ways are taken");
        assert!(
            !cluster.printed().contains("panicked at"),
            "{}",
            cluster.printed()
        );
    })
    .await
    .unwrap();
}
