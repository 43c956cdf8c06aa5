//! An import as server-sent events, and its refused rows as a file.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answers::Import;
use crate::files::import::{Format, Job, JobState, RefusedFile};
use crate::shares::Part;

pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// A comment comes at least so often, and whoever follows is asked again whether it may.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two events.
const PAUSE: Duration = Duration::from_millis(250);

/// Asked whether the client still may have it.
type StillAllowed = Box<dyn Fn() -> bool + Send + Sync>;

struct Following {
    id: String,
    job: watch::Receiver<Job>,
    still_allowed: StillAllowed,
    is_first: bool,
    has_ended: bool,
    _place: Part,
}

/// The import each time that something of it changes, until it has ended.
pub(super) fn events(
    id: String,
    job: watch::Receiver<Job>,
    still_allowed: StillAllowed,
    place: Part,
) -> Response {
    let following =
        Following { id, job, still_allowed, is_first: true, has_ended: false, _place: place };
    let stream = futures_util::stream::unfold(following, |mut following| async {
        let text = following.next().await?;
        Some((Ok::<_, Infallible>(text), following))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Following {
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.has_ended || !(self.still_allowed)() {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(PAUSE).await;
            match timeout(HEARTBEAT, self.job.changed()).await {
                Err(_elapsed) => return Some(b": heartbeat\n\n".to_vec()),
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {}
            }
        }
        let job = self.job.borrow_and_update().clone();
        self.has_ended = !job.state.is_under_way() && job.state != JobState::Ready;
        let shown = serde_json::to_string(&Import::of(self.id.clone(), job)).unwrap_or_default();
        Some(format!("event: import\ndata: {shown}\n\n").into_bytes())
    }
}

/// The media type of files of a format.
pub(super) const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv",
        Format::Ndjson => "application/x-ndjson",
        Format::Vcard => "text/vcard",
    }
}

/// Rows as a file of their own format.
pub(super) fn file(file: RefusedFile) -> Response {
    let format = file.format();
    let stream = futures_util::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let reading = tokio::task::spawn_blocking(move || {
            let piece = file.next_piece();
            (file, piece)
        });
        match reading.await {
            Ok((file, Ok(Some(piece)))) => Some((Ok(piece), Some(file))),
            Ok((_, Ok(None))) => None,
            Ok((_, Err(error))) => Some((Err(io::Error::other(error.to_string())), None)),
            Err(error) => Some((Err(io::Error::other(error.to_string())), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(format)));
    let name = format!("attachment; filename=\"rows.{}\"", format.ending());
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}
