//! One request of HTTP/2 and its answer, as the API knows them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING};
use axum::http::response::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use hyper::Request;
use hyper::body::{Buf, Frame, SizeHint};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::connections::Peer;
use crate::http::router::Api;
use crate::shares::Part;

/// Bytes that are handed over at once: so much of an answer waits for a client that gives no window.
const CHUNK_BYTES: usize = 16 * 1024;
/// A client that has had so long for an answer may do without it.
const SOON: Duration = Duration::from_secs(1);
/// RFC 9110, 5.6.7.
const HTTP_DATE: StaticFormatDescription = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// All of its answer went to the client.
    Answered,
    /// Its client took it back as soon as it had sent it.
    TakenBack,
    /// The same, while the API worked on it.
    Cancelled,
    /// Either side broke it off.
    Broken,
}

/// What a stream has until its last byte went to the socket.
pub(super) struct StreamPlace {
    /// None: the place of its connection.
    _part: Option<Part>,
    has_moved: Arc<AtomicBool>,
}

impl StreamPlace {
    pub(super) fn new(part: Option<Part>, has_moved: Arc<AtomicBool>) -> Self {
        Self { _part: part, has_moved }
    }
}

/// Some of an answer, as h2 has it: it drops it when it is written, or wanted no more.
pub(super) struct Portion {
    bytes: Bytes,
    place: Arc<StreamPlace>,
}

impl Portion {
    fn new(bytes: Bytes, place: &Arc<StreamPlace>) -> Self {
        Self { bytes, place: Arc::clone(place) }
    }
}

impl Buf for Portion {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.place.has_moved.store(true, Ordering::Relaxed);
    }
}

/// Has the API answer one request, and hands that over as fast as the client takes it; one that takes
/// nothing for `write_timeout` is not waited for longer.
pub(super) async fn answer(
    api: &Api,
    peer: &Arc<Peer>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Portion>,
    place: &Arc<StreamPlace>,
    write_timeout: Duration,
) -> StreamEnd {
    let started = Instant::now();
    let method = request.method().clone();
    let response = {
        let mut answering = pin!(api.answer_to(peer, as_by_http1(request)));
        poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(context).map(|_| None),
        })
        .await
    };
    let is_soon = || started.elapsed() < SOON;
    let Some(response) = response else {
        return if is_soon() { StreamEnd::Cancelled } else { StreamEnd::Broken };
    };
    match send(&mut respond, &method, response, place, write_timeout).await {
        Ok(()) => StreamEnd::Answered,
        Err(Unsent::Reset) if is_soon() => StreamEnd::TakenBack,
        Err(Unsent::Reset | Unsent::GivenUp) => StreamEnd::Broken,
    }
}

/// Why a client has not got all of its answer.
enum Unsent {
    /// It, or its connection, is gone.
    Reset,
    /// It took nothing of it, or there was no more to give.
    GivenUp,
}

impl From<h2::Error> for Unsent {
    fn from(_: h2::Error) -> Self {
        Self::Reset
    }
}

async fn send(
    respond: &mut SendResponse<Portion>,
    method: &Method,
    response: Response,
    place: &Arc<StreamPlace>,
    write_timeout: Duration,
) -> Result<(), Unsent> {
    let (mut head, mut body) = response.into_parts();
    complete(&mut head, method, &body);
    let is_whole = body.is_end_stream();
    let mut stream = respond.send_response(Response::from_parts(head, ()), is_whole)?;
    if is_whole {
        return Ok(());
    }
    loop {
        let frame = poll_fn(|context| match Pin::new(&mut body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            // Of what is silent now nobody would notice that its client is gone.
            Poll::Pending => stream.poll_reset(context).map(|_| Err(Unsent::Reset)),
        });
        match frame.await? {
            None => return Ok(stream.send_data(Portion::new(Bytes::new(), place), true)?),
            Some(Ok(frame)) => {
                let Ok(bytes) = frame.into_data() else {
                    continue;
                };
                let is_last = body.is_end_stream();
                hand_over(&mut stream, bytes, is_last, place, write_timeout).await?;
                if is_last {
                    return Ok(());
                }
            }
            Some(Err(_)) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Err(Unsent::GivenUp);
            }
        }
    }
}

/// What hyper sees to in HTTP/1.
fn complete(head: &mut Parts, method: &Method, body: &Body) {
    // These are about the connection, and would break the stream (RFC 9113, 8.2.2).
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let has_body = *method != Method::HEAD
        && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_body && let Some(length) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    let now = OffsetDateTime::now_utc().format(HTTP_DATE).ok();
    if let Some(now) = now.and_then(|now| HeaderValue::try_from(now).ok()) {
        head.headers.insert(DATE, now);
    }
}

/// Waits for the client's window before each portion, so that little is left to h2, which waits for ever.
async fn hand_over(
    stream: &mut SendStream<Portion>,
    mut bytes: Bytes,
    is_last: bool,
    place: &Arc<StreamPlace>,
    write_timeout: Duration,
) -> Result<(), Unsent> {
    if bytes.is_empty() && is_last {
        stream.send_data(Portion::new(bytes, place), true)?;
        return Ok(());
    }
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len().min(CHUNK_BYTES));
        let mut room = stream.capacity();
        if room == 0 {
            let more = poll_fn(|context| stream.poll_capacity(context));
            room = match tokio::time::timeout(write_timeout, more).await {
                Ok(Some(more)) => more?,
                Ok(None) => return Err(Unsent::Reset),
                Err(_elapsed) => {
                    stream.send_reset(Reason::CANCEL);
                    return Err(Unsent::GivenUp);
                }
            };
        }
        let portion = bytes.split_to(room.min(CHUNK_BYTES).min(bytes.len()));
        stream.send_data(Portion::new(portion, place), is_last && bytes.is_empty())?;
    }
    Ok(())
}

/// With a `Host` and a path, as whatever looks at requests knows them. Whoever names two hosts has both.
fn as_by_http1(request: Request<RecvStream>) -> Request<Body> {
    let (mut head, stream) = request.into_parts();
    let uri = std::mem::take(&mut head.uri).into_parts();
    if let Some(path) = uri.path_and_query {
        head.uri = Uri::from(path);
    }
    if let Some(host) = uri.authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        && head.headers.get(HOST) != Some(&host)
    {
        head.headers.append(HOST, host);
    }
    let length =
        head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let body = if stream.is_end_stream() {
        Body::empty()
    } else {
        Body::new(RequestBody { stream, left: length })
    };
    Request::from_parts(head, body)
}

/// What comes of a request's body. What is read of it may come anew, and nothing else.
struct RequestBody {
    stream: RecvStream,
    /// As far as its length was said; h2 holds the client to it.
    left: Option<u64>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(bytes) = ready!(self.stream.poll_data(context)).transpose()? else {
            // Trailers say nothing to us.
            return Poll::Ready(None);
        };
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
        self.stream.flow_control().release_capacity(bytes.len())?;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
