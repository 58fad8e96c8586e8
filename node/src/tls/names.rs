//! Names in certificates.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The common name of the certificate that a client showed: an extension of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName(pub String);

/// What the other side's certificate says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// The subject's common name; `None` where it showed no certificate, or one without.
    pub common_name: Option<String>,
    /// Its DNS names and addresses.
    pub hostnames: Vec<String>,
}

impl Presented {
    /// Reads a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self {
            common_name: common_name(certificate),
            hostnames: hostnames(certificate),
        }
    }
}

/// The common name of a certificate's subject.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

fn hostnames(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|b| std::net::Ipv4Addr::from(b).to_string()),
                16 => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|b| std::net::Ipv6Addr::from(b).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// Which client certificates are welcome, beyond coming from a trusted CA. Empty lists
/// demand nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `--peer-cert-allowed-cn`: common names.
    pub common_names: Vec<String>,
    /// `--client-cert-allowed-hostname`, `--peer-cert-allowed-hostname`.
    pub hostnames: Vec<String>,
}

impl Allowed {
    /// Whether a certificate is welcome.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, certificate: Option<&CertificateDer<'_>>) -> Result<(), String> {
        if self.common_names.is_empty() && self.hostnames.is_empty() {
            return Ok(());
        }
        let Some(certificate) = certificate else {
            return Err("the client shows no certificate".to_owned());
        };
        let name = common_name(certificate).unwrap_or_default();
        if !self.common_names.is_empty() && !self.common_names.contains(&name) {
            return Err(format!(
                "the certificate's common name {name:?} is not allowed"
            ));
        }
        let names = hostnames(certificate);
        if !self.hostnames.is_empty() && !names.iter().any(|n| self.welcomes(n)) {
            return Err(format!(
                "none of the certificate's names {names:?} is allowed"
            ));
        }
        Ok(())
    }

    fn welcomes(&self, name: &str) -> bool {
        self.hostnames.iter().any(|allowed| {
            // A certificate's wildcard stands for exactly one label.
            let wild = name.strip_prefix("*.").is_some_and(|rest| {
                allowed
                    .split_once('.')
                    .is_some_and(|(_, tail)| tail == rest)
            });
            name == allowed || wild
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(name: &str, hosts: &[&str]) -> CertificateDer<'static> {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        made.der().clone()
    }

    #[test]
    fn certificates_are_judged_by_their_names() {
        let one = certificate("root", &["m1.example", "*.kv.example", "10.0.0.1"]);
        assert_eq!(common_name(&one).as_deref(), Some("root"));
        let check = |names: &[&str], hosts: &[&str]| {
            let list = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
            let allowed = Allowed {
                common_names: list(names),
                hostnames: list(hosts),
            };
            allowed.check(Some(&one)).is_ok()
        };
        assert!(check(&[], &[]));
        assert!(check(&["other", "root"], &[]));
        assert!(!check(&["other"], &[]));
        assert!(check(&[], &["m1.example"]));
        assert!(check(&[], &["m7.kv.example"]));
        assert!(check(&[], &["10.0.0.1"]));
        assert!(!check(&[], &["a.b.kv.example"]));
        assert!(!check(&["root"], &["elsewhere"]));
        let strict = Allowed {
            common_names: vec!["root".to_owned()],
            ..Allowed::default()
        };
        assert!(strict.check(None).is_err());
    }
}
