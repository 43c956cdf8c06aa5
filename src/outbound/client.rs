//! One request to a checked address, without redirects or proxies.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::domain::texts::innermost;

use super::error::OutboundError;
use super::kept::{Connection, Kept};
use super::target::{Allowed, Target};

type Soon<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Finds a host's addresses; tests bring their own.
pub type Resolve = Arc<dyn Fn(String, u16) -> Soon<Vec<IpAddr>> + Send + Sync>;

/// Connects to an address that was checked; tests note it, and connect elsewhere.
pub type Connect = Arc<dyn Fn(SocketAddr) -> Soon<TcpStream> + Send + Sync>;

/// The system's resolver.
pub fn resolve() -> Resolve {
    Arc::new(|host, port| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), port)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// TCP.
pub fn connect() -> Connect {
    Arc::new(|address| Box::pin(TcpStream::connect(address)))
}

/// What a target answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub is_cut: bool,
}

/// Sends requests to allowed targets.
pub struct Client {
    allowed: Allowed,
    resolve: Resolve,
    connect: Connect,
    tls: OnceLock<Result<TlsConnector, String>>,
    timeout: Duration,
    /// Bytes of an answer's body that are read.
    answer_bytes_max: usize,
    /// Where connections are kept for the next request.
    kept: Option<Kept>,
}

impl Client {
    /// One that asks the system for addresses.
    pub fn new(allowed: Allowed, timeout: Duration, answer_bytes_max: usize) -> Self {
        Self::by(allowed, timeout, answer_bytes_max, resolve(), connect())
    }

    /// The same, by another resolver and connector.
    pub fn by(
        allowed: Allowed,
        timeout: Duration,
        answer_bytes_max: usize,
        resolve: Resolve,
        connect: Connect,
    ) -> Self {
        let (tls, kept) = (OnceLock::new(), None);
        Self { allowed, resolve, connect, tls, timeout, answer_bytes_max, kept }
    }

    /// The same, with so many connections kept for the next request. A request that comes upon one that was
    /// closed is sent again by a new one, so it must do no harm to get it twice.
    #[must_use]
    pub fn keeping(mut self, connections_max: usize) -> Self {
        self.kept = Some(Kept::new(connections_max));
        self
    }

    /// Reads a target, and checks all that needs no resolver.
    ///
    /// # Errors
    /// When it is no HTTP address, or names a host that is not allowed.
    pub fn target(&self, text: &str) -> Result<Target, OutboundError> {
        self.allowed.target(text)
    }

    /// Whether its host is where it may be, now. Every request looks again.
    ///
    /// # Errors
    /// When it is elsewhere, or can't be found.
    pub async fn check(&self, target: &Target) -> Result<(), OutboundError> {
        match tokio::time::timeout(self.timeout, self.addresses(target)).await {
            Ok(addresses) => addresses.map(drop),
            Err(_elapsed) => Err(self.too_late()),
        }
    }

    /// Posts a body, and reads the beginning of the answer.
    ///
    /// # Errors
    /// When it may not be sent there, or nobody answers as HTTP in time.
    pub async fn post(
        &self,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, OutboundError> {
        self.send(Method::POST, target, headers, body).await
    }

    /// The same with any method.
    ///
    /// # Errors
    /// As there.
    pub async fn send(
        &self,
        method: Method,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, OutboundError> {
        let exchange = self.exchange(method, target, headers, body);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.too_late()),
        }
    }

    fn too_late(&self) -> OutboundError {
        OutboundError::Timeout { ms: self.timeout.as_millis() }
    }

