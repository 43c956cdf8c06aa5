//! Where a dead letter is from, as headers that Kafka Connect's and Spring Kafka's tools read too;
//! and their headers taken off again.
//!
//! Connect writes everything as text. Spring writes the topic as text, the partition as a 4-byte and
//! offset and timestamp as 8-byte big-endian integers.

use crate::domain::headers::{LANE_NEXT, MARKER, REDRIVE_HOPS, redrive_hops};
use crate::domain::position::CONTROL_LANE;
use crate::domain::record::{NamedValues, owned_headers};
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::NewRecord;
use crate::store::KeptLetter;

use super::selection::Topics;

/// A letter's name, as the API has it.
pub(super) const LETTER_ID: &str = "contactd_dead_letter_id";
/// Why it can't be applied.
pub(super) const LETTER_REASON: &str = "contactd_dead_letter_reason";
/// Why, in words.
pub(super) const LETTER_DETAIL: &str = "contactd_dead_letter_detail";
/// The value's length in bytes, where the value could not be published.
pub const VALUE_LENGTH: &str = "contactd_value_length";
/// xxh3_64 of such a value, 16 hex digits.
pub(super) const VALUE_HASH: &str = "contactd_value_xxh3";

/// Starts of names that tell where a dead letter is from: Kafka Connect's, Spring Kafka's for dead
/// letters, retries and failed deserialization.
const FOREIGN_PREFIXES: [&str; 4] =
    ["__connect.errors.", "kafka_dlt-", "retry_topic-", "springDeserializerException"];
const OURS: [&str; 5] = [LETTER_ID, LETTER_REASON, LETTER_DETAIL, VALUE_LENGTH, VALUE_HASH];

/// Whether a header only tells where a dead letter is from.
pub fn is_provenance(name: &str) -> bool {
    OURS.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A letter's own headers and where it is from.
pub(super) fn published_headers(letter: &KeptLetter, topics: &Topics) -> NamedValues {
    let own = letter.headers().filter(|(name, _)| !is_provenance(name));
    let mut headers = owned_headers(own);
    let (topic, partition) = topics.of(letter.lane);
    let reason = letter.reason();
    let class = format!("contactd.{reason}");
    let message = format!("{reason}: {}", letter.detail);
    let text = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let (part, offset) = (partition.to_string(), letter.offset.to_string());
    headers.extend([
        text(LETTER_ID, &topics.id(letter.lane, letter.offset)),
        text(LETTER_REASON, reason.as_str()),
        text(LETTER_DETAIL, &letter.detail),
        text("__connect.errors.topic", topic),
        text("__connect.errors.partition", &part),
        text("__connect.errors.offset", &offset),
        text("__connect.errors.connector.name", "contactd"),
        text("__connect.errors.task.id", "0"),
        text("__connect.errors.stage", stage(letter)),
        text("__connect.errors.class.name", "contactd"),
        text("__connect.errors.exception.class.name", &class),
        text("__connect.errors.exception.message", &message),
        text("kafka_dlt-original-topic", topic),
        binary("kafka_dlt-original-partition", &i32::from(partition).to_be_bytes()),
        binary("kafka_dlt-original-offset", &letter.offset.0.cast_signed().to_be_bytes()),
        binary("kafka_dlt-original-timestamp", &letter.record_time_ms.to_be_bytes()),
        text("kafka_dlt-original-timestamp-type", "CreateTime"),
        text("kafka_dlt-exception-fqcn", &class),
        text("kafka_dlt-exception-message", &message),
    ]);
    headers
}

fn binary(name: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.to_vec()))
}

