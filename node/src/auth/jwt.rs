//! Signed tokens: the user, the auth revision, and when they end.

use super::settings::JwtOptions;
use anyhow::Context;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kvorum_mvcc::auth::Caller;
use rustls::pki_types::PrivateSec1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a token says, in etcd's words.
#[derive(Serialize, Deserialize)]
struct Claims {
    username: String,
    revision: u64,
    exp: u64,
}

/// What signs and checks them.
pub struct Jwt {
    method: Algorithm,
    ttl: Duration,
    check: DecodingKey,
    /// Without it this member only checks.
    sign: Option<EncodingKey>,
    validation: Validation,
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("--auth-token: reading {} failed", path.display()))
}

/// What a file must hold for a method.
fn private_key(method: Algorithm, data: &[u8]) -> Result<EncodingKey, jsonwebtoken::errors::Error> {
    match method {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            Ok(EncodingKey::from_secret(data))
        }
        Algorithm::ES256 | Algorithm::ES384 => match PrivateSec1KeyDer::from_pem_slice(data) {
            Ok(key) => Ok(EncodingKey::from_ec_der(&wrapped(
                method,
                key.secret_sec1_der(),
            ))),
            Err(_) => EncodingKey::from_ec_pem(data),
        },
        Algorithm::EdDSA => EncodingKey::from_ed_pem(data),
        _ => EncodingKey::from_rsa_pem(data),
    }
}

/// An elliptic key as `openssl ecparam -genkey` writes it (SEC 1), in the form that says
/// its curve outside (PKCS #8).
fn wrapped(method: Algorithm, key: &[u8]) -> Vec<u8> {
    // Sequence of "elliptic key" and the curve's name.
    let curve: &[u8] = if method == Algorithm::ES384 {
        b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
    } else {
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
    };
    let version: &[u8] = b"\x02\x01\x00";
    let (octets, sequence) = (4, 0x30);
    tagged(sequence, &[version, curve, &tagged(octets, key)].concat())
}

/// One DER value.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let digits = length
        .iter()
        .position(|b| *b != 0)
        .map_or(&[][..], |i| &length[i..]);
    let mut out = vec![tag];
    match (digits, u8::try_from(digits.len())) {
        ([], _) => out.push(0),
        ([short], _) if *short < 0x80 => out.push(*short),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(digits);
        }
        (_, Err(_)) => {}
    }
    out.extend_from_slice(value);
    out
}

fn public_key(method: Algorithm, data: &[u8]) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    match method {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            Ok(DecodingKey::from_secret(data))
        }
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(data),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(data),
        _ => DecodingKey::from_rsa_pem(data),
    }
}

impl Jwt {
    /// Reads the keys.
    ///
    /// # Errors
    /// If they are not there, are of another kind, or do not belong together.
    pub(super) fn new(options: &JwtOptions) -> anyhow::Result<Self> {
        let method = options.method;
        let symmetric = matches!(
            method,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        );
        let wrong = |what| format!("--auth-token: {what} holds no key for {method:?}");
        let private = options.private.as_deref().map(read).transpose()?;
        let public = options.public.as_deref().map(read).transpose()?;
        let sign = private
            .as_deref()
            .map(|data| private_key(method, data).with_context(|| wrong("priv-key")))
            .transpose()?;
        let check = match (&sign, &public, &private) {
            (_, _, Some(secret)) if symmetric => DecodingKey::from_secret(secret),
            (_, Some(public), _) if !symmetric => {
                public_key(method, public).with_context(|| wrong("pub-key"))?
            }
            (Some(sign), _, _) => {
                let jwk =
                    Jwk::from_encoding_key(sign, method).with_context(|| wrong("priv-key"))?;
                DecodingKey::from_jwk(&jwk).with_context(|| wrong("priv-key"))?
            }
            _ => {
                anyhow::bail!("--auth-token: priv-key= must name a file with a key for {method:?}")
            }
        };
        let mut validation = Validation::new(method);
        validation.leeway = 0;
        let jwt = Self {
            method,
            ttl: options.ttl,
            check,
            sign,
            validation,
        };
        let probe = jwt.sign(&Caller::default())?;
        if probe.is_some_and(|token| jwt.user_of(&token).is_none()) {
            anyhow::bail!("--auth-token: public and private keys don't match");
        }
        Ok(jwt)
    }

    /// Signs a token; `None`: this member has no key for that.
    ///
    /// # Errors
    /// If the key will not do.
    pub(crate) fn sign(&self, caller: &Caller) -> anyhow::Result<Option<String>> {
        let Some(key) = &self.sign else {
            return Ok(None);
        };
        let ends = SystemTime::now().duration_since(UNIX_EPOCH)? + self.ttl;
        let claims = Claims {
            username: caller.user.clone(),
            revision: caller.revision,
            exp: ends.as_secs(),
        };
        let token = jsonwebtoken::encode(&Header::new(self.method), &claims, key);
        Ok(Some(token.context("signing a token failed")?))
    }

