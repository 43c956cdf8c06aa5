//! Sockets: accepting, slow clients, and the orderly end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::domain::Class;
use crate::shares::part_of;
use crate::telemetry::fault;

use super::connections::{ConnectionBounds, Connections, Peer, PeerKind, Place};
use super::head_timer::{LookedAt, next_look};
use super::http2;
use super::paced::Paced;
use super::tls::{Tls, is_http2};
use crate::http::edge::request_id::request_id;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::router::Api;

/// After an accept that failed, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For a connection to become TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client that was too slow may take to read why.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a client may go on sending what is not wanted: closed at once, it would never read why.
const LINGER: Duration = Duration::from_secs(5);

/// Why serving ended or never began.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not know its address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
}

impl ServeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Listener(_) => Class::Fatal,
        }
    }
}

/// Bounds of connections.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// For a connection's first byte to come.
    pub first_byte_timeout: Duration,
    /// For a request's head to come, and for an idle connection to be used again.
    pub header_timeout: Duration,
    /// For a client to take some of an answer.
    pub write_timeout: Duration,
    /// How long the end waits for requests under way.
    pub drain_timeout: Duration,
    /// How many connections there are, and who may have them.
    pub connections: ConnectionBounds,
    /// Bytes of a request's head that are read at most.
    pub head_bytes_max: usize,
    /// Requests of one connection of HTTP/2 at once.
    pub streams_max: u32,
    /// With it, only TLS is spoken.
    pub tls: Option<Arc<Tls>>,
}

impl ServeOptions {
    /// As configured, for so many connections.
    pub fn new(config: &ServerConfig, connections_max: usize) -> Self {
        let of_address_max = part_of(connections_max, config.connections_per_address_max);
        Self {
            first_byte_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(30),
            write_timeout: config.write_timeout,
            drain_timeout: config.drain_timeout,
            connections: ConnectionBounds {
                max: connections_max,
                of_address_max: of_address_max.min(connections_max).max(1),
                proxies: config.proxies.clone(),
            },
            // More than the edge lets through, so that it can say so in our own format; as much as each
            // connection may have us hold.
            head_bytes_max: 32 * 1024,
            streams_max: config.http2_streams_max,
            tls: None,
        }
    }
}

/// Answers until `shutdown`, then lets the requests under way end, for as long as the options say.
///
/// # Errors
/// When the listener is none.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    listener.local_addr()?;
    let crowd = Connections::new(options.connections.clone(), api.pools());
    let mut connections = JoinSet::new();
    let options = Arc::new(options);
    let accepting = async {
        while let Some((place, stream)) = accepted(&listener, &crowd, &shutdown).await {
            while connections.try_join_next().is_some() {}
            let (api, options) = (api.clone(), Arc::clone(&options));
            connections.spawn(connection(stream, place, api, options, shutdown.clone()));
        }
    };
    match &options.tls {
        None => accepting.await,
        Some(tls) => tokio::select! {
            () = accepting => {}
            () = tls.keep_current() => {}
        },
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.drain_timeout, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections cut at the end of the drain");
        connections.shutdown().await;
    }
    Ok(())
}

/// Answers what comes by one stream, which need not be a socket, until that ends.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    address: IpAddr,
    api: Api,
    options: &ServeOptions,
) {
    let peer = Arc::new(Peer::by_itself(address));
    conversation(stream, peer, api, options, CancellationToken::new()).await;
}

