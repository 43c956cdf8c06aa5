//! `ETag`, `If-Match` and `If-None-Match` of contacts (RFC 9110 section 13).

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::command::Condition;
use crate::domain::contact::StateTag;

use crate::http::exchange::error::{ApiError, Code};

/// `"<version>-<hash>"`, strong.
pub(super) fn etag(tag: StateTag) -> HeaderValue {
    let mut text = Vec::with_capacity(40);
    text.push(b'"');
    tag.write(&mut text);
    text.push(b'"');
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The other way; none: it is none of ours, or weak, and so fits nothing.
fn state_tag(text: &str) -> Option<StateTag> {
    StateTag::parse(text.strip_prefix('"')?.strip_suffix('"')?)
}

/// What `If-Match` says; `None`: it is not there.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Condition>, ApiError> {
    Ok(listed(headers, &IF_MATCH)?.map(condition))
}

/// The same of a text that is no header.
pub(super) fn if_match_text(text: &str) -> Condition {
    condition(text.split(',').map(str::trim).collect())
}

/// Every write of what is there needs it to be there: `*` asks for nothing more.
fn condition(texts: Vec<&str>) -> Condition {
    let is_any = texts.contains(&"*");
    let any_of = (!is_any).then(|| texts.into_iter().filter_map(state_tag).collect());
    Condition { any_of, ..Condition::default() }
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

/// Whether `If-None-Match` lets a contact of no state at all be there: `*`.
pub(super) fn must_be_absent(headers: &HeaderMap) -> Result<bool, ApiError> {
    Ok(listed(headers, &IF_NONE_MATCH)?.is_some_and(|texts| texts.contains(&"*")))
}

/// What `If-None-Match` adds to the condition of a change of what is there: its state must be none of
/// these; `*`, any at all.
pub(super) fn unless_match(
    headers: &HeaderMap,
    condition: Condition,
) -> Result<Condition, ApiError> {
    let Some(texts) = listed(headers, &IF_NONE_MATCH)? else {
        return Ok(condition);
    };
    if texts.contains(&"*") {
        return Ok(Condition { any_of: Some(Vec::new()), ..condition });
    }
    // Weakly compared (RFC 9110, 13.1.2): a tag says the same with a W/ before it.
    let tags = texts.into_iter().map(|text| text.strip_prefix("W/").unwrap_or(text));
    Ok(Condition { none_of: tags.filter_map(state_tag).collect(), ..condition })
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
    fn if_none_match_is_added_to_if_match() {
        let tag = StateTag { version: 1, hash: 1 };
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(text));
            let condition = Condition { any_of: Some(vec![tag]), ..Condition::default() };
            unless_match(&headers, condition).unwrap()
        };
        assert!(!of("*").holds(tag));
        assert!(!of("\"x\", W/\"1-0000000000000001\"").holds(tag));
        assert!(of("\"2-0000000000000001\"").holds(tag));
        let none = unless_match(&HeaderMap::new(), Condition::default()).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn if_match_is_a_star_or_tags() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, HeaderValue::from_static(text));
            if_match(&headers).unwrap()
        };
        let any_of = |tags| Some(Condition { any_of: Some(tags), ..Condition::default() });
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of("*"), Some(Condition::default()));
        assert_eq!(of("\"x\", W/\"1-0000000000000000\""), any_of(Vec::new()));
        let tag = StateTag { version: 1, hash: 1 };
        assert_eq!(of("\"x\",\"1-0000000000000001\""), any_of(vec![tag]));
    }
}