    pub(super) fn user_of(&self, token: &str) -> Option<Caller> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation).ok()?;
        Some(Caller {
            user: decoded.claims.username,
            revision: decoded.claims.revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys(tempfile::TempDir);

    impl Keys {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn pair(&self, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            self.write(&format!("{name}.key"), key.serialize_pem().as_bytes());
            self.write(&format!("{name}.pub"), key.public_key_pem().as_bytes());
        }

        fn write(&self, name: &str, data: &[u8]) {
            std::fs::write(self.0.path().join(name), data).unwrap();
        }

        fn jwt(&self, method: Algorithm, public: &str, private: &str) -> anyhow::Result<Jwt> {
            let path = |name: &str| (!name.is_empty()).then(|| self.0.path().join(name));
            Jwt::new(&JwtOptions {
                method,
                public: path(public),
                private: path(private),
                ttl: Duration::from_secs(60),
            })
        }
    }

    fn caller() -> Caller {
        Caller {
            user: "alice".to_owned(),
            revision: 7,
        }
    }

    #[test]
    fn tokens_are_known_by_every_key_that_belongs_to_them() {
        let keys = Keys::new();
        keys.pair("ec", &rcgen::PKCS_ECDSA_P256_SHA256);
        keys.pair("ed", &rcgen::PKCS_ED25519);
        keys.write("secret", b"not told to anybody else");
        for (method, public, private) in [
            (Algorithm::ES256, "ec.pub", "ec.key"),
            (Algorithm::EdDSA, "ed.pub", "ed.key"),
            (Algorithm::HS512, "", "secret"),
        ] {
            let both = keys.jwt(method, public, private).unwrap();
            let token = both.sign(&caller()).unwrap().unwrap();
            assert_eq!(both.user_of(&token), Some(caller()), "{method:?}");
            // rcgen writes Ed25519 keys in a longer form than openssl, with the public key.
            if method != Algorithm::EdDSA {
                let alone = keys.jwt(method, "", private).unwrap();
                assert_eq!(alone.user_of(&token), Some(caller()), "{method:?}");
            }
            assert_eq!(both.user_of(&token.replace('.', "x.")), None);
            if !public.is_empty() {
                let checks = keys.jwt(method, public, "").unwrap();
                assert_eq!(checks.user_of(&token), Some(caller()));
                assert_eq!(checks.sign(&caller()).unwrap(), None);
            }
        }
    }

    /// Made for this test by `openssl ecparam -genkey -noout`.
    const OPENSSL_EC: [(Algorithm, &str); 2] = [
        (
            Algorithm::ES256,
            "-----BEGIN EC PRIVATE KEY-----\n\
             MHcCAQEEIL8wH5ncGPCdD1kxUKOCk/vDNTtW2nOYQKActzwzWIv/oAoGCCqGSM49\n\
             AwEHoUQDQgAEFKKnM3o5OpUyl+G1zrjT9Xe+MoRniRcMq3fleGCB0u4sg8TkGrv+\n\
             laJnwkIhTzAcI6N/I9TN6Z/nxuoLscrp9w==\n\
             -----END EC PRIVATE KEY-----\n",
        ),
        (
            Algorithm::ES384,
            "-----BEGIN EC PRIVATE KEY-----\n\
             MIGkAgEBBDA6BH1W/pQDEcuEd7kdsj3cQJOCIOBcl+nBNPFxvCDNBQreJGcSiKpO\n\
             PBgKUhdU2/egBwYFK4EEACKhZANiAAS8jnLI6Of2RRQ/msZ9Owk8o6ollJYTDKfl\n\
             KpxxRnaPr7QGJ/pbU7bOhTSuDJtwlBvGeqS66w1ON0KR7I8wE/9Gu02f71/QpVTR\n\
             I4pLhSR9RGIx2+EO6KPBP9JoaUY8tyk=\n\
             -----END EC PRIVATE KEY-----\n",
        ),
    ];

    #[test]
    fn keys_of_openssls_old_form_are_taken() {
        let keys = Keys::new();
        for (method, key) in OPENSSL_EC {
            keys.write("key", key.as_bytes());
            let jwt = keys.jwt(method, "", "key").unwrap();
            let token = jwt.sign(&caller()).unwrap().unwrap();
            assert_eq!(jwt.user_of(&token), Some(caller()), "{method:?}");
        }
    }

    #[test]
    fn keys_that_do_not_belong_together_are_refused() {
        let keys = Keys::new();
        keys.pair("a", &rcgen::PKCS_ECDSA_P256_SHA256);
        keys.pair("b", &rcgen::PKCS_ECDSA_P256_SHA256);
        for (method, public, private, word) in [
            (Algorithm::ES256, "b.pub", "a.key", "don't match"),
            (Algorithm::RS256, "", "a.key", "priv-key holds no key"),
            (Algorithm::ES256, "", "", "priv-key="),
            (Algorithm::ES256, "none", "", "reading"),
        ] {
            let message = keys.jwt(method, public, private).map(|_| ()).unwrap_err();
            assert!(message.to_string().contains(word), "{message:#}");
        }
    }

    #[test]
    fn a_token_ends_and_another_method_is_not_taken() {
        let keys = Keys::new();
        keys.write("secret", b"s");
        let old = keys.jwt(Algorithm::HS256, "", "secret").unwrap();
        let other = keys.jwt(Algorithm::HS384, "", "secret").unwrap();
        let token = old.sign(&caller()).unwrap().unwrap();
        assert_eq!(other.user_of(&token), None);
        let claims = Claims {
            username: "alice".to_owned(),
            revision: 7,
            exp: 1,
        };
        let key = EncodingKey::from_secret(b"s");
        let ended = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        assert_eq!(old.user_of(&ended), None);
    }
}
