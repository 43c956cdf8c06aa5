//! Bodies: read where a route wants one, within their bounds and those of all together.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::CONTENT_ENCODING;
use serde_json::json;
use tokio::time::timeout;

use crate::shares::{Full, Part, Pool, Who};

use crate::http::edge::gate::Caller;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::services::HttpLimits;
use crate::http::state::HttpState;

/// What a body may have of memory without being counted: most have no more.
const UNCOUNTED_BYTES: usize = 8 * 1024;
/// What of a body that nobody wants is thrown away, where it is there already.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;

/// Bodies are read here, so that no route can forget their bounds. What it has of the room for all is
/// to be kept until the request is answered.
pub(crate) async fn read_whole(
    state: &HttpState,
    caller: &Caller,
    request: &mut Request,
) -> Result<Option<Part>, ApiError> {
    let encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    // What unpacks to more than it is, is not unpacked.
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let text = "send the body as it is, without a Content-Encoding";
        return Err(ApiError::new(Code::UnsupportedMediaType, text));
    }
    let limits = state.limits();
    let (pool, who) = (state.bodies().of(caller.principal.is_some()), caller.who());
    let reading = Reading { limits, pool, who, whole: Vec::new(), part: None };
    match timeout(limits.request_timeout, reading.all_of(request.body_mut())).await {
        Ok(read) => {
            let (whole, part) = read?;
            *request.body_mut() = Body::from(whole);
            Ok(part)
        }
        Err(_elapsed) => Err(ApiError::new(Code::RequestTimeout, "the body took too long to come")),
    }
}

struct Reading<'s> {
    limits: &'s HttpLimits,
    pool: &'s Pool,
    who: Who,
    whole: Vec<u8>,
    part: Option<Part>,
}

impl Reading<'_> {
    async fn all_of(mut self, body: &mut Body) -> Result<(Vec<u8>, Option<Part>), ApiError> {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            let frame = frame.map_err(|_| {
                ApiError::new(Code::InvalidBody, "the body ended early or broke its framing")
            })?;
            // Trailers say nothing to us.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            if self.whole.len() + bytes.len() > self.limits.body_bytes_max {
                return Err(too_large(self.limits));
            }
            self.make_room(bytes.len())?;
            self.whole.extend_from_slice(&bytes);
        }
        Ok((self.whole, self.part))
    }

    /// Room of our own, and of that for all as much of it as is counted.
    fn make_room(&mut self, more: usize) -> Result<(), ApiError> {
        let needed = self.whole.len() + more;
        if needed <= self.whole.capacity() {
            return Ok(());
        }
        if needed <= UNCOUNTED_BYTES {
            self.whole.reserve_exact(more);
            return Ok(());
        }
        let after = needed.next_power_of_two().min(self.limits.body_bytes_max).max(needed);
        let counted = after - self.whole.capacity().max(UNCOUNTED_BYTES);
        let grown = match &mut self.part {
            Some(part) => part.grow(counted),
            None => self.pool.take(self.who, counted).map(|part| self.part = Some(part)),
        };
        grown.map_err(|full| no_room(self.pool, full))?;
        self.whole.reserve_exact(after - self.whole.len());
        Ok(())
    }
}

fn no_room(pool: &Pool, full: Full) -> ApiError {
    let text = match full {
        Full::Part => "your bodies on their way are all that one may have; try again",
        Full::All => "too many bodies are on their way; try again",
    };
    ApiError::new(Code::Overloaded, text)
        .with_details(json!({ "limit": "bodies", "maxBytes": pool.bound(full) }))
}

pub(crate) fn too_large(limits: &HttpLimits) -> ApiError {
    let max = limits.body_bytes_max;
    ApiError::new(Code::BodyTooLarge, format!("a body has {max} bytes at most"))
        .with_details(json!({ "maxBytes": max }))
}

/// Throws away what is there of a body that nobody wants; whether that was all of it. What is still to
/// come is not waited for, and not asked for.
pub(crate) async fn discard(waits_to_send: bool, body: &mut Body) -> bool {
    if waits_to_send {
        return body.is_end_stream();
    }
    let mut left = DISCARDED_BYTES_MAX;
    let mut frames = pin!(poll_fn(|context| {
        while !body.is_end_stream() {
            let bytes = match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, |bytes| bytes.len()),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Ready(Some(Err(_))) | Poll::Pending => return Poll::Ready(false),
            };
            if bytes > left {
                return Poll::Ready(false);
            }
            left -= bytes;
        }
        Poll::Ready(true)
    }));
    frames.as_mut().await
}
