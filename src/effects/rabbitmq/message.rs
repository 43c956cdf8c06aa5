//! A change as a message of AMQP 0-9-1.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use xxhash_rust::xxh3::xxh3_128;

use crate::effects::cloud_event::{CONTENT_TYPE, CloudEvent};
use crate::effects::follower::Delivery;

/// What AMQP takes of a short string.
const SHORT_BYTES_MAX: usize = 255;
/// It is written to disk before it is confirmed, where its queue is durable.
const PERSISTENT: u8 = 2;
/// Stands for a source without a name.
const NO_SOURCE: &str = "unknown";

/// `TYPE.SOURCE`, so that `contact.*.acme` is bound to all changes of one source. The source is one word.
pub(super) fn routing_key(event: &CloudEvent) -> String {
    let source = if event.source.is_empty() { NO_SOURCE } else { &event.source };
    let word = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let mut key = format!("{}.", event.kind);
    key.extend(source.chars().map(word));
    key.truncate(key.floor_char_boundary(SHORT_BYTES_MAX));
    key
}

/// What goes beside the data.
pub(super) fn properties(delivery: &Delivery<CloudEvent>) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in CloudEvent::attributes(delivery) {
        let value = AMQPValue::LongString(LongString::from(value));
        headers.insert(short(&format!("cloudEvents:{name}")), value);
    }
    BasicProperties::default()
        .with_content_type(short(CONTENT_TYPE))
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short(&delivery.id))
        .with_type(short(delivery.item.kind))
        .with_timestamp(delivery.item.time_us / 1_000_000)
        .with_app_id(short("contactd"))
        .with_headers(headers)
}

/// A longer one is told by its hash.
pub(super) fn short(text: &str) -> ShortString {
    let hashed = || ShortString::try_new(format!("{:032x}", xxh3_128(text.as_bytes())));
    ShortString::try_new(text).or_else(|_| hashed()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::cloud_event::event_of;

    #[test]
    fn a_source_is_one_word_and_a_key_is_no_longer_than_amqp_takes() {
        for (source, key) in [
            ("acme", "contact.updated.acme"),
            ("", "contact.updated.unknown"),
            ("eu.crm #1*", "contact.updated.eu_crm__1_"),
            ("bücher\u{0}", "contact.updated.bücher_"),
        ] {
            assert_eq!(routing_key(&event_of("contact.updated", source)), key);
        }
        let long = routing_key(&event_of("contact.updated", &"ä".repeat(300)));
        assert!((254..=255).contains(&long.len()), "{}", long.len());
    }

    #[test]
    fn an_id_that_is_too_long_is_told_by_its_hash() {
        assert_eq!(short(&"a".repeat(255)).as_str().len(), 255);
        assert_eq!(short(&"a".repeat(256)).as_str().len(), 32);
    }
}
