//! What the flags come to, checked.

mod founding;
mod tls;

use crate::args::{Args, CompactionMode};
use crate::auth;
use crate::consensus::settings::Timing;
use crate::consensus::types::MemberId;
use crate::limits::QUOTA_BYTES_DEFAULT;
use crate::member::{Attributes, RequestLimits};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How this member comes to its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Wait, under a given identity.
    Join {
        /// Cluster ID.
        cluster_id: u64,
        /// Member ID.
        member_id: MemberId,
    },
    /// Form the cluster with the members listed.
    Static {
        /// Cluster ID, from the members' IDs as etcd makes it.
        cluster_id: u64,
        /// This member.
        member_id: MemberId,
        /// Name and peer URLs by ID.
        members: BTreeMap<MemberId, (String, Vec<String>)>,
    },
    /// The cluster is there already and this member was added to it: its members say
    /// which one it is.
    Existing {
        /// Peer URLs of this member, as it was added with.
        own: Vec<String>,
        /// Peer URLs of the others.
        others: Vec<String>,
    },
}

/// What is compacted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing.
    Off,
    /// What is older than this.
    Periodic(Duration),
    /// All but this many revisions.
    Revisions(i64),
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `host:port`
    pub address: String,
    /// With TLS.
    pub tls: bool,
}

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Data directory.
    pub data_dir: PathBuf,
    /// How this member comes to its cluster.
    pub start: Start,
    /// Where to listen for clients.
    pub listen_client: Vec<Listen>,
    /// Where to listen for peers.
    pub listen_peer: Vec<Listen>,
    /// Where to serve metrics and health.
    pub listen_metrics: Vec<Listen>,
    /// Certificates towards clients.
    pub client_tls: Option<crate::tls::Settings>,
    /// Certificates towards peers.
    pub peer_tls: Option<crate::tls::Settings>,
    /// What this member says of itself.
    pub attributes: Attributes,
    /// What requests may ask for.
    pub limits: RequestLimits,
    /// Timers.
    pub timing: Timing,
    /// Log entries between snapshots.
    pub snapshot_count: u64,
    /// What is compacted by itself.
    pub auto_compaction: AutoCompaction,
    /// How users are known.
    pub auth: auth::Settings,
    /// Serve JSON beside gRPC.
    pub gateway: bool,
    /// Wait for the disk.
    pub sync: bool,
}

/// A flag that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {reason}")]
pub struct Wrong {
    /// Its name.
    pub flag: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

fn wrong(flag: &'static str, reason: impl Into<String>) -> Wrong {
    Wrong {
        flag,
        reason: reason.into(),
    }
}

fn urls(flag: &'static str, text: &str) -> Result<Vec<String>, Wrong> {
    let mut list = Vec::new();
    for url in text.split(',').map(str::trim).filter(|u| !u.is_empty()) {
        let known = ["http://", "https://"].into_iter();
        let mut found = known.filter_map(|scheme| Some((scheme, url.strip_prefix(scheme)?)));
        let Some((scheme, rest)) = found.next_back() else {
            return Err(wrong(
                flag,
                format!("{url}: must be of the form http://host:port or https://host:port"),
            ));
        };
        let rest = rest.trim_end_matches('/');
        let port = rest
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || rest.contains('/') {
            return Err(wrong(
                flag,
                format!("{url}: must be of the form http://host:port"),
            ));
        }
        list.push(format!("{scheme}{rest}"));
    }
    if list.is_empty() {
        return Err(wrong(flag, "at least one URL is needed"));
    }
    Ok(list)
}

fn addresses(flag: &'static str, text: &str) -> Result<Vec<Listen>, Wrong> {
    let listen = |url: &String| {
        let (scheme, address) = url.split_once("://").unwrap_or(("", url));
        Listen {
            address: address.to_owned(),
            tls: scheme == "https",
        }
    };
    Ok(urls(flag, text)?.iter().map(listen).collect())
}

/// A duration as Go writes it: 10m, 1h30m, 500ms.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u64 = number.parse().ok()?;
        total += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        rest = tail;
    }
    Some(total)
}

