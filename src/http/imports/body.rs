//! The file of an import as it comes: onto the disk piece by piece, never whole in memory.

use axum::body::Body;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::files::import::{ImportError, Imports, Upload};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::state::HttpState;

/// Bytes that are gathered before they are written.
const PIECE_BYTES: usize = 256 << 10;

/// Takes the whole body. What is refused is read to its end all the same, so that the client hears why.
pub(super) async fn receive(
    state: &HttpState,
    imports: &Imports,
    by: &str,
    mut body: Body,
) -> Result<Upload, ApiError> {
    let mut refused = None;
    let mut upload = imports.upload(by).map_err(|error| refused = Some(error)).ok();
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let (wait, bytes_max) = (state.limits().request_timeout, imports.file_bytes_max());
    let mut bytes = 0;
    loop {
        let frame = timeout(wait, body.frame()).await.map_err(|_elapsed| {
            ApiError::new(Code::RequestTimeout, "the file has stopped coming")
        })?;
        let frame = frame.transpose().map_err(|_| {
            ApiError::new(Code::InvalidBody, "the body ended early or broke its framing")
        })?;
        let is_end = frame.is_none();
        if let Some(Ok(data)) = frame.map(hyper::body::Frame::into_data) {
            bytes += data.len() as u64;
            if upload.is_some() {
                piece.extend_from_slice(&data);
            }
        }
        if piece.len() >= PIECE_BYTES || (is_end && !piece.is_empty()) {
            let (written, result) = write(upload.take(), std::mem::take(&mut piece)).await?;
            upload = written;
            if let Err(error) = result {
                (refused, upload) = (Some(error), None);
            }
        }
        if is_end || (refused.is_some() && bytes > bytes_max) {
            break;
        }
    }
    match (upload, refused) {
        (Some(upload), None) => Ok(upload),
        (_, Some(error)) => Err(error.into()),
        (None, None) => Err(ApiError::internal("an upload has gone")),
    }
}

type Written = (Option<Upload>, Result<(), ImportError>);

async fn write(upload: Option<Upload>, piece: Vec<u8>) -> Result<Written, ApiError> {
    let writing = tokio::task::spawn_blocking(move || match upload {
        Some(mut upload) => {
            let written = upload.take(&piece);
            (Some(upload), written)
        }
        None => (None, Ok(())),
    });
    writing.await.map_err(|error| ApiError::internal(error.to_string()))
}
