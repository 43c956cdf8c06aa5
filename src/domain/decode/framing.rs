//! What stands around the JSON, and values that are no JSON at all.

use serde::de::IgnoredAny;

use super::Reject;
use crate::domain::headers::{CONTENT_TYPE, DECODE_PROBLEM};
use crate::domain::record::Headers;
use crate::domain::verdict::DeadLetterReason;

/// Confluent's framing: a zero byte and the schema's id (4 bytes), then the value.
pub(super) const CONFLUENT_LEN: usize = 5;
/// Protobuf messages nested in their file's others; far fewer than letters in an Avro string.
const MESSAGE_INDEXES_MAX: u64 = 8;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const AVRO_FILE: &[u8] = b"Obj\x01";
const AVRO_SINGLE_OBJECT: &[u8] = b"\xc3\x01";

/// The schema registry's id before a value; none where the value has no frame, or is JSON in it.
pub fn value_schema_id(value: &[u8], headers: Headers<'_>) -> Option<u32> {
    let (id, framed) = frame(value)?;
    let is_json = looks_like_json(framed) && !media_type(headers).contains("avro");
    (!is_json).then_some(id)
}

/// The same of a key. A number might be JSON or Avro, so it is asked for.
pub fn key_schema_id(key: &[u8]) -> Option<u32> {
    let (id, framed) = frame(key)?;
    let is_json = matches!(framed.first(), Some(b'"' | b'{'))
        && serde_json::from_slice::<IgnoredAny>(framed).is_ok();
    (!is_json).then_some(id)
}

/// Confluent's frame: its id, and what is in it.
pub fn frame(value: &[u8]) -> Option<(u32, &[u8])> {
    match value.split_first_chunk::<CONFLUENT_LEN>()? {
        ([0, id @ ..], framed) => Some((u32::from_be_bytes(*id), framed)),
        _ => None,
    }
}

/// Why the bridge could not decode the record, where it says so.
pub(super) fn noted_problem(mut headers: Headers<'_>) -> Option<Reject> {
    let (_, noted) = headers.find(|(name, _)| *name == DECODE_PROBLEM)?;
    let noted = String::from_utf8_lossy(noted.unwrap_or_default()).into_owned();
    let (name, detail) = noted.split_once(": ").unwrap_or(("", &noted));
    let reason = DeadLetterReason::ALL.iter().find(|reason| reason.as_str() == name);
    Some(Reject::new(reason.copied().unwrap_or(DeadLetterReason::MalformedAvro), detail))
}

/// Where the JSON starts in a value; refuses Avro and Protobuf.
pub(super) fn json_start(value: &[u8], headers: Headers<'_>) -> Result<usize, Reject> {
    let media_type = media_type(headers);
    if media_type.contains("avro") {
        return Err(avro("the record's content-type says Avro; only JSON is read"));
    }
    if media_type.contains("protobuf") {
        return Err(protobuf("the record's content-type says Protobuf; only JSON is read"));
    }
    if value.starts_with(AVRO_FILE) || value.starts_with(AVRO_SINGLE_OBJECT) {
        return Err(avro("the value is Avro; only JSON is read"));
    }
    let (frame, json) = match frame(value) {
        Some((_, json)) => (CONFLUENT_LEN, json),
        None => (0, value),
    };
    if frame > 0 && !looks_like_json(json) {
        return Err(if is_protobuf(json) {
            protobuf(
                "Confluent framing around Protobuf; only JSON and, on other topics, Avro are read",
            )
        } else {
            avro(
                "Confluent framing around Avro, which is read on topics of bridge.topics alone, and by \
                  schema_registry.url",
            )
        });
    }
    Ok(frame + if json.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 })
}

/// The value of the content-type header in lower case, empty if there is none.
pub(super) fn media_type(mut headers: Headers<'_>) -> String {
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
    let value = found.and_then(|(_, value)| value).unwrap_or_default();
    String::from_utf8_lossy(value).to_ascii_lowercase()
}

fn avro(detail: &str) -> Reject {
    Reject::new(DeadLetterReason::AvroFraming, detail)
}

fn protobuf(detail: &str) -> Reject {
    Reject::new(DeadLetterReason::ProtobufFraming, detail)
}

fn looks_like_json(value: &[u8]) -> bool {
    let value = value.strip_prefix(BYTE_ORDER_MARK).unwrap_or(value);
    // Avro may start with the byte of a brace too (a string of 61 or −62 bytes), but hardly goes on
    // with a quote; an empty object has nothing to say in either format.
    let Some((b'{', rest)) = value.trim_ascii_start().split_first() else {
        return false;
    };
    matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}') | None)
}

/// Whether the bytes are message indexes (a count and so many numbers) and then a whole message.
fn is_protobuf(mut value: &[u8]) -> bool {
    // Both are zigzag, so even where not negative; 0 alone stands for the single index 0.
    let Some(count) = varint(&mut value).filter(|count| count % 2 == 0) else {
        return false;
    };
    if count / 2 > MESSAGE_INDEXES_MAX || (count > 0 && value.len() as u64 <= count / 2) {
        return false;
    }
    for _ in 0..count / 2 {
        if varint(&mut value).is_none_or(|index| index % 2 != 0) {
            return false;
        }
    }
    while !value.is_empty() {
        let Some(tag) = varint(&mut value).filter(|tag| tag >> 3 != 0) else {
            return false;
        };
        let len = match tag & 7 {
            0 => varint(&mut value).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut value),
            5 => Some(4),
            _ => None,
        };
        let rest = len.and_then(|len| value.get(usize::try_from(len).ok()?..));
        match rest {
            Some(rest) => value = rest,
            None => return false,
        }
    }
    true
}

fn varint(value: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = value.split_first()?;
        *value = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
