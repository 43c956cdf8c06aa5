//! TLS with our own certificate, read again when its files change.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::domain::Class;

use super::certificate::not_after;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Its name in ALPN (RFC 9113, 3.1).
const HTTP2: &[u8] = b"h2";

/// Why a certificate can't be used. Never holds anything of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read, or holds no PEM of what it should.
    #[error("{file}: {problem}", file = .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("{certificate} and {key}: {source}", certificate = .certificate.display(), key = .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } | Self::Pair { .. } => Class::Fatal,
        }
    }
}

/// The certificate that is shown, and how connections become TLS.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    certificate: PathBuf,
    key: PathBuf,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Tls {
    /// TLS 1.2 and 1.3, with a chain and its key in PEM; HTTP/2 and 1.1 by ALPN.
    ///
    /// # Errors
    /// When they can't be read, or do not go together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let pair = read_pair(certificate, key)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let provider = Arc::new(default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| pair_error(certificate, key, source))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// When the first certificate of the chain that is shown ends, in seconds of Unix time; none: it can't be
    /// read out of them.
    pub fn not_after(&self) -> Option<i64> {
        self.current.0.read().cert.iter().filter_map(|certificate| not_after(certificate)).min()
    }

    /// Reads the files again when they have changed, for as long as it is polled; what can't be used
    /// is named, and the certificate before it stays.
    pub(crate) async fn keep_current(&self) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamps = self.stamps();
            if stamps == seen {
                continue;
            }
            seen = stamps;
            if let Err(error) = self.read_again() {
                tracing::warn!(%error, "the changed certificate can't be used; the one before it stays");
            }
        }
    }

    /// Reads the files now; whether they hold another certificate than before.
    ///
    /// # Errors
    /// When they can't be used; the certificate before them stays.
    pub fn read_again(&self) -> Result<bool, TlsError> {
        let pair = read_pair(&self.certificate, &self.key)?;
        let mut current = self.current.0.write();
        if current.cert == pair.cert {
            return Ok(false);
        }
        *current = Arc::new(pair);
        tracing::info!(file = %self.certificate.display(), "certificate read again");
        Ok(true)
    }

    fn stamps(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|file| {
            let metadata: Metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

/// Whether the client chose HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn pair_error(certificate: &Path, key: &Path, source: rustls::Error) -> TlsError {
    TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |file: &Path, problem: String| TlsError::File { file: file.to_owned(), problem };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "holds no certificate in PEM".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    CertifiedKey::from_der(chain, private, &default_provider())
        .map_err(|source| pair_error(certificate, key, source))
}
