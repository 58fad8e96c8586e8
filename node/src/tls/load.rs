//! From files to rustls' configurations.

use super::{Configs, Error, InUse, Settings};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Protocols that the client port speaks.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| unusable(path, e))?
        .collect();
    let list = list.map_err(|e| unusable(path, e))?;
    if list.is_empty() {
        return Err(unusable(path, "holds no PEM certificate"));
    }
    Ok(list)
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| unusable(path, e))?;
    }
    Ok(Arc::new(roots))
}

fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    CertificateRevocationListDer::pem_file_iter(path)
        .map_err(|e| unusable(path, e))?
        .collect::<Result<_, _>>()
        .map_err(|e| unusable(path, e))
}

/// The system's CAs, for servers whose CA was not named.
fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

fn digest(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(certificate) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What the files hold, for those who want to know whether a change has arrived.
fn in_use(chain: &[CertificateDer<'_>], ca: Option<&Path>) -> Result<InUse, Error> {
    let trusted = ca.map_or(Ok(Vec::new()), certificates)?;
    let mut trusted: Vec<String> = trusted.iter().map(digest).collect();
    trusted.sort();
    let leaf = chain.first();
    let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
    Ok(InUse {
        certificate: leaf.map(digest).unwrap_or_default(),
        trusted,
        not_after: parsed.map_or(0, |(_, leaf)| leaf.validity().not_after.timestamp()),
    })
}

/// Reads everything anew.
pub(super) fn configs(settings: &Settings) -> Result<Configs, Error> {
    let pair = |e: rustls::Error| Error::Pair {
        cert: settings.cert.display().to_string(),
        key: settings.key.display().to_string(),
        reason: e.to_string(),
    };
    let chain = certificates(&settings.cert)?;
    let in_use = in_use(&chain, settings.trusted_ca.as_deref())?;
    let key =
        PrivateKeyDer::from_pem_file(&settings.key).map_err(|e| unusable(&settings.key, e))?;
    let crls = settings.crl.as_deref().map_or(Ok(Vec::new()), revoked)?;
    let provider = settings.suites.provider();
    let versions = settings.suites.versions();

    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(pair)?;
    let server = match &settings.trusted_ca {
        None => server.with_no_client_auth(),
        Some(path) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots(path)?, provider.clone())
                    .with_crls(crls)
                    .allow_unknown_revocation_status()
                    .only_check_end_entity_revocation()
                    .build()
                    .map_err(|e| unusable(path, e))?;
            server.with_client_cert_verifier(verifier)
        }
    };
    let mut server = server
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(pair)?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();

    let trusted = match &settings.trusted_ca {
        Some(path) => roots(path)?,
        None => system_roots(),
    };
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(pair)?;
    let client = if trusted.is_empty() {
        client.with_root_certificates(trusted)
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(trusted, provider)
            .build()
            .map_err(|e| unusable(&settings.cert, e))?;
        client.with_webpki_verifier(verifier)
    };
    let client = client.with_client_auth_cert(chain, key).map_err(pair)?;
    Ok(Configs {
        server: Arc::new(server),
        client: Arc::new(client),
        in_use,
    })
}
