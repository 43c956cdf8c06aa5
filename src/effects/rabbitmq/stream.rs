//! The bytes to RabbitMQ and back: TCP, or TLS as the house speaks it everywhere.
//!
//! lapin's own TLS would bring another stack; it takes any stream from a reactor, so this is one.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::config::RabbitmqConfig;

/// What tokio's kind of stream must be.
trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for S {}

/// Why RabbitMQ's address or certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// It is none of AMQP's.
    #[error("the address can't be used: {0}")]
    Url(String),
    /// No certificate can name the host.
    #[error("the address names a host that no certificate can")]
    Host,
    /// A file that can't be read as PEM.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificates that don't go together.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

impl Dialer {
    pub(super) fn new(config: &RabbitmqConfig, uri: &AMQPUri) -> Result<Self, TlsFault> {
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => {
                let host = uri.authority.host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(|_| TlsFault::Host)?;
                Some((connector(config)?, name))
            }
        };
        Ok(Self { tls, timeout: config.timeout })
    }

    pub(super) async fn connect(
        &self,
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> lapin::Result<Connection> {
        let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), Streams(Tokio::current())));
        let dialer = self.clone();
        let dial = async move |uri: AMQPUri, _: Runtime<Parts>| {
            let dialed = tokio::time::timeout(dialer.timeout, dialer.dial(&uri)).await;
            Ok(AsyncTcpStream::Plain(dialed.map_err(io::Error::from)??))
        };
        Connection::connector(uri, runtime, dial, properties).await
    }

    async fn dial(&self, uri: &AMQPUri) -> io::Result<Compat<Box<dyn Duplex>>> {
        let host = uri.authority.host.trim_matches(['[', ']']);
        let tcp = TcpStream::connect((host, uri.authority.port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match &self.tls {
            None => Box::new(tcp),
            Some((tls, name)) => Box::new(tls.connect(name.clone(), tcp).await?),
        };
        Ok(stream.compat())
    }
}

fn connector(config: &RabbitmqConfig) -> Result<TlsConnector, TlsFault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = config.ca_file.as_deref().map(certificates).transpose()?;
    let verifier =
        Verifier::new_with_extra_roots(trusted.unwrap_or_default(), Arc::clone(&provider))?;
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let tls = match &config.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let wrong = |source| TlsFault::File { path: key.clone(), source };
            let own = PrivateKeyDer::from_pem_file(key).map_err(wrong)?;
            builder.with_client_auth_cert(certificates(certificate)?, own)?
        }
    };
    Ok(TlsConnector::from(Arc::new(tls)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let wrong = |source| TlsFault::File { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(pem::Error::NoItemsFound));
    }
    Ok(found)
}

type Parts = RuntimeParts<Tokio, Streams>;

/// Tokio's reactor, with streams of ours.
#[derive(Clone, Debug)]
struct Streams(Tokio);

impl Reactor for Streams {
    type TcpStream = Compat<Box<dyn Duplex>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(
        &self,
        duration: Duration,
    ) -> impl Stream<Item = std::time::Instant> + Send + 'static {
        self.0.interval(duration)
    }

    #[expect(clippy::manual_async_fn, reason = "what is waited for must not borrow the reactor")]
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        async move {
            let stream: Box<dyn Duplex> = Box::new(TcpStream::connect(address).await?);
            Ok(stream.compat())
        }
    }
}
