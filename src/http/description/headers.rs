//! The headers of answers, each described once.

use serde_json::Value;
use utoipa::openapi::header::{Header as HeaderObject, HeaderBuilder};
use utoipa::openapi::schema::ObjectBuilder;

use super::operation::{Header, text, whole_number};

impl Header {
    pub(crate) const ALL: [Self; 10] = [
        Self::RequestId,
        Self::ETag,
        Self::Position,
        Self::Link,
        Self::Location,
        Self::MergeId,
        Self::RetryAfter,
        Self::RateLimit,
        Self::RateLimitPolicy,
        Self::WwwAuthenticate,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequestId => "X-Request-Id",
            Self::ETag => "ETag",
            Self::Position => "Position",
            Self::Link => "Link",
            Self::Location => "Location",
            Self::MergeId => "Merge-Id",
            Self::RetryAfter => "Retry-After",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::WwwAuthenticate => "WWW-Authenticate",
        }
    }

    /// Its name in the description.
    pub(crate) fn component(self) -> String {
        self.name().replace('-', "")
    }

    pub(crate) fn described(self) -> HeaderObject {
        let (schema, example, about): (ObjectBuilder, Value, &str) = match self {
            Self::RequestId => (
                text(),
                "01971e5c-7a55-7c3e-9d51-6a1d3a0b4f10".into(),
                "Names the request in log lines, in errors and in the history of what it changed: \
                 the client's own where it sent a decent one, else a new one.",
            ),
            Self::ETag => (
                text().pattern(Some("^(W/)?\"[^\"]*\"$")),
                "\"3-9f86d081884c7d65\"".into(),
                "Names this state of the resource: for If-None-Match, and for If-Match on a write.",
            ),
            Self::Position => (
                text(),
                super::samples::sample("position").into(),
                "How far the log was applied when this was answered. Sent with a later read, to any \
                 instance, that read sees at least as much.",
            ),
            Self::Link => (
                text(),
                "</api/contacts?cursor=AQID>; rel=\"next\"".into(),
                "The next and the previous page (RFC 8288), where there is one.",
            ),
            Self::Location => (
                text(),
                "/api/contacts/c8b5f7d9-8e7a-4a1d-9b5c-1d2e3f4a5b6c".into(),
                "Where it is.",
            ),
            Self::MergeId => (
                text(),
                super::samples::sample("mergeId").into(),
                "As in `/api/merges/{id}`; not there where the two were merged before.",
            ),
            Self::RetryAfter => {
                (whole_number(0, 86_400), 1.into(), "Seconds after which to try again.")
            }
            Self::RateLimit => (
                text(),
                "\"read\";r=599;t=1".into(),
                "What is left of the limit (`r`), and seconds until there is more (`t`). Not there \
                 where there is no limit.",
            ),
            Self::WwwAuthenticate => {
                (text(), "Bearer realm=\"contactd\"".into(), "How to authenticate (RFC 6750).")
            }
            Self::RateLimitPolicy => (
                text(),
                "\"read\";q=600;w=60".into(),
                "The limit: `q` requests in `w` seconds, by principal or address.",
            ),
        };
        HeaderBuilder::new()
            .description(Some(about))
            .schema(Some(schema))
            .example(Some(example))
            .build()
    }
}
