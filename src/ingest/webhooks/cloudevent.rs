//! CloudEvents in HTTP's binary mode: attributes in `ce-` headers, the contact's data as the body. They
//! become the `ce_` headers that Kafka's binary mode has, which decoding reads.
//!
//! No scheme signs these headers: who holds a signed body could send it again as another event. So they
//! count only where the source's configuration says so.

use percent_encoding::percent_decode;

use super::WebhookError;
use crate::domain::record::NamedValues;

/// Says that a request is one.
const SPECVERSION: &str = "ce-specversion";
/// Every attribute that means something here, as HTTP and as Kafka name it.
const ATTRIBUTES: [(&str, &str); 8] = [
    (SPECVERSION, "ce_specversion"),
    ("ce-id", "ce_id"),
    ("ce-type", "ce_type"),
    ("ce-source", "ce_source"),
    ("ce-subject", "ce_subject"),
    ("ce-time", "ce_time"),
    ("ce-version", "ce_version"),
    ("ce-sourceversion", "ce_sourceversion"),
];

/// The attributes of a binary CloudEvent; none: the request is no such.
pub(super) fn attributes<'h>(
    header: impl Fn(&str) -> Option<&'h [u8]>,
    source: &str,
    is_allowed: bool,
) -> Result<Option<NamedValues>, WebhookError> {
    let is_structured = header("content-type")
        .is_some_and(|media| media.to_ascii_lowercase().starts_with(b"application/cloudevents"));
    if header(SPECVERSION).is_none() || is_structured {
        return Ok(None);
    }
    if !is_allowed {
        return Err(WebhookError::Body(format!(
            "the event's attributes stand in ce- headers, which the signature does not cover: send it \
             as application/cloudevents+json, or set source.{source}.binary_cloudevents = true"
        )));
    }
    let read =
        |(name, theirs): (&str, &str)| Some((theirs.to_owned(), Some(text_of(header(name)?))));
    Ok(Some(ATTRIBUTES.into_iter().filter_map(read).collect()))
}

/// As section 3.1.3.2 of the HTTP binding writes texts: perhaps in quotes, and with escapes.
fn text_of(value: &[u8]) -> Vec<u8> {
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let Some(quoted) = quoted else {
        return percent_decode(value).collect();
    };
    let mut unquoted = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        unquoted.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    percent_decode(&unquoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unquoted_and_their_escapes_resolved() {
        for (written, meant) in [
            ("contact.created", "contact.created"),
            ("%E2%82%AC%20caf%C3%A9", "€ café"),
            (r#""a \"b\" \\ %25""#, r#"a "b" \ %"#),
            ("\"", "\""),
        ] {
            assert_eq!(text_of(written.as_bytes()), meant.as_bytes(), "{written}");
        }
    }
}
