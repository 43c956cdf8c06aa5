//! HTTP/2, where TLS agreed on it: what a connection is to HTTP/1 a stream is here, with the same bounds.
//!
//! The connection's own place is for one stream; each more that is open at once has one of a pool that is
//! as large as that of connections, and of which an address has no larger part. h2 bounds what comes
//! before a request is whole: heads, CONTINUATION, small DATA, resets, and answers to SETTINGS and PING.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::StreamExt as _;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Peer, PeerKind};
use super::http2_stream::{StreamEnd, answer};
use super::paced::Paced;
use super::serve::{ServeOptions, Signal, look, signals};
use crate::http::router::Api;
use crate::shares::Part;

/// Bytes of one request's body that may come before they are read; reading gives the room back.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same of all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of one answer that may wait for the socket.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Requests that a client may take back at once beyond those that it let us answer.
const TAKEN_BACK_MAX: u64 = 100;

fn builder(options: &ServeOptions) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(options.streams_max)
        .max_header_list_size(u32::try_from(options.head_bytes_max).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    builder
}

/// Answers what comes by one connection, until that ends.
pub(super) async fn conversation<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Arc<Peer>,
    api: Api,
    options: &ServeOptions,
    connections: &Connections,
    shutdown: CancellationToken,
) {
    let mut signals = signals(&peer, options, &shutdown);
    let stream = Paced::new(stream, options.write_timeout, Arc::clone(&peer));
    let preface =
        tokio::time::timeout(options.first_byte_timeout, builder(options).handshake(stream));
    let preface = shutdown.run_until_cancelled(preface);
    let Some(Some(Ok(Ok(mut connection)))) = peer.cut.run_until_cancelled(preface).await else {
        return;
    };
    let mut streams = Streams::new(api, Arc::clone(&peer), options);
    loop {
        tokio::select! {
            biased;
            Some(signal) = signals.next() => match signal {
                Signal::Cut => return,
                Signal::Shutdown => {
                    streams.is_ending = true;
                    connection.graceful_shutdown();
                }
                Signal::Look => {
                    signals.push(look(options));
                    if streams.have_nothing_to_do(options.header_timeout) {
                        connection.abrupt_shutdown(Reason::NO_ERROR);
                    }
                }
                Signal::FirstByte => {}
            },
            Some(ended) = streams.tasks.join_next() => {
                streams.count(ended.unwrap_or(StreamEnd::Broken));
                if streams.taken_back > streams.answered + TAKEN_BACK_MAX {
                    tracing::debug!("a client takes back its requests faster than they can be answered");
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
            }
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else {
                    return;
                };
                streams.begin(request, respond, connections);
                if peer.kind == PeerKind::Probe {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

/// The requests of one connection that are under way; all of them end with it.
struct Streams {
    api: Api,
    peer: Arc<Peer>,
    write_timeout: Duration,
    tasks: JoinSet<StreamEnd>,
    /// When the last one ended.
    idle_since: Instant,
    answered: u64,
    taken_back: u64,
    /// Whether it was told to end.
    is_ending: bool,
}

impl Streams {
    fn new(api: Api, peer: Arc<Peer>, options: &ServeOptions) -> Self {
        Self {
            api,
            peer,
            write_timeout: options.write_timeout,
            tasks: JoinSet::new(),
            idle_since: Instant::now(),
            answered: 0,
            taken_back: 0,
            is_ending: false,
        }
    }

    fn begin(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        connections: &Connections,
    ) {
        let part =
            if self.tasks.is_empty() { Ok(None) } else { connections.stream(&self.peer).map(Some) };
        let Ok(part) = part else {
            // Says that nothing was done, so that the client may come again.
            return respond.send_reset(Reason::REFUSED_STREAM);
        };
        let (api, peer, write_timeout) =
            (self.api.clone(), Arc::clone(&self.peer), self.write_timeout);
        self.tasks.spawn(async move {
            let _part: Option<Part> = part;
            answer(&api, &peer, request, respond, write_timeout).await
        });
    }

    fn count(&mut self, ended: StreamEnd) {
        self.idle_since = Instant::now();
        match ended {
            StreamEnd::Answered => self.answered += 1,
            StreamEnd::TakenBack => self.taken_back += 1,
            StreamEnd::Broken => {}
        }
    }

    /// Pings are no work.
    fn have_nothing_to_do(&self, header_timeout: Duration) -> bool {
        self.tasks.is_empty() && (self.is_ending || self.idle_since.elapsed() >= header_timeout)
    }
}
