//! `ETag`, `If-Match` and `If-None-Match` of contacts (RFC 9110 section 13).

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::contact::StateTag;
use crate::domain::digits::{write_decimal, write_hex};
use crate::ingest::Precondition;

use super::error::{ApiError, Code};

/// `"<version>-<hash>"`, strong.
pub(super) fn etag(tag: StateTag) -> HeaderValue {
    let mut text = Vec::with_capacity(40);
    text.push(b'"');
    write_decimal(tag.version, &mut text);
    text.push(b'-');
    write_hex(tag.hash, 16, &mut text);
    text.push(b'"');
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The other way; none: it is none of ours, or weak, and so fits nothing.
fn state_tag(text: &str) -> Option<StateTag> {
    let (version, hash) = text.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
    let is_hex = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = is_hex.then(|| u64::from_str_radix(hash, 16).ok())??;
    Some(StateTag { version: version.parse().ok()?, hash })
}

/// What `If-Match` says.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let Some(texts) = listed(headers, &IF_MATCH)? else {
        return Ok(Precondition::None);
    };
    Ok(precondition(texts))
}

/// The same of a text that is no header.
pub(super) fn if_match_text(text: &str) -> Precondition {
    precondition(text.split(',').map(str::trim).collect())
}

fn precondition(texts: Vec<&str>) -> Precondition {
    if texts.contains(&"*") {
        return Precondition::Exists;
    }
    Precondition::OneOf(texts.into_iter().filter_map(state_tag).collect())
}

/// Whether the contact must not be there yet: `If-None-Match: *`.
pub(super) fn must_be_new(headers: &HeaderMap) -> Result<bool, ApiError> {
    match listed(headers, &IF_NONE_MATCH)? {
        None => Ok(false),
        Some(texts) if texts == ["*"] => Ok(true),
        Some(_) => Err(ApiError::new(
            Code::InvalidHeader,
            "on a write If-None-Match is * (the contact must be new)",
        )),
    }
}

fn listed<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Vec<&'h str>>, ApiError> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut texts = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| {
            ApiError::new(Code::InvalidHeader, format!("{name} is no list of entity tags"))
        })?;
        texts.extend(text.split(',').map(str::trim).filter(|text| !text.is_empty()));
    }
    Ok(Some(texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_both_ways_and_weak_or_foreign_ones_fit_nothing() {
        let tag = StateTag { version: 7, hash: 0xfe };
        let text = etag(tag);
        assert_eq!(text, "\"7-00000000000000fe\"");
        assert_eq!(state_tag(text.to_str().unwrap()), Some(tag));
        for foreign in
            ["W/\"7-00000000000000fe\"", "\"7-fe\"", "7-00000000000000fe", "\"x\"", "\"\""]
        {
            assert_eq!(state_tag(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn if_match_is_a_star_or_tags() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, HeaderValue::from_static(text));
            if_match(&headers).unwrap()
        };
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), Precondition::None);
        assert_eq!(of("*"), Precondition::Exists);
        assert_eq!(of("\"x\", W/\"1-0000000000000000\""), Precondition::OneOf(Vec::new()));
        let tag = StateTag { version: 1, hash: 1 };
        assert_eq!(of("\"x\",\"1-0000000000000001\""), Precondition::OneOf(vec![tag]));
    }
}
