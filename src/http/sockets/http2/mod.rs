//! HTTP/2, where TLS agreed on it: what a connection is to HTTP/1 a stream is here, with the same bounds.
//!
//! The connection's own place is for one stream; each more that is open at once has one of a pool, of which
//! an address has no larger part than of connections. It has it until the last byte of its answer went to
//! the socket. h2 bounds what comes before a request is whole: heads, CONTINUATION, small DATA, resets, and
//! answers to SETTINGS and PING.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Peer, PeerKind};
use super::http2_stream::{Portion, StreamEnd, StreamPlace, answer};
use super::paced::Paced;
use super::serve::{ServeOptions, Signal, look, signals};
use crate::http::router::Api;

/// Bytes of one request's body that may come before they are read; reading gives the room back.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same of all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of one answer that may wait for the socket.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Requests that a client may take back at once beyond those that it let us answer.
const TAKEN_BACK_MAX: u64 = 100;
/// As how many a request counts that was taken back while it was worked on: the work goes on.
const CANCELLED: u64 = 4;

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
    // Boxed, for what is handed on by value would stand in this future for as long as it lives.
    let preface = Box::pin(builder(options).handshake::<_, Portion>(stream));
    let preface = tokio::time::timeout(options.first_byte_timeout, preface);
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
                    // A client that knows of the end had time to begin what was on its way to us.
                    streams.takes_more &= !streams.is_ending;
                    if streams.have_nothing_to_do(options, connection.has_streams()) {
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
                    streams.is_ending = true;
                    streams.takes_more = false;
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

/// The requests of one connection that are under way; all of them end with it.
struct Streams {
    /// Of this connection: those of others do not count their uses in the same place.
    shared: Arc<(Api, Arc<Peer>)>,
    write_timeout: Duration,
    tasks: JoinSet<StreamEnd>,
    /// When something was last seen to be done.
    idle_since: Instant,
    /// Whether a byte of an answer went since the last look. As many more hold it as there are streams
    /// that have a place.
    has_moved: Arc<AtomicBool>,
    answered: u64,
    taken_back: u64,
    /// Whether it was told to end.
    is_ending: bool,
    takes_more: bool,
}

impl Streams {
    fn new(api: Api, peer: Arc<Peer>, options: &ServeOptions) -> Self {
        Self {
            shared: Arc::new((api, peer)),
            write_timeout: options.write_timeout,
            tasks: JoinSet::new(),
            idle_since: Instant::now(),
            answered: 0,
            taken_back: 0,
            has_moved: Arc::default(),
            is_ending: false,
            takes_more: true,
        }
    }

    fn begin(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Portion>,
        connections: &Connections,
    ) {
        let Some(place) = self.place(connections) else {
            // Says that nothing was done, so that the client may come again.
            return respond.send_reset(Reason::REFUSED_STREAM);
        };
        let (shared, write_timeout) = (Arc::clone(&self.shared), self.write_timeout);
        self.tasks.spawn(async move {
            let (api, peer) = &*shared;
            answer(api, peer, request, respond, &place, write_timeout).await
        });
    }

    /// The connection's own, where no other stream has it.
    fn place(&self, connections: &Connections) -> Option<Arc<StreamPlace>> {
        if !self.takes_more {
            return None;
        }
        let is_first = Arc::strong_count(&self.has_moved) == 1;
        let part = (!is_first).then(|| connections.stream(&self.shared.1)).transpose().ok()?;
        Some(Arc::new(StreamPlace::new(part, Arc::clone(&self.has_moved))))
    }

    fn count(&mut self, ended: StreamEnd) {
        self.idle_since = Instant::now();
        match ended {
            StreamEnd::Answered => self.answered += 1,
            StreamEnd::TakenBack => self.taken_back += 1,
            StreamEnd::Cancelled => self.taken_back += CANCELLED,
            StreamEnd::Broken => {}
        }
    }

    /// Pings are no work; `has_streams`: some of an answer may still be on its way, for as long as it goes.
    fn have_nothing_to_do(&mut self, options: &ServeOptions, has_streams: bool) -> bool {
        if self.has_moved.swap(false, Ordering::Relaxed) {
            self.idle_since = Instant::now();
        }
        let idle = self.idle_since.elapsed();
        self.tasks.is_empty()
            && if has_streams {
                idle >= options.write_timeout
            } else {
                self.is_ending || idle >= options.header_timeout
            }
    }
}

#[cfg(test)]
mod tests;
