//! What the client accepts (RFC 9110 section 12.5.1).

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};

/// A range that names the media type itself.
const IN_FULL: u8 = 2;

/// Whether `media_type` (`type/subtype`) is acceptable; without the header, or where it is empty,
/// everything is.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    match best_match(headers, media_type) {
        Wanted::All => true,
        Wanted::Match(_, quality) => quality > 0,
        Wanted::Others => false,
    }
}

/// Whether the client names `media_type` and wants `other` no more than it: a browser, which names
/// `text/html`, and no program that takes anything.
pub(crate) fn prefers(headers: &HeaderMap, media_type: &str, other: &str) -> bool {
    let Wanted::Match(IN_FULL, quality) = best_match(headers, media_type) else {
        return false;
    };
    let of_other = match best_match(headers, other) {
        Wanted::Match(_, quality) => quality,
        Wanted::All | Wanted::Others => 0,
    };
    quality > 0 && quality >= of_other
}

/// What a client says of one media type.
enum Wanted {
    /// Nothing that could be read.
    All,
    /// How exactly the best range fits, and its quality in thousandths.
    Match(u8, u16),
    /// Only of others.
    Others,
}

fn best_match(headers: &HeaderMap, media_type: &str) -> Wanted {
    let mut best: Option<(u8, u16)> = None;
    let mut is_empty = true;
    for value in headers.get_all(ACCEPT) {
        // What can't be read can't be obeyed either.
        let Ok(text) = value.to_str() else {
            return Wanted::All;
        };
        // A list may have empty elements, which say nothing (RFC 9110 section 5.6.1).
        for range in text.split(',').filter(|range| !range.trim().is_empty()) {
            is_empty = false;
            let Some((specificity, quality)) = match_range(range, media_type) else {
                continue;
            };
            if best.is_none_or(|(known, _)| specificity > known) {
                best = Some((specificity, quality));
            }
        }
    }
    match best {
        Some((specificity, quality)) => Wanted::Match(specificity, quality),
        None if is_empty => Wanted::All,
        None => Wanted::Others,
    }
}

/// Whether errors are wanted as RFC 9457: only where the client names its media type.
pub(crate) fn wants_problem(accept: Option<&HeaderValue>) -> bool {
    let Some(Ok(text)) = accept.map(HeaderValue::to_str) else {
        return false;
    };
    text.split(',').any(|range| {
        matches!(match_range(range, "application/problem+json"), Some((IN_FULL, quality)) if quality > 0)
    })
}

/// How exactly the range fits (0: `*/*`, 1: `type/*`, 2: in full) and its quality in thousandths.
fn match_range(range: &str, media_type: &str) -> Option<(u8, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let specificity = if name.eq_ignore_ascii_case(media_type) {
        IN_FULL
    } else if name == "*/*" {
        0
    } else {
        let (wanted, star) = name.split_once('/')?;
        let (major, _) = media_type.split_once('/')?;
        (star == "*" && wanted.eq_ignore_ascii_case(major)).then_some(1)?
    };
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, value)| value.trim().parse::<f32>().ok())
        .map_or(1000, |quality| (quality.clamp(0.0, 1.0) * 1000.0) as u16);
    Some((specificity, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts_json(accept: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        accepts(&headers, "application/json")
    }

    #[test]
    fn the_most_exact_range_decides() {
        assert!(accepts_json(&[]));
        assert!(accepts_json(&["*/*"]));
        assert!(accepts_json(&[""]) && accepts_json(&[" , "]));
        assert!(!accepts_json(&["", "text/html"]));
        assert!(accepts_json(&["text/html, application/*;q=0.5"]));
        assert!(accepts_json(&["text/html", "Application/JSON; charset=utf-8"]));
        assert!(!accepts_json(&["text/html"]));
        assert!(!accepts_json(&["*/*, application/json;q=0"]));
        assert!(!accepts_json(&["application/json; q=0.0, text/*"]));
    }

    #[test]
    fn a_page_is_for_who_names_it_and_nobody_else() {
        let prefers_html = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            prefers(&headers, "text/html", "application/json")
        };
        assert!(prefers_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(prefers_html("text/html"));
        assert!(!prefers_html("*/*") && !prefers_html("") && !prefers_html("text/*"));
        assert!(!prefers_html("application/json, text/html;q=0.9"));
        assert!(!prefers_html("text/html;q=0"));
        assert!(!prefers(&HeaderMap::new(), "text/html", "application/json"));
    }

    #[test]
    fn problems_are_only_for_those_who_name_them() {
        let wants = |text| wants_problem(Some(&HeaderValue::from_static(text)));
        assert!(wants("application/problem+json"));
        assert!(wants("application/json, application/problem+json;q=0.1"));
        assert!(!wants("*/*"));
        assert!(!wants("application/problem+json;q=0"));
        assert!(!wants_problem(None));
    }
}
