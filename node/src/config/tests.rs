//! Which flags are taken, and what the others are told.

use super::*;
use crate::args::CompactionMode;
use clap::Parser;

fn config(flags: &[&str]) -> Result<Config, String> {
    let args = Args::try_parse_from(std::iter::once(&"kvorum-node").chain(flags))
        .map_err(|e| e.to_string())?;
    Config::new(&args).map_err(|e| e.to_string())
}

#[test]
fn ids_are_those_that_etcd_makes() {
    // A default etcd 3.x (name default, localhost:2380, token etcd-cluster) has these IDs.
    let config = config(&[]).unwrap();
    let Start::Static {
        cluster_id,
        member_id,
        ..
    } = config.start
    else {
        panic!("not static");
    };
    assert_eq!(format!("{member_id:x}"), "8e9e05c52164694d");
    assert_eq!(format!("{cluster_id:x}"), "cdf818194e3a8c32");
}

#[test]
fn both_forms_of_a_flag_and_joining_work() {
    let config = config(&[
        "--name",
        "a",
        "--join",
        "--cluster-id=00000000000000ff",
        "--member-id",
        "3",
    ])
    .unwrap();
    assert_eq!(
        config.start,
        Start::Join {
            cluster_id: 255,
            member_id: 3
        }
    );
}

#[test]
fn wrong_flags_say_what_to_do() {
    for (flags, word) in [
        (&["--join"][..], "--cluster-id"),
        (
            &["--join", "--cluster-id=12", "--member-id=1"],
            "16 hexadecimal digits",
        ),
        (
            &["--join", "--cluster-id=00000000000000ff", "--member-id=0"],
            "must not be 0",
        ),
        (
            &["--initial-cluster", "other=http://x:1"],
            "must list this member",
        ),
        (
            &["--initial-cluster", "default=http://x:1"],
            "--initial-advertise-peer-urls says",
        ),
        (&["--listen-client-urls", "localhost:1"], "http://host:port"),
        (
            &["--listen-client-urls", "https://localhost:1"],
            "needs --cert-file and --key-file",
        ),
        (&["--cert-file", "x"], "--key-file"),
        (&["--client-cert-auth"], "--trusted-ca-file"),
        (&["--tls-min-version", "TLS1.0"], "must be TLS1.2 or TLS1.3"),
        (&["--peer-tls", "required"], "needs --peer-cert-file"),
        (&["--peer-tls", "maybe"], "--peer-tls"),
        (&["--client-tls-permissive"], "needs --cert-file"),
        (
            &["--admin-cert-allowed-hostname", "operator"],
            "needs --peer-trusted-ca-file",
        ),
        (&["--election-timeout", "100"], "5 heartbeat intervals"),
        (&["--auto-compaction-retention", "soon"], "duration"),
        (&["--auth-token", "jwt"], "--auth-token: sign-method="),
        (&["--bcrypt-cost", "3"], "--bcrypt-cost"),
        (
            &[
                "--auto-compaction-mode",
                "revision",
                "--auto-compaction-retention",
                "1h",
            ],
            "revisions",
        ),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--grpc-keepalive-timeout", "soon"], "must be a duration"),
    ] {
        let message = config(flags).unwrap_err();
        assert!(message.contains(word), "{flags:?}: {message}");
    }
}

/// Whoever gives a flag that is not served is told what to do instead; with the value that asks for nothing it
/// is taken, as scripts give it.
#[test]
fn what_is_not_served_names_the_way_instead() {
    for (flags, word) in [
        (
            &["--config-file=/etc/etcd.yaml"][..],
            "as a flag or as an environment variable",
        ),
        (&["--discovery=https://x/y"], "--initial-cluster"),
        (&["--discovery-srv", "example.com"], "--initial-cluster"),
        (
            &["--discovery-token=t", "--discovery-endpoints=http://x:1"],
            "--initial-cluster",
        ),
        (&["--discovery-endpoints=http://x:1"], "--initial-cluster"),
        (&["--auto-tls"], "--cert-file and --key-file"),
        (&["--auto-tls=true"], "--cert-file and --key-file"),
        (&["--peer-auto-tls"], "--peer-trusted-ca-file"),
        (&["--peer-client-cert-file=x"], "good for both uses"),
        (&["--peer-client-key-file=x"], "good for both uses"),
        (&["--force-new-cluster"], "etcdutl snapshot restore"),
        (
            &["--listen-client-urls=unix:///run/etcd.sock"],
            "http://127.0.0.1:port",
        ),
        (&["--listen-peer-urls=unixs://a:1"], "http://127.0.0.1:port"),
    ] {
        let message = config(flags).unwrap_err();
        let named = flags[0].split('=').next().unwrap();
        assert!(
            message.starts_with(named) && message.contains(word),
            "{flags:?}: {message}"
        );
    }
    let nothing = [
        "--config-file=",
        "--discovery=",
        "--discovery-srv=",
        "--auto-tls=false",
        "--peer-auto-tls=false",
        "--force-new-cluster=false",
        "--peer-client-cert-file=",
    ];
    config(&nothing).unwrap();
}

#[test]
fn durations_are_written_as_in_go() {
    assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(duration("5"), None);
    assert_eq!(
        auto_compaction(CompactionMode::Periodic, "2").unwrap(),
        AutoCompaction::Periodic(Duration::from_secs(7200))
    );
}
