//! `--auth-token`, `--auth-token-ttl`, `--bcrypt-cost`.

use crate::limits::JWT_TTL_DEFAULT;
use jsonwebtoken::Algorithm;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Kind of token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Random, known to every member.
    Simple,
    /// Signed, with the revision of the permissions it was given under.
    Jwt(JwtOptions),
}

/// How signed tokens are made and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOptions {
    /// `sign-method`
    pub method: Algorithm,
    /// `pub-key`
    pub public: Option<PathBuf>,
    /// `priv-key`; the secret itself for HMAC.
    pub private: Option<PathBuf>,
    /// `ttl`
    pub ttl: Duration,
}

/// How users are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Kind of token.
    pub kind: Kind,
    /// How long a simple token lives that is not shown.
    pub simple_ttl: Duration,
    /// bcrypt's cost.
    pub bcrypt_cost: u32,
}

impl Kind {
    /// From the flag.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn parse(text: &str, duration: impl Fn(&str) -> Option<Duration>) -> Result<Self, String> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let mut options = BTreeMap::new();
        for part in parts {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?}: must be of the form name=value"))?;
            if options.insert(name, value).is_some() {
                return Err(format!("{name} stands there twice"));
            }
        }
        match kind {
            "simple" => Ok(Self::Simple),
            "jwt" => {
                let method = options.remove("sign-method").unwrap_or_default();
                let method = Algorithm::from_str(method).map_err(|_| {
                    format!(
                        "sign-method={method}: must be one of HS256, HS384, HS512, RS256, RS384, \
                         RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
                    )
                })?;
                let ttl = match options.remove("ttl") {
                    None => JWT_TTL_DEFAULT,
                    Some(text) => duration(text)
                        .ok_or_else(|| format!("ttl={text}: must be a duration such as 5m"))?,
                };
                let mut path = |name| options.remove(name).map(PathBuf::from);
                Ok(Self::Jwt(JwtOptions {
                    method,
                    public: path("pub-key"),
                    private: path("priv-key"),
                    ttl,
                }))
            }
            _ => Err(format!("{kind}: must be simple or jwt,…")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Kind, String> {
        Kind::parse(text, |text| {
            let seconds = text.strip_suffix('s')?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        })
    }

    #[test]
    fn kinds_are_read_as_etcd_does() {
        assert_eq!(parse("simple"), Ok(Kind::Simple));
        assert_eq!(
            parse("jwt,pub-key=/a,priv-key=/b,sign-method=ES256,ttl=7s"),
            Ok(Kind::Jwt(JwtOptions {
                method: Algorithm::ES256,
                public: Some("/a".into()),
                private: Some("/b".into()),
                ttl: Duration::from_secs(7),
            }))
        );
        for (text, word) in [
            ("", "simple or jwt"),
            ("jwt", "sign-method="),
            ("jwt,sign-method=ES257", "sign-method=ES257"),
            ("jwt,sign-method", "name=value"),
            ("jwt,ttl=1s,ttl=1s", "twice"),
            ("jwt,sign-method=HS256,ttl=1", "duration"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
