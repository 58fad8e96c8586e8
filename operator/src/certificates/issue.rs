//! Making certificates, and reading what is in them.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

use super::{Authority, Leaf, Pair};
use crate::fingerprint::sha256;
use crate::limits::{CA_SECONDS, CLOCK_SKEW_SECONDS, LEAF_RENEW_SECONDS, LEAF_SECONDS};
use crate::names::Names;

/// A certificate that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// By the library.
    #[error("a certificate cannot be made: {0}")]
    Library(#[from] rcgen::Error),
    /// A time that certificates cannot hold.
    #[error("a certificate cannot end at {0} seconds after 1970")]
    Time(i64),
    /// There is no CA.
    #[error("there is no CA that could sign")]
    NoSigner,
}

fn params(common_name: String, now: i64, seconds: i64) -> Result<CertificateParams, IssueError> {
    let time = |at: i64| {
        let time = ASN1Time::from_timestamp(at).map_err(|_| IssueError::Time(at))?;
        Ok::<_, IssueError>(time.to_datetime())
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = time(now - CLOCK_SKEW_SECONDS)?;
    params.not_after = time(now + seconds)?;
    Ok(params)
}

/// A CA with a name that no other has.
pub(super) fn authority(of: &str, now: i64) -> Result<Pair, IssueError> {
    let name = format!("kvorum {of} CA {:016x}", rand::random::<u64>());
    let mut params = params(name, now, CA_SECONDS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Pair {
        cert: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

/// Signs a new certificate.
pub(super) fn leaf(
    leaf: Leaf,
    names: &Names,
    authority: &Authority,
    now: i64,
) -> Result<Pair, IssueError> {
    let signer = authority.signer.as_ref().or(authority.next.as_ref());
    let signer = signer.ok_or(IssueError::NoSigner)?;
    let issuer = Issuer::from_ca_cert_pem(&signer.cert, KeyPair::from_pem(&signer.key)?)?;
    let purpose = leaf.purpose(names);
    let mut params = params(leaf.as_str().to_owned(), now, LEAF_SECONDS)?;
    params.subject_alt_names = CertificateParams::new(purpose.hosts)?.subject_alt_names;
    let usages = [
        (purpose.server, ExtendedKeyUsagePurpose::ServerAuth),
        (purpose.client, ExtendedKeyUsagePurpose::ClientAuth),
    ];
    let usages = usages.into_iter().filter(|(is, _)| *is);
    params.extended_key_usages = usages.map(|(_, usage)| usage).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    Ok(Pair {
        cert: params.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

/// Reads the first certificate of a PEM text.
fn with_first<T>(pem: &str, read: impl FnOnce(&X509Certificate<'_>) -> Option<T>) -> Option<T> {
    let first = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    let certificate = first.parse_x509().ok()?;
    read(&certificate)
}

/// When a certificate ends, in seconds since 1970; none if it is none.
pub(super) fn ends(pem: &str) -> Option<i64> {
    with_first(pem, |is| Some(is.validity().not_after.timestamp()))
}

/// SHA-256 of each certificate, as members say it.
pub(super) fn digests(pem: &str) -> Vec<String> {
    let all = Pem::iter_from_buffer(pem.as_bytes()).flatten();
    all.map(|pem| sha256(&pem.contents)).collect()
}

/// The DNS names of a certificate.
pub(super) fn hosts(pem: &str) -> Vec<String> {
    let names = with_first(pem, |is| {
        let names = is.subject_alternative_name().ok()??;
        let names = names.value.general_names.iter();
        let dns = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Some(dns.collect())
    });
    names.unwrap_or_default()
}

/// Whether certificate and key are of one pair, whatever the kind of key.
pub(super) fn fits(pair: &Pair) -> bool {
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).ok();
    let key = key.and_then(|key| ring::sign::any_supported_type(&key).ok());
    let public = key.and_then(|key| key.public_key().map(|is| is.to_vec()));
    with_first(&pair.cert, |is| {
        Some(public.as_deref() == Some(is.public_key().raw))
    })
    .unwrap_or(false)
}

/// Whether a signed certificate may stay: whole, not near its end, and of the CA that signs now.
pub(super) fn is_good(pair: &Pair, authority: &Authority, now: i64) -> bool {
    let subject = |pem: &str| with_first(pem, |is| Some(is.subject().as_raw().to_vec()));
    let issuer = with_first(&pair.cert, |is| Some(is.issuer().as_raw().to_vec()));
    // Where the CA was lost, what it signed must last until the next one signs.
    let ours = authority
        .signer
        .as_ref()
        .is_none_or(|signer| issuer.is_some() && subject(&signer.cert) == issuer);
    ours && fits(pair) && ends(&pair.cert).is_some_and(|end| end - now > LEAF_RENEW_SECONDS)
}