/// Where Connect would say that it failed.
fn stage(letter: &KeptLetter) -> &'static str {
    match letter.reason() {
        _ if letter.lane == CONTROL_LANE => "VALUE_CONVERTER",
        DeadLetterReason::KeyMissing | DeadLetterReason::MisroutedKey => "KEY_CONVERTER",
        DeadLetterReason::MalformedJson
        | DeadLetterReason::InvalidUtf8
        | DeadLetterReason::NestingTooDeep
        | DeadLetterReason::WrongType
        | DeadLetterReason::DuplicateKey
        | DeadLetterReason::NullValue
        | DeadLetterReason::AvroFraming
        | DeadLetterReason::ProtobufFraming
        | DeadLetterReason::InvalidCloudevent
        | DeadLetterReason::SchemaUnknown
        | DeadLetterReason::UnusableSchema
        | DeadLetterReason::MalformedAvro
        | DeadLetterReason::RecordTooLarge => "VALUE_CONVERTER",
        DeadLetterReason::MissingContactId
        | DeadLetterReason::InvalidId
        | DeadLetterReason::ControlCharacter
        | DeadLetterReason::UnknownEventType
        | DeadLetterReason::TimestampInFuture
        | DeadLetterReason::InvalidTimestamp
        | DeadLetterReason::TooLarge
        | DeadLetterReason::Schema
        | DeadLetterReason::InvalidCommand
        | DeadLetterReason::InvalidControl
        | DeadLetterReason::ControlFull
        | DeadLetterReason::InvalidMarker
        | DeadLetterReason::NothingKnown
        | DeadLetterReason::TransformFailed
        | DeadLetterReason::UnknownField
        | DeadLetterReason::InvalidPayment => "TASK_PUT",
    }
}

/// A record to be applied again: the same key, value and headers, its own id and timestamp in them,
/// one hop more.
pub fn redriven<'h>(
    key: Option<&[u8]>,
    value: Option<Vec<u8>>,
    headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)> + Clone,
    now_ms: i64,
) -> NewRecord {
    let hops = redrive_hops(headers.clone()).saturating_add(1);
    // Nor is anything sent through again as a marker: those are our own to write. A command was set aside
    // undecided, so where its lane ended then tells nothing of it.
    let is_kept =
        |name: &str| ![REDRIVE_HOPS, MARKER, LANE_NEXT].contains(&name) && !is_provenance(name);
    let kept = headers.filter(|(name, _)| is_kept(name));
    let mut headers = owned_headers(kept);
    headers.push((REDRIVE_HOPS.to_owned(), Some(hops.to_string().into_bytes())));
    NewRecord {
        key: key.unwrap_or_default().to_vec(),
        value,
        headers,
        timestamp_ms: now_ms,
        lane: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::header_refs;

    /// As Spring Kafka 3 and Kafka Connect 4 write them.
    const FOREIGN: [(&str, &[u8]); 8] = [
        ("kafka_dlt-original-topic", b"contacts"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 4, 18]),
        ("kafka_dlt-exception-fqcn", b"org.example.Failed"),
        ("springDeserializerExceptionValue", &[0xac, 0xed, 0, 5]),
        ("retry_topic-attempts", &[0, 0, 0, 2]),
        ("__connect.errors.offset", b"1042"),
        ("__connect.errors.exception.stacktrace", b"at ..."),
    ];

    #[test]
    fn what_others_added_is_taken_off_and_what_the_record_had_stays() {
        let own = [
            ("content-type", Some(b"application/json".as_slice())),
            ("none", None),
            ("empty", Some(b"")),
            (REDRIVE_HOPS, Some(b"1")),
            (LANE_NEXT, Some(b"7")),
        ];
        let all = own.into_iter().chain(FOREIGN.map(|(name, value)| (name, Some(value))));
        let record = redriven(Some(b"ada"), Some(b"{}".to_vec()), all, 7);
        let headers: Vec<_> = header_refs(&record.headers).collect();
        let [content_type, none, empty, ..] = own;
        assert_eq!(headers, [content_type, none, empty, (REDRIVE_HOPS, Some(b"2"))]);
        assert_eq!((record.key.as_slice(), record.timestamp_ms), (b"ada".as_slice(), 7));
    }
}
