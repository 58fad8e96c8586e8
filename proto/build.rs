//! Compiles the .proto files in pure Rust: a fresh machine needs no protoc.

use prost::Message;
use std::path::PathBuf;
use tonic_build::manual::{Builder, Method, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "etcd/rpc.proto",
        "etcd/kv.proto",
        "etcd/auth.proto",
        "etcd/lock.proto",
        "etcd/election.proto",
        "grpc/health.proto",
        "kvorum/admin.proto",
        "kvorum/log.proto",
        "kvorum/peer.proto",
    ];
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    // Without the feature only the messages remain, for crates that do no I/O.
    let grpc = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        // Keys and values are shared, not copied, on their way through the server.
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    if grpc {
        encoded_watch();
    }
    Ok(())
}

/// The server of the Watch service once more, with answers that share their events.
fn encoded_watch() {
    let watch = Method::builder()
        .name("watch")
        .route_name("Watch")
        .input_type("crate::etcdserverpb::WatchRequest")
        .output_type("crate::encoded::WatchResponse")
        .codec_path("tonic_prost::ProstCodec")
        .client_streaming()
        .server_streaming()
        .build();
    let service = Service::builder()
        .name("Watch")
        .package("etcdserverpb")
        .method(watch)
        .build();
    Builder::new().build_client(false).compile(&[service]);
}
