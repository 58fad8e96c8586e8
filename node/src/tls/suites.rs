//! Cipher suites and protocol versions by the names that etcd's flags take.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion, version};
use std::sync::Arc;

/// What may be negotiated; the default is everything that is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suites {
    /// `--cipher-suites`; empty: all. TLS 1.3's suites are always allowed, as with etcd.
    names: Vec<String>,
    tls12: bool,
    tls13: bool,
}

impl Default for Suites {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            tls12: true,
            tls13: true,
        }
    }
}

fn all() -> Vec<SupportedCipherSuite> {
    ring::default_provider().cipher_suites
}

/// The name by which a suite is registered.
fn name(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

fn is_tls13(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

impl Suites {
    /// From the flags `--cipher-suites`, `--tls-min-version` and `--tls-max-version`.
    ///
    /// # Errors
    /// The flag's name and what is wrong with it.
    pub fn new(list: &str, min: &str, max: &str) -> Result<Self, (&'static str, String)> {
        let known: Vec<String> = all().iter().map(|s| name(s.suite())).collect();
        let names: Vec<String> = list
            .split(',')
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .map(str::to_owned)
            .collect();
        // Go names two suites with and without the hash.
        let full = |n: &String| {
            let with_hash = format!("{n}_SHA256");
            if known.contains(&with_hash) {
                with_hash
            } else {
                n.clone()
            }
        };
        let names: Vec<String> = names.iter().map(full).collect();
        if let Some(unknown) = names.iter().find(|n| !known.contains(n)) {
            let reason = format!(
                "{unknown} is unknown or unsafe; there are: {}",
                known.join(", ")
            );
            return Err(("cipher-suites", reason));
        }
        let version = |flag: &'static str, text: &str, default: u8| match text {
            "" => Ok(default),
            "TLS1.2" => Ok(2),
            "TLS1.3" => Ok(3),
            other => Err((flag, format!("{other}: must be TLS1.2 or TLS1.3"))),
        };
        let min = version("tls-min-version", min, 2)?;
        let max = version("tls-max-version", max, 3)?;
        if min > max {
            return Err(("tls-min-version", "is above --tls-max-version".to_owned()));
        }
        if min == 3 && !names.is_empty() {
            let reason = "cannot be chosen for TLS 1.3: leave it out";
            return Err(("cipher-suites", reason.to_owned()));
        }
        Ok(Self {
            names,
            tls12: min == 2,
            tls13: max == 3,
        })
    }

    /// rustls' provider with these suites only.
    #[must_use]
    pub fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = ring::default_provider();
        if !self.names.is_empty() {
            provider
                .cipher_suites
                .retain(|s| is_tls13(s) || self.names.contains(&name(s.suite())));
        }
        Arc::new(provider)
    }

    /// The protocol versions.
    #[must_use]
    pub fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let tls13 = self.tls13.then_some(&version::TLS13);
        let tls12 = self.tls12.then_some(&version::TLS12);
        tls13.into_iter().chain(tls12).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_go_by_their_registered_names() {
        let chosen = Suites::new(
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
            "",
            "",
        )
        .unwrap();
        let tls12: Vec<String> = chosen
            .provider()
            .cipher_suites
            .iter()
            .filter(|s| !is_tls13(s))
            .map(|s| name(s.suite()))
            .collect();
        assert_eq!(
            tls12,
            [
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ]
        );
        for (list, min, max, flag) in [
            ("TLS_RSA_WITH_RC4_128_SHA", "", "", "cipher-suites"),
            ("", "TLS1.1", "", "tls-min-version"),
            ("", "TLS1.3", "TLS1.2", "tls-min-version"),
            ("", "", "1.3", "tls-max-version"),
            (
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS1.3",
                "",
                "cipher-suites",
            ),
        ] {
            assert_eq!(Suites::new(list, min, max).unwrap_err().0, flag, "{list}");
        }
    }
}