fn auto_compaction(mode: CompactionMode, retention: &str) -> Result<AutoCompaction, Wrong> {
    let flag = "auto-compaction-retention";
    let number = retention.parse::<i64>().ok();
    match (mode, number) {
        (_, Some(0)) => Ok(AutoCompaction::Off),
        (_, Some(n)) if n < 0 => Err(wrong(flag, format!("{n}: must not be negative"))),
        (CompactionMode::Revision, Some(n)) => Ok(AutoCompaction::Revisions(n)),
        (CompactionMode::Revision, None) => Err(wrong(
            flag,
            format!("{retention}: must be a number of revisions"),
        )),
        (CompactionMode::Periodic, Some(hours)) => {
            let hours = u64::try_from(hours).unwrap_or(0);
            Ok(AutoCompaction::Periodic(Duration::from_secs(
                hours.saturating_mul(3600),
            )))
        }
        (CompactionMode::Periodic, None) => duration(retention)
            .map(AutoCompaction::Periodic)
            .ok_or_else(|| {
                wrong(
                    flag,
                    format!("{retention}: must be a duration such as 5m or 1h"),
                )
            }),
    }
}

impl Config {
    /// Checks the flags.
    ///
    /// # Errors
    /// The first flag that cannot be.
    pub fn new(args: &Args) -> Result<Self, Wrong> {
        let start = match (args.join, args.cluster_id, args.member_id) {
            (true, Some(cluster_id), Some(member_id)) => {
                if member_id == 0 {
                    return Err(wrong("member-id", "must not be 0"));
                }
                Start::Join {
                    cluster_id,
                    member_id,
                }
            }
            _ => founding::static_start(args)?,
        };
        let etcd_minimum = 5 * args.heartbeat_interval;
        if args.election_timeout < etcd_minimum {
            let reason = format!("must be at least 5 heartbeat intervals, {etcd_minimum} ms");
            return Err(wrong("election-timeout", reason));
        }
        let interval = &args.watch_progress_notify_interval;
        let progress_interval = duration(interval).ok_or_else(|| {
            wrong(
                "watch-progress-notify-interval",
                format!("{interval}: must be a duration such as 10m"),
            )
        })?;
        let listen_client = addresses("listen-client-urls", &args.listen_client_urls)?;
        let listen_peer = addresses("listen-peer-urls", &args.listen_peer_urls)?;
        let default_dir = || PathBuf::from(format!("{}.etcd", args.name));
        Ok(Self {
            data_dir: args.data_dir.clone().unwrap_or_else(default_dir),
            start,
            client_tls: tls::client(&args.tls, &listen_client)?,
            peer_tls: tls::peer(&args.tls, &listen_peer)?,
            listen_client,
            listen_peer,
            listen_metrics: match &args.listen_metrics_urls {
                Some(text) => addresses("listen-metrics-urls", text)?,
                None => Vec::new(),
            },
            attributes: Attributes {
                name: args.name.clone(),
                client_urls: urls("advertise-client-urls", &args.advertise_client_urls)?,
                zone: args.zone.clone(),
            },
            limits: RequestLimits {
                bytes: args.max_request_bytes,
                txn_ops: args.max_txn_ops,
                quota: if args.quota_backend_bytes == 0 {
                    QUOTA_BYTES_DEFAULT
                } else {
                    args.quota_backend_bytes
                },
                progress_interval,
            },
            timing: Timing::from_etcd(args.heartbeat_interval, args.election_timeout),
            snapshot_count: args.snapshot_count,
            auto_compaction: auto_compaction(
                args.auto_compaction_mode,
                &args.auto_compaction_retention,
            )?,
            auth: auth::Settings {
                kind: auth::Kind::parse(&args.auth_token, duration)
                    .map_err(|reason| wrong("auth-token", reason))?,
                simple_ttl: Duration::from_secs(args.auth_token_ttl),
                bcrypt_cost: args.bcrypt_cost,
            },
            gateway: args.enable_grpc_gateway,
            sync: !args.unsafe_no_fsync,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        ] {
            let message = config(flags).unwrap_err();
            assert!(message.contains(word), "{flags:?}: {message}");
        }
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
}
