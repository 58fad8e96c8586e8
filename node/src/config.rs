//! What the flags come to, checked.

mod founding;
mod spans;
mod tls;

use crate::args::{Args, DEFAULT_PEER_URL, MetricsDetail};
use crate::auth;
use crate::consensus::settings::Timing;
use crate::consensus::types::MemberId;
use crate::limits::QUOTA_BYTES_DEFAULT;
use crate::member::{Attributes, RequestLimits};
use spans::{auto_compaction, duration, some, span};
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

/// How a silent client is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// After this much silence it is asked; `None`: never.
    pub interval: Option<Duration>,
    /// It must answer within this.
    pub timeout: Duration,
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
    /// Where to serve pages and the gateway alone.
    pub listen_http: Vec<Listen>,
    /// How silent clients are found out.
    pub keepalive: Keepalive,
    /// Most learners at a time.
    pub learners_max: usize,
    /// How often the members' data is compared.
    pub compare_every: Option<Duration>,
    /// Flags that were given and mean nothing here.
    pub ignored: Vec<&'static str>,
    /// Time calls, by kind.
    pub extensive_metrics: bool,
    /// Certificates towards clients.
    pub client_tls: Option<crate::tls::Settings>,
    /// Certificates towards peers.
    pub peer_tls: Option<crate::tls::Settings>,
    /// Which connections of clients speak TLS.
    pub client_mode: crate::tls::Mode,
    /// Which connections between members do.
    pub peer_mode: crate::tls::Mode,
    /// Who may call the admin API.
    pub admin_callers: crate::serve::AdminCallers,
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
        if url.starts_with("unix://") || url.starts_with("unixs://") {
            let reason = "Unix sockets are not served: listen on http://127.0.0.1:port, which nobody outside reaches";
            return Err(wrong(flag, format!("{url}: {reason}")));
        }
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

/// Flags that would promise what is not there.
fn not_served(args: &Args) -> Result<(), Wrong> {
    match args.refused.given() {
        Some((flag, reason)) => Err(wrong(flag, reason)),
        None => Ok(()),
    }
}

fn maybe(flag: &'static str, text: Option<&String>) -> Result<Vec<Listen>, Wrong> {
    text.map_or(Ok(Vec::new()), |text| addresses(flag, text))
}

fn start(args: &Args) -> Result<Start, Wrong> {
    match (args.join, args.cluster_id, args.member_id) {
        (true, Some(_), Some(0)) => Err(wrong("member-id", "must not be 0")),
        (true, Some(cluster_id), Some(member_id)) => Ok(Start::Join {
            cluster_id,
            member_id,
        }),
        _ => founding::static_start(args),
    }
}

/// Where the others find a member that somebody placed: it says so itself when that changes.
fn own_peer_urls(args: &Args) -> Result<Option<Vec<String>>, Wrong> {
    let given = args.initial_advertise_peer_urls != DEFAULT_PEER_URL;
    let own = || {
        urls(
            "initial-advertise-peer-urls",
            &args.initial_advertise_peer_urls,
        )
    };
    (args.join && given).then(own).transpose()
}

fn timing(args: &Args) -> Result<Timing, Wrong> {
    let etcd_minimum = 5 * args.heartbeat_interval;
    if args.election_timeout < etcd_minimum {
        let reason = format!("must be at least 5 heartbeat intervals, {etcd_minimum} ms");
        return Err(wrong("election-timeout", reason));
    }
    Ok(Timing::from_etcd(
        args.heartbeat_interval,
        args.election_timeout,
    ))
}

fn request_limits(args: &Args) -> Result<RequestLimits, Wrong> {
    Ok(RequestLimits {
        bytes: args.max_request_bytes,
        txn_ops: args.max_txn_ops,
        quota: match args.quota_backend_bytes {
            0 => QUOTA_BYTES_DEFAULT,
            bytes => bytes,
        },
        progress_interval: span(
            "watch-progress-notify-interval",
            &args.watch_progress_notify_interval,
        )?,
    })
}

impl Config {
    /// Checks the flags.
    ///
    /// # Errors
    /// The first flag that cannot be.
    pub fn new(args: &Args) -> Result<Self, Wrong> {
        not_served(args)?;
        let compare = [
            span("corrupt-check-time", &args.corrupt_check_time)?,
            span("compact-hash-check-time", &args.compact_hash_check_time)?,
        ];
        let keepalive = Keepalive {
            interval: some(span(
                "grpc-keepalive-interval",
                &args.grpc_keepalive_interval,
            )?),
            timeout: span("grpc-keepalive-timeout", &args.grpc_keepalive_timeout)?,
        };
        let listen_client = addresses("listen-client-urls", &args.listen_client_urls)?;
        let listen_peer = addresses("listen-peer-urls", &args.listen_peer_urls)?;
        let default_dir = || PathBuf::from(format!("{}.etcd", args.name));
        Ok(Self {
            data_dir: args.data_dir.clone().unwrap_or_else(default_dir),
            start: start(args)?,
            listen_http: maybe(
                "listen-client-http-urls",
                args.listen_client_http_urls.as_ref(),
            )?,
            keepalive,
            learners_max: args.max_learners,
            compare_every: compare.into_iter().filter_map(some).min(),
            ignored: args.accepted.given(),
            client_tls: tls::client(&args.tls, &listen_client)?,
            peer_tls: tls::peer(&args.tls, &listen_peer)?,
            client_mode: tls::client_mode(&args.tls)?,
            peer_mode: tls::peer_mode(&args.tls)?,
            admin_callers: tls::admin_callers(&args.tls)?,
            listen_client,
            listen_peer,
            listen_metrics: maybe("listen-metrics-urls", args.listen_metrics_urls.as_ref())?,
            extensive_metrics: args.metrics == MetricsDetail::Extensive,
            attributes: Attributes {
                name: args.name.clone(),
                client_urls: urls("advertise-client-urls", &args.advertise_client_urls)?,
                peer_urls: own_peer_urls(args)?,
                zone: args.zone.clone(),
            },
            limits: request_limits(args)?,
            timing: timing(args)?,
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
mod tests;
