//! TLS: certificates from files, taken anew when the files change.
//!
//! Every handshake uses the configuration in force at that moment, so certificates
//! and CAs are rotated without a restart. Files that cannot be used are reported and
//! the old configuration stays.

mod load;
mod names;
mod port;
mod suites;

pub use names::{Allowed, CertificateName, Presented};
pub use port::{Mode, Port};
pub use suites::Suites;

use crate::limits::TLS_FILES_INTERVAL;
use crate::socket::Socket;
use parking_lot::RwLock;
use rustls::pki_types::ServerName;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Where the certificates are and what is demanded of the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// CAs that the other side's certificate must come from; `None`: clients need no
    /// certificate, and servers are checked by the system's CAs.
    pub trusted_ca: Option<PathBuf>,
    /// Revoked certificates, PEM.
    pub crl: Option<PathBuf>,
    /// Further demands on a client's certificate.
    pub allowed: Allowed,
    /// Cipher suites and protocol versions.
    pub suites: Suites,
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or holds something else.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("certificate {cert} and key {key} cannot be used: {reason}")]
    Pair {
        /// The certificate.
        cert: String,
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// Both directions at one moment.
struct Configs {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
    in_use: InUse,
}

/// Which certificates are in use, so that somebody may see whether a change has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// SHA-256 of the certificate that is shown, in hexadecimal digits.
    pub certificate: String,
    /// SHA-256 of each CA that is trusted, sorted.
    pub trusted: Vec<String>,
    /// When the certificate ends, in seconds since 1970.
    pub not_after: i64,
}

/// One set of certificates in use; shared.
pub struct Tls {
    settings: Settings,
    configs: RwLock<Configs>,
}

/// What tells a file from its successor.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        let configs = RwLock::new(load::configs(&settings)?);
        Ok(Arc::new(Self { settings, configs }))
    }

    /// Does the server's side of a handshake; what the client's certificate says.
    ///
    /// # Errors
    /// If the client does not show what is demanded.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<(Socket, Presented)> {
        let acceptor = TlsAcceptor::from(self.configs.read().server.clone());
        let stream = acceptor.accept(socket).await?;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        self.settings
            .allowed
            .check(certificate)
            .map_err(io::Error::other)?;
        let presented = certificate.map(Presented::of).unwrap_or_default();
        Ok((Socket::tls(stream.into()), presented))
    }

    /// Does the client's side of a handshake with `host`.
    ///
    /// # Errors
    /// If the server's certificate is not for that host, or comes from no trusted CA.
    pub async fn connect(&self, host: &str, socket: TcpStream) -> io::Result<Socket> {
        let connector = TlsConnector::from(self.configs.read().client.clone());
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(io::Error::other)?;
        let stream = connector.connect(name, socket).await?;
        Ok(Socket::tls(stream.into()))
    }

    /// The certificates in use now.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        self.configs.read().in_use.clone()
    }

    fn stamp(&self) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        let files = [
            Some(&self.settings.cert),
            Some(&self.settings.key),
            self.settings.trusted_ca.as_ref(),
            self.settings.crl.as_ref(),
        ];
        let stamp = |path: &PathBuf| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len(), data.ino()))
        };
        files.into_iter().map(|path| path.and_then(stamp)).collect()
    }

    /// Looks at the files again and again, until the process ends.
    pub async fn reload(self: Arc<Self>) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(TLS_FILES_INTERVAL).await;
            let now = self.stamp();
            if now == seen {
                continue;
            }
            match load::configs(&self.settings) {
                Ok(configs) => {
                    *self.configs.write() = configs;
                    let cert = self.settings.cert.display();
                    tracing::info!(%cert, "Certificates were changed: new connections use them");
                    seen = now;
                }
                // Tried again at the next look: a change of several files takes a moment.
                Err(error) => {
                    tracing::warn!(%error, "Changed certificates cannot be used: the old ones stay");
                }
            }
        }
    }
}
