//! Query parameters: those of the route, each once, nothing else.

use std::borrow::Cow;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use axum::http::Uri;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::domain::timestamp::parse_rfc3339_us;

use super::error::{ApiError, Code};

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Params<'u> {
    pairs: Vec<(Cow<'u, str>, Cow<'u, str>)>,
}

impl<'u> Params<'u> {
    /// Refuses what is not in `known`, naming all of it.
    pub(crate) fn of(uri: &'u Uri, known: &[&str]) -> Result<Self, ApiError> {
        Self::with_lists(uri, known, &[])
    }

    /// Those of `lists` may come more than once, and have several values with commas between them;
    /// a comma of a value itself is written `%2C`.
    pub(crate) fn with_lists(
        uri: &'u Uri,
        known: &[&str],
        lists: &[&str],
    ) -> Result<Self, ApiError> {
        let query = uri.query().unwrap_or_default();
        let is_text = |pair: &&str| percent_decode_str(pair).decode_utf8().is_ok();
        if let Some(pair) = query.split('&').find(|pair| !is_text(pair)) {
            let name = pair.split('=').next().unwrap_or_default();
            let name: String =
                percent_decode_str(name).decode_utf8_lossy().chars().take(64).collect();
            return Err(invalid(&name, "is not UTF-8 once its escapes (%) are resolved"));
        }
        let pairs: Vec<_> = if lists.is_empty() {
            form_urlencoded::parse(query.as_bytes()).collect()
        } else {
            let split = split_lists(query, lists);
            let owned = form_urlencoded::parse(split.as_bytes()).into_owned();
            owned.map(|(name, value)| (Cow::Owned(name), Cow::Owned(value))).collect()
        };
        let is_unknown = |name: &&str| !known.contains(name);
        let mut unknown: Vec<&str> =
            pairs.iter().map(|(name, _)| name.as_ref()).filter(is_unknown).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let names = unknown.join(", ");
            return Err(ApiError::new(
                Code::UnknownParameter,
                format!("this resource has no query parameter {names}"),
            )
            .with_details(json!({ "unknown": unknown, "known": known })));
        }
        let twice = pairs.iter().enumerate().find(|(index, (name, _))| {
            !lists.contains(&name.as_ref())
                && pairs.iter().take(*index).any(|(earlier, _)| earlier == name)
        });
        if let Some((_, (name, _))) = twice {
            return Err(invalid(name, "is given more than once"));
        }
        Ok(Self { pairs })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// All values of a list.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The first parameter that is given and not one of `names`.
    pub(crate) fn other_than(&self, names: &[&str]) -> Option<&str> {
        let mut given = self.pairs.iter().map(|(name, _)| name.as_ref());
        given.find(|name| !names.contains(name))
    }

    /// `true` or `false`; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        self.flag_or(name, false)
    }

    /// `true` or `false`, or `absent`.
    pub(crate) fn flag_or(&self, name: &str, absent: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(absent),
            Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    /// The same, but the bare name is true: what people type at a probe.
    pub(crate) fn bare_flag(&self, name: &str) -> Result<bool, ApiError> {
        if self.get(name) == Some("") { Ok(true) } else { self.flag(name) }
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else {
            return Ok(default);
        };
        let number =
            text.parse::<usize>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        number
            .filter(|number| (1..=max).contains(number))
            .ok_or_else(|| invalid("limit", &format!("must be a whole number from 1 to {max}")))
    }

    /// One of `choices`, as it is written or in other case.
    pub(crate) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(known, _)| known.eq_ignore_ascii_case(text));
        match chosen {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
                Err(invalid(name, &format!("must be one of {}", names.join(", "))))
            }
        }
    }
}

/// The same with `a=1,2` written as `a=1&a=2`.
fn split_lists(query: &str, lists: &[&str]) -> String {
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, values)) if lists.contains(&name) => {
                let values = values.split(',').map(|value| format!("{name}={value}"));
                values.collect::<Vec<_>>().join("&")
            }
            Some(_) | None => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

/// A time in µs since 1970; before that it is 0.
pub(crate) fn time(name: &str, text: &str) -> Result<u64, ApiError> {
    // The plus of an offset that was not encoded has come as a space.
    let (date, rest) = text.split_at_checked(11).unwrap_or((text, ""));
    let text = format!("{date}{}", rest.replace(' ', "+"));
    let before_1970 = || {
        let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
        (time.unix_timestamp() < 0).then_some(0)
    };
    parse_rfc3339_us(text.as_bytes())
        .or_else(before_1970)
        .ok_or_else(|| invalid(name, "must be an RFC 3339 time, such as 2026-11-21T10:00:00Z"))
}

pub(crate) fn invalid(name: &str, problem: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, format!("{name} {problem}"))
        .with_details(json!({ "parameter": name }))
}
