//! What the TLS flags come to.

use super::{Listen, Wrong, wrong};
use crate::args::tls::TlsArgs;
use crate::serve::AdminCallers;
use crate::tls::{Allowed, Mode, Settings, Suites};

fn suites(args: &TlsArgs) -> Result<Suites, Wrong> {
    Suites::new(
        &args.cipher_suites,
        &args.tls_min_version,
        &args.tls_max_version,
    )
    .map_err(|(flag, reason)| wrong(flag, reason))
}

fn demanded(flag: &'static str, asked: bool, ca: bool, ca_flag: &str) -> Result<(), Wrong> {
    if asked && !ca {
        let reason = format!("needs --{ca_flag}: the CAs that certificates must come from");
        return Err(wrong(flag, reason));
    }
    Ok(())
}

fn needed(flag: &'static str, listen: &[Listen], there: bool, files: &str) -> Result<(), Wrong> {
    match listen.iter().find(|l| l.tls) {
        Some(one) if !there => {
            let reason = format!("https://{} needs {files}", one.address);
            Err(wrong(flag, reason))
        }
        _ => Ok(()),
    }
}

/// TLS towards clients, if there is any.
pub(super) fn client(args: &TlsArgs, listen: &[Listen]) -> Result<Option<Settings>, Wrong> {
    let ca = args.trusted_ca_file.clone();
    demanded(
        "client-cert-auth",
        args.client_cert_auth,
        ca.is_some(),
        "trusted-ca-file",
    )?;
    let suites = suites(args)?;
    let there = args.cert_file.is_some();
    needed(
        "listen-client-urls",
        listen,
        there,
        "--cert-file and --key-file",
    )?;
    let (Some(cert), Some(key)) = (args.cert_file.clone(), args.key_file.clone()) else {
        return Ok(None);
    };
    Ok(Some(Settings {
        cert,
        key,
        trusted_ca: ca,
        crl: args.client_crl_file.clone(),
        allowed: Allowed {
            common_names: Vec::new(),
            hostnames: args.client_cert_allowed_hostname.clone(),
        },
        suites,
    }))
}

/// TLS between members, if there is any.
pub(super) fn peer(args: &TlsArgs, listen: &[Listen]) -> Result<Option<Settings>, Wrong> {
    let ca = args.peer_trusted_ca_file.clone();
    demanded(
        "peer-client-cert-auth",
        args.peer_client_cert_auth,
        ca.is_some(),
        "peer-trusted-ca-file",
    )?;
    let suites = suites(args)?;
    let there = args.peer_cert_file.is_some();
    needed(
        "listen-peer-urls",
        listen,
        there,
        "--peer-cert-file and --peer-key-file",
    )?;
    let (Some(cert), Some(key)) = (args.peer_cert_file.clone(), args.peer_key_file.clone()) else {
        return Ok(None);
    };
    Ok(Some(Settings {
        cert,
        key,
        trusted_ca: ca,
        crl: args.peer_crl_file.clone(),
        allowed: Allowed {
            common_names: args.peer_cert_allowed_cn.clone(),
            hostnames: args.peer_cert_allowed_hostname.clone(),
        },
        suites,
    }))
}

/// Which connections between members speak TLS.
pub(super) fn peer_mode(args: &TlsArgs) -> Result<Mode, Wrong> {
    let needs = matches!(args.peer_tls, Mode::Permissive | Mode::Required);
    if needs && args.peer_cert_file.is_none() {
        let mode = args.peer_tls.as_str();
        let reason = format!("{mode} needs --peer-cert-file and --peer-key-file");
        return Err(wrong("peer-tls", reason));
    }
    Ok(args.peer_tls)
}

/// Which connections of clients speak TLS.
pub(super) fn client_mode(args: &TlsArgs) -> Result<Mode, Wrong> {
    if !args.client_tls_permissive {
        return Ok(Mode::ByUrl);
    }
    if args.cert_file.is_none() {
        let reason = "needs --cert-file and --key-file";
        return Err(wrong("client-tls-permissive", reason));
    }
    Ok(Mode::Permissive)
}

/// Who may call the admin API.
pub(super) fn admin_callers(args: &TlsArgs) -> Result<AdminCallers, Wrong> {
    let names = args.admin_cert_allowed_hostname.clone();
    if !names.is_empty() && args.peer_trusted_ca_file.is_none() {
        let reason = "needs --peer-trusted-ca-file: without it nobody shows a certificate";
        return Err(wrong("admin-cert-allowed-hostname", reason));
    }
    Ok(AdminCallers(names))
}
