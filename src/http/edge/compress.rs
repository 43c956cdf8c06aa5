//! gzip, for who accepts it and where it is worth it.

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::cors::add_vary;

/// Less fits into one packet as it is.
const BYTES_MIN: u64 = 1024;
/// More is not held in memory a second time.
const BYTES_MAX: u64 = 8 << 20;
/// More would keep other requests of the same thread waiting.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Whether the client takes gzip (RFC 9110 section 12.5.3).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut by_star = None;
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for coding in value.split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality =
                parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            let is_taken = quality.is_none_or(|text| text.parse::<f32>().is_ok_and(|q| q > 0.0));
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return is_taken;
            }
            if name == "*" {
                by_star = Some(is_taken);
            }
        }
    }
    by_star.unwrap_or(false)
}

/// The answer, smaller where that is worth it. A tag of the API's is asked for again in `If-Match`,
/// which the weak one of an encoded answer would break: such an answer stays as it is.
pub(crate) async fn compressed(takes_gzip: bool, is_api: bool, response: Response) -> Response {
    let size = response.body().size_hint().exact().unwrap_or(0);
    let keeps_tag = is_api && response.headers().contains_key(ETAG);
    if !(BYTES_MIN..=BYTES_MAX).contains(&size) || keeps_tag || !is_worth_it(&response) {
        return response;
    }
    if takes_gzip {
        // Boxed: it is rare, and would make the future of every request larger.
        Box::pin(with_gzip(response)).await
    } else {
        with_vary(response)
    }
}

fn with_vary(mut response: Response) -> Response {
    add_vary(response.headers_mut(), ACCEPT_ENCODING);
    response
}

/// Text, whole, not encoded yet, and free of secrets: those in `no-store` could be guessed from the
/// size of what surrounds them (BREACH).
fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let media_type = text(CONTENT_TYPE).unwrap_or_default();
    let is_text = media_type.starts_with("text/")
        || ["json", "javascript", "xml"].iter().any(|word| media_type.contains(word));
    let is_whole = response.status() != StatusCode::PARTIAL_CONTENT
        && !media_type.starts_with("text/event-stream");
    let is_secret = text(CACHE_CONTROL).is_some_and(|value| value.contains("no-store"));
    let is_plain = !headers.contains_key(CONTENT_ENCODING);
    is_text && is_whole && !is_secret && is_plain
}

async fn with_gzip(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Some(plain) = whole(body).await else {
        // Bodies of a known size come from memory and do not fail.
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(parts, Body::empty());
    };
    let packed = if plain.len() <= INLINE_BYTES_MAX {
        gzip(&plain)
    } else {
        let plain = plain.clone();
        tokio::task::spawn_blocking(move || gzip(&plain)).await.ok().flatten()
    };
    let Some(packed) = packed.filter(|packed| packed.len() < plain.len()) else {
        return with_vary(Response::from_parts(parts, Body::from(plain)));
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    weaken_tag(&mut parts.headers);
    with_vary(Response::from_parts(parts, Body::from(packed)))
}

/// A strong tag names one sequence of bytes.
fn weaken_tag(headers: &mut HeaderMap) {
    let weak = headers
        .get(ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""))
        .and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(ETAG, weak);
    }
}

async fn whole(mut body: Body) -> Option<Bytes> {
    let mut whole: Option<Bytes> = None;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(bytes) = frame.ok()?.into_data() else {
            continue;
        };
        whole = Some(match whole {
            None => bytes,
            Some(before) => [before, bytes].concat().into(),
        });
    }
    Some(whole.unwrap_or_default())
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_only_for_who_takes_it() {
        let takes = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap());
            takes_gzip(&headers)
        };
        for text in ["gzip", "deflate, GZIP;q=0.5, br", "*", "x-gzip", "br;q=1, *;q=0.1"] {
            assert!(takes(text), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "*, gzip;q=0", "identity", "*;q=0", "gzip;q=x"] {
            assert!(!takes(text), "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
