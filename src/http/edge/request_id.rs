//! `X-Request-Id`: taken where it is decent, else made; with the rounds that a write had come.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Builder;

use crate::domain::hops;
use crate::http::exchange::error::{ApiError, Code};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 128;

/// The client's, where it has 1 to 128 letters, digits and `-_.:/=+`; else a new UUID (v7).
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let id = match headers.get(REQUEST_ID) {
        Some(given) if is_decent(given.as_bytes()) => given.clone(),
        _ => made(),
    };
    let Some(hops) = headers.get(hops::HEADER) else {
        return id;
    };
    let marked = hops::marked(id.to_str().unwrap_or_default(), hops::said(hops.as_bytes()));
    HeaderValue::try_from(marked).unwrap_or(id)
}

/// Refuses what came round too often: whoever is told of a change writes, and is told of that.
pub(crate) fn check_hops(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(hops::HEADER) {
        Some(said) if hops::said(said.as_bytes()) > hops::HOPS_MAX => {
            let text = format!(
                "the change came round more than {} times between systems that tell each other; leave out \
                 what the other said (notSources)",
                hops::HOPS_MAX
            );
            Err(ApiError::new(Code::LoopDetected, text))
        }
        Some(_) | None => Ok(()),
    }
}

/// That of a request that writes, put there before its route is called.
pub(crate) fn of_writing(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

fn is_decent(text: &[u8]) -> bool {
    (1..=BYTES_MAX).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/=+".contains(byte))
}

/// It names, it protects nothing: a fast generator will do.
fn made() -> HeaderValue {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut random = [0_u8; 10];
    fastrand::fill(&mut random);
    let id = Builder::from_unix_timestamp_millis(u64::try_from(ms).unwrap_or(0), &random);
    let mut text = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let text = id.into_uuid().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_id_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(request_id(&headers), "abc-1");
        for strange in ["", "a b", "x\"y", &"a".repeat(129)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(strange).unwrap());
            assert_eq!(request_id(&headers).len(), 36, "{strange}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