    /// Where to connect to; one address that is not allowed spoils them all.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, OutboundError> {
        if let Some(own) = target.own() {
            return Ok(vec![own]);
        }
        let unresolved =
            |detail: String| OutboundError::Unresolved { host: target.host().to_owned(), detail };
        let found = match target.literal() {
            Some(address) => vec![address],
            None => (self.resolve)(target.host().to_owned(), target.port())
                .await
                .map_err(|error| unresolved(error.to_string()))?,
        };
        if found.is_empty() {
            return Err(unresolved("there are none".to_owned()));
        }
        let checked = found.into_iter().map(|address| {
            self.allowed.check(target, address)?;
            Ok(SocketAddr::new(address, target.port()))
        });
        checked.collect()
    }

    async fn exchange(
        &self,
        method: Method,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, OutboundError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() =
            target.path().parse().map_err(|_| OutboundError::Url { problem: "has no path" })?;
        let host = HeaderValue::try_from(target.authority());
        let host = host.map_err(|_| OutboundError::Url { problem: "names no host" })?;
        let agent = concat!("contactd/", env!("CARGO_PKG_VERSION"));
        let sent = request.headers_mut();
        sent.insert(HOST, host);
        sent.insert(USER_AGENT, HeaderValue::from_static(agent));
        sent.extend(headers.iter().cloned());
        let Some(kept) = &self.kept else {
            let connection = self.connection(target).await?;
            return Ok(self.ask(connection, request).await?.0);
        };
        let key =
            format!("{}{}", if target.is_tls() { "https://" } else { "" }, target.authority());
        let again = match kept.take(&key) {
            Some(connection) => self.ask(connection, request.clone()).await.ok(),
            None => None,
        };
        let (answer, connection) = match again {
            Some(asked) => asked,
            None => self.ask(self.connection(target).await?, request).await?,
        };
        if let Some(connection) = connection {
            kept.put(key, connection);
        }
        Ok(answer)
    }

    async fn connection(&self, target: &Target) -> Result<Connection, OutboundError> {
        let stream = self.stream(self.addresses(target).await?).await?;
        if !target.is_tls() {
            return speak(stream).await;
        }
        let name = ServerName::try_from(target.host().to_owned())
            .map_err(|_| OutboundError::Url { problem: "names a host that no certificate can" })?;
        speak(self.tls()?.connect(name, stream).await.map_err(failed)?).await
    }

    /// To the first address that takes it.
    async fn stream(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, OutboundError> {
        let mut last = OutboundError::Exchange("there is no address to connect to".to_owned());
        for address in addresses {
            match (self.connect)(address).await {
                Ok(stream) => {
                    // Small and waited for.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }

    fn tls(&self) -> Result<&TlsConnector, OutboundError> {
        let built = self.tls.get_or_init(|| tls_connector().map_err(|error| error.to_string()));
        built.as_ref().map_err(|error| OutboundError::Exchange(error.clone()))
    }

    /// The answer, and the connection where it can be used again.
    async fn ask(
        &self,
        connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<(Answer, Option<Connection>), OutboundError> {
        let Connection { mut sender, mut driver, made } = connection;
        let (answer, is_open) = {
            let mut answer = pin!(async {
                let response = sender.send_request(request).await.map_err(failed)?;
                self.read(response).await
            });
            tokio::select! {
                biased;
                answer = &mut answer => (answer?, true),
                ended = &mut driver => {
                    ended.map_err(failed)?;
                    // What came before the end is still to be read.
                    (answer.await?, false)
                }
            }
        };
        let connection = (is_open && !answer.is_cut).then_some(Connection { sender, driver, made });
        Ok((answer, connection))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, OutboundError> {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut is_cut) = (Vec::new(), false);
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(failed)?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let room = self.answer_bytes_max.saturating_sub(body.len());
            body.extend(data.iter().take(room));
            if data.len() > room {
                is_cut = true;
                break;
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body, is_cut })
    }
}

async fn speak<S>(stream: S) -> Result<Connection, OutboundError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    Ok(Connection { sender, driver: Box::pin(driver), made: Instant::now() })
}

/// When to ask again, by what an answer says: seconds, or a date (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

fn tls_connector() -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn failed(error: impl std::error::Error + 'static) -> OutboundError {
    OutboundError::Exchange(innermost(&error))
}
