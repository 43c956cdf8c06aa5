//! What of a request's head hyper takes and we don't, because others would read it in another way.

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Version};

use crate::http::exchange::error::{ApiError, Code};

/// One `Host` (RFC 9112, 3.2), and no encoding of the transfer but `chunked` (6.1).
pub(crate) fn check(request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => {}
        (None, _) if request.version() < Version::HTTP_11 => {}
        (None, _) => return Err(bad("a request names one Host, and this one none")),
        (Some(_), Some(_)) => return Err(bad("a request names one Host, and this one several")),
    }
    if request.body().is_end_stream() {
        return Ok(());
    }
    check_encoding(headers)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let values = headers.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings: Vec<&[u8]> = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.as_slice() {
        [] => Ok(()),
        [coding] if is_chunked(coding) => Ok(()),
        several if several.iter().filter(|coding| is_chunked(coding)).count() > 1 => {
            Err(bad("a body is chunked once, and this one more often"))
        }
        _ => Err(ApiError::new(
            Code::UnsupportedTransferEncoding,
            "send the body as it is or chunked, without another Transfer-Encoding",
        )),
    }
}

fn bad(text: &str) -> ApiError {
    ApiError::new(Code::InvalidHeader, text)
}
