//! Which connections of a port speak TLS, also while that changes on a cluster that lives.

use super::{Presented, Tls};
use crate::addresses::Target;
use crate::limits::PREFACE_TIMEOUT;
use crate::socket::Socket;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;

/// First byte of a TLS handshake; no HTTP and no peer's preface begins with it.
const HANDSHAKE: u8 = 0x16;

/// Which connections speak TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Those to and at URLs with https, as with etcd.
    #[default]
    ByUrl,
    /// None, whatever URLs say.
    Off,
    /// Both are taken; members are called with TLS and, where it is not spoken, without.
    Permissive,
    /// All, whatever URLs say.
    Required,
}

impl Mode {
    /// What it means for one URL.
    #[must_use]
    pub fn at(self, https: bool) -> Self {
        match self {
            Self::ByUrl if https => Self::Required,
            Self::ByUrl => Self::Off,
            other => other,
        }
    }

    /// For the operator.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByUrl => "by-url",
            Self::Off => "off",
            Self::Permissive => "permissive",
            Self::Required => "required",
        }
    }
}

/// How one port is secured; both directions.
#[derive(Clone, Default)]
pub struct Port {
    /// Which connections speak TLS.
    pub mode: Mode,
    /// The certificates, if there are any.
    pub tls: Option<Arc<Tls>>,
}

impl Port {
    /// As it is where the URL says that.
    #[must_use]
    pub fn at(&self, https: bool) -> Self {
        Self {
            mode: self.mode.at(https),
            tls: self.tls.clone(),
        }
    }

    /// Takes a connection: does the handshake, if there is one to do. What the other side showed, if it spoke TLS.
    ///
    /// # Errors
    /// If the other side does not speak what is demanded, or takes too long over it.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<(Socket, Option<Presented>)> {
        let taking = async {
            match (self.mode, &self.tls) {
                (Mode::Off | Mode::ByUrl, _) | (_, None) => Ok((Socket::plain(socket), None)),
                (Mode::Permissive, Some(_)) if !begins_handshake(&socket).await? => {
                    Ok((Socket::plain(socket), None))
                }
                (_, Some(tls)) => {
                    let (socket, presented) = tls.accept(socket).await?;
                    Ok((socket, Some(presented)))
                }
            }
        };
        let taken = tokio::time::timeout(PREFACE_TIMEOUT, taking).await;
        taken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Connects to somebody, and does the handshake if there is one to do.
    ///
    /// # Errors
    /// If it cannot be reached, or does not speak what is demanded.
    pub async fn call(&self, https: bool, target: &Target<'_>) -> io::Result<Socket> {
        let address = target.address();
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let mode = self.mode.at(https);
        let tls = match (mode, &self.tls) {
            (Mode::Off | Mode::ByUrl, _) => return Ok(Socket::plain(target.reach().await?)),
            (_, Some(tls)) => tls,
            (_, None) => {
                return Err(io::Error::other(format!(
                    "{address} speaks TLS, and this member has no --peer-cert-file"
                )));
            }
        };
        match tls.connect(host, target.reach().await?).await {
            Err(error) if mode == Mode::Permissive && speaks_no_tls(&error) => {
                Ok(Socket::plain(target.reach().await?))
            }
            other => other,
        }
    }
}

async fn begins_handshake(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(socket.peek(&mut first).await? == 1 && first[0] == HANDSHAKE)
}

/// Whether a handshake failed because the other side does not know what one is. A certificate that is not
/// trusted is no such case: that must be seen, not gone round.
fn speaks_no_tls(error: &io::Error) -> bool {
    let kind = error.kind();
    let closed = kind == io::ErrorKind::UnexpectedEof
        || kind == io::ErrorKind::ConnectionReset
        || kind == io::ErrorKind::BrokenPipe;
    let inner = error.get_ref();
    closed
        || matches!(
            inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()),
            Some(rustls::Error::InvalidMessage(_))
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_decide_only_where_nothing_else_does() {
        for (mode, http, https) in [
            (Mode::ByUrl, Mode::Off, Mode::Required),
            (Mode::Off, Mode::Off, Mode::Off),
            (Mode::Permissive, Mode::Permissive, Mode::Permissive),
            (Mode::Required, Mode::Required, Mode::Required),
        ] {
            assert_eq!((mode.at(false), mode.at(true)), (http, https), "{mode:?}");
        }
    }

    #[test]
    fn only_who_knows_no_tls_is_called_without() {
        let of = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let garbage = rustls::InvalidMessage::InvalidContentType;
        assert!(speaks_no_tls(&of(rustls::Error::InvalidMessage(garbage))));
        assert!(speaks_no_tls(&io::ErrorKind::UnexpectedEof.into()));
        let untrusted = rustls::CertificateError::UnknownIssuer;
        assert!(!speaks_no_tls(&of(untrusted.into())));
        assert!(!speaks_no_tls(&io::ErrorKind::ConnectionRefused.into()));
    }
}