/// The next connection with its place among all; none: shut down.
async fn accepted(
    listener: &TcpListener,
    crowd: &Arc<Connections>,
    shutdown: &CancellationToken,
) -> Option<(Place, TcpStream)> {
    let next = async {
        loop {
            let next = match fault::io("accept") {
                Ok(()) => listener.accept().await,
                Err(error) => Err(error),
            };
            match next {
                Ok((stream, peer)) => {
                    if let Some(place) = crowd.place(peer.ip()).await {
                        return (place, stream);
                    }
                }
                Err(error) => {
                    crowd.not_accepted(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(next).await
}

/// One connection, from its first byte to its last; then its place is free.
/// As small as can be, for there are thousands: a future that is handed on by value stands in it twice.
async fn connection(
    stream: TcpStream,
    place: Place,
    api: Api,
    options: Arc<ServeOptions>,
    shutdown: CancellationToken,
) {
    let peer = Arc::clone(&place.peer);
    // Small answers must not wait for a full packet.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &options.tls else {
        return conversation(stream, peer, api, &options, shutdown).await;
    };
    let shaking = Box::pin(tokio::time::timeout(HANDSHAKE, tls.accept(stream)));
    let shaking = shutdown.run_until_cancelled(shaking);
    match peer.cut.run_until_cancelled(shaking).await.flatten() {
        Some(Ok(Ok(stream))) if is_http2(&stream) => {
            let crowd = place.connections();
            Box::pin(http2::conversation(stream, peer, api, &options, crowd, shutdown)).await;
        }
        Some(Ok(Ok(stream))) => conversation(stream, peer, api, &options, shutdown).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "a connection did not become TLS"),
        // Too slow, or it gives way, or we end.
        Some(Err(_)) | None => {}
    }
}

/// What a connection is told.
pub(super) enum Signal {
    /// To end after the request under way.
    Shutdown,
    /// To end now.
    Cut,
    /// To look at its deadline.
    Look,
    /// To end if nothing has come.
    FirstByte,
}

type SignalFuture = Pin<Box<dyn Future<Output = Signal> + Send>>;

/// The next look at deadlines.
pub(super) fn look(options: &ServeOptions) -> SignalFuture {
    Box::pin(next_look(options.header_timeout).map(|()| Signal::Look))
}

/// Each is polled only when it was woken, and not with every request.
pub(super) fn signals(
    peer: &Peer,
    options: &ServeOptions,
    shutdown: &CancellationToken,
) -> FuturesUnordered<SignalFuture> {
    let signals = FuturesUnordered::<SignalFuture>::new();
    signals.push(Box::pin(shutdown.clone().cancelled_owned().map(|()| Signal::Shutdown)));
    signals.push(Box::pin(peer.cut.clone().cancelled_owned().map(|()| Signal::Cut)));
    signals.push(look(options));
    signals
        .push(Box::pin(tokio::time::sleep(options.first_byte_timeout).map(|()| Signal::FirstByte)));
    signals
}

async fn conversation<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Arc<Peer>,
    api: Api,
    options: &ServeOptions,
    shutdown: CancellationToken,
) {
    let mut signals = signals(&peer, options, &shutdown);
    let stream = Paced::new(stream, options.write_timeout, Arc::clone(&peer));
    let requests = Requests(Arc::new((api, Arc::clone(&peer))));
    let mut connection = http1::Builder::new()
        .timer(LookedAt)
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.head_bytes_max)
        .serve_connection(TokioIo::new(stream), requests);
    let served = poll_fn(|context| {
        while let Poll::Ready(Some(signal)) = signals.poll_next_unpin(context) {
            match signal {
                Signal::Shutdown => Pin::new(&mut connection).graceful_shutdown(),
                Signal::Cut => return Poll::Ready(None),
                Signal::Look => signals.push(look(options)),
                Signal::FirstByte if peer.has_spoken() => {}
                Signal::FirstByte => return Poll::Ready(None),
            }
        }
        connection.poll_without_shutdown(context).map(Some)
    });
    let Some(ended) = served.await else {
        return;
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let may_send_more = ended.is_err() || peer.has_left_body();
    let farewell = Box::pin(async {
        if ended.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
            let _ = tokio::time::timeout(FAREWELL, stream.write_all(&slow_head_answer())).await;
        }
        let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
        if may_send_more {
            let rest = tokio::time::timeout(LINGER, sent_in_vain(&mut stream));
            shutdown.run_until_cancelled(rest).await;
        }
    });
    // Its place may be wanted.
    peer.cut.run_until_cancelled(farewell).await;
}

/// Reads to the end what nobody wants: what is unread when a socket is closed takes our answer with it.
async fn sent_in_vain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = vec![0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// For a head that did not come in time, where no request ever reached the router.
fn slow_head_answer() -> Vec<u8> {
    let error = ApiError::new(Code::RequestTimeout, "the request's head took too long to come");
    let id = request_id(&axum::http::HeaderMap::new());
    let id = id.to_str().unwrap_or_default();
    let body = error.to_json(id, false);
    let mut answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         x-request-id: {id}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

/// The API as hyper wants it, without the boxes of a generic adapter. What is shared is the connection's
/// own: those of others do not count their uses in the same place.
struct Requests(Arc<(Api, Arc<Peer>)>);

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // Most requests have none, and need no box for it.
        let request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (api, peer) = &*shared;
            let mut response = api.answer_to(peer, request).await;
            if peer.kind == PeerKind::Probe {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
