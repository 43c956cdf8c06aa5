//! Everything that a producer can get wrong has its verdict, is kept as it came, and stops nothing.

use contactd::domain::partitioner::Partitioner;
use contactd::domain::verdict::DeadLetterReason as Reason;

use super::{event, every_log, node};
use crate::support::image::Image;
use crate::support::logs::{LANES, RawRecord};

/// A contact's id, and with it its home lane.
const ID: &str = "c8b5f7d9-0000-4000-8000-000000000001";
/// A value above this is kept as its head.
const KEPT_MAX: usize = 64 << 10;

/// One way to be wrong.
struct Bad {
    what: &'static str,
    record: RawRecord,
    reason: Reason,
}

fn bad(what: &'static str, value: impl Into<Vec<u8>>, reason: Reason) -> Bad {
    let record = RawRecord {
        key: Some(ID.as_bytes().to_vec()),
        value: Some(value.into()),
        headers: vec![("x-test".to_owned(), Some(what.as_bytes().to_vec()))],
        timestamp_ms: 1_790_000_000_000,
        lane: Some(home()),
    };
    Bad { what, record, reason }
}

fn home() -> u16 {
    Partitioner::Murmur2.lane(ID.as_bytes(), LANES).0
}

fn good(number: u64, data: &str) -> RawRecord {
    event("updated", ID, number, data).into()
}

fn value(number: u64, data: &str) -> Vec<u8> {
    good(number, data).value.unwrap_or_default()
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).expect("an event in UTF-8")
}

/// All ways that a text can be wrong.
fn bad_texts() -> Vec<Bad> {
    let whole = value(1, r#""firstName":"Ada""#);
    let mut truncated = whole.clone();
    truncated.truncate(whole.len() / 2);
    let mut not_utf8 = whole.clone();
    let at = whole.windows(3).position(|three| three == b"Ada").expect("the name");
    not_utf8[at] = 0xff;
    let undated =
        text(value(4, "")).replace(r#""timestamp":1790000004000"#, r#""timestamp":"soon""#);
    let unnamed = bad(
        "no contact id, nor a key that is one",
        r#"{"eventType":"contact.updated","data":{"firstName":"Ada"}}"#,
        Reason::MissingContactId,
    );
    let deep = format!(r#""deep":{}{}"#, "[".repeat(10_000), "]".repeat(10_000));
    vec![
        bad("truncated JSON", truncated, Reason::MalformedJson),
        bad("empty", "", Reason::MalformedJson),
        bad("no JSON", "hello", Reason::MalformedJson),
        bad("an array", "[1,2]", Reason::WrongType),
        bad("data is a text", r#"{"eventType":"contact.updated","data":"x"}"#, Reason::WrongType),
        bad("a field is a number", value(2, r#""firstName":7"#), Reason::WrongType),
        bad("invalid UTF-8", not_utf8, Reason::InvalidUtf8),
        bad(
            "unknown event type",
            text(whole).replace("updated", "exploded"),
            Reason::UnknownEventType,
        ),
        bad("nested 10,000 deep", value(3, &deep), Reason::NestingTooDeep),
        Bad {
            record: RawRecord { key: Some(br#"{"id":"ada"}"#.to_vec()), ..unnamed.record },
            ..unnamed
        },
        bad("a time that is none", undated, Reason::InvalidTimestamp),
        bad(
            "Avro",
            b"\x00\x00\x00\x00\x2a\x02\x48c8b5f7d9\x06Ada\x10Lovelace".to_vec(),
            Reason::AvroFraming,
        ),
        bad(
            "more than 1 MiB",
            value(5, &format!(r#""note":"{}""#, "x".repeat(1 << 20))),
            Reason::RecordTooLarge,
        ),
        bad(
            "a contact of 1 MB",
            value(6, &format!(r#""note":"{}""#, "x".repeat(1_000_000))),
            Reason::TooLarge,
        ),
    ]
}

/// CloudEvents that are none.
fn bad_cloudevents() -> Vec<Bad> {
    let structured = |member: &str| {
        format!(
            r#"{{{member}"id":"e","source":"acme","type":"contact.updated","data":{{"id":"{ID}"}}}}"#
        )
    };
    let mut binary = bad(
        "a binary CloudEvent without type",
        format!(r#"{{"id":"{ID}"}}"#),
        Reason::InvalidCloudevent,
    );
    for (name, value) in [("ce_specversion", "1.0"), ("ce_id", "e"), ("ce_source", "acme")] {
        binary.record.headers.push((name.to_owned(), Some(value.as_bytes().to_vec())));
    }
    let mut unversioned = bad(
        "a structured CloudEvent without specversion",
        structured(""),
        Reason::InvalidCloudevent,
    );
    let content_type = ("content-type".to_owned(), Some(b"application/cloudevents+json".to_vec()));
    unversioned.record.headers.push(content_type);
    vec![
        bad("CloudEvents 0.3", structured(r#""specversion":"0.3","#), Reason::InvalidCloudevent),
        unversioned,
        binary,
    ]
}

/// Records that are wrong whatever is in them.
fn bad_records(has_null_keys: bool) -> Vec<Bad> {
    let mut tombstone = bad("a tombstone", "", Reason::NullValue);
    tombstone.record.value = None;
    let mut misrouted = bad("a misrouted key", value(7, ""), Reason::MisroutedKey);
    misrouted.record.lane = Some((home() + 1) % LANES);
    // Brought home once already.
    let brought = ("contactd_founding".to_owned(), Some(b"1".to_vec()));
    misrouted.record.headers.push(brought.clone());
    let mut future = bad("tomorrow's event", value(1_000_000, ""), Reason::TimestampInFuture);
    future.record.timestamp_ms = 1_790_000_000_000;
    let mut records = vec![tombstone, misrouted, future];
    if has_null_keys {
        let mut keyless = bad("a null key", value(8, ""), Reason::KeyMissing);
        keyless.record.key = None;
        keyless.record.headers.push(brought);
        records.push(keyless);
    }
    records
}

#[test]
fn bad_records_are_kept_as_they_came_and_stop_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "bad_records_are_kept_as_they_came_and_stop_nothing") {
        let all = bad_texts()
            .into_iter()
            .chain(bad_cloudevents())
            .chain(bad_records(log.name() != "embedded"));
        let all: Vec<Bad> = all.collect();
        let mut records = Vec::new();
        for (number, bad) in all.iter().enumerate() {
            records.push(bad.record.clone());
            records.push(good(100 + number as u64, &format!(r#""firstName":"name {number}""#)));
        }
        let node = node(dir.path(), &log);
        // The log is founded before it holds what seems to be ours.
        node.catch_up_soundly();
        log.append(records);
        node.catch_up_soundly();
        let image = Image::read(&node.store);
        assert_eq!(image.received(), all.len() as u64 * 2, "{}", log.name());
        assert_eq!(image.verdict_totals["applied"], all.len() as u64, "{}", log.name());
        assert_eq!(image.letters.len(), all.len(), "{}", log.name());
        assert_kept(&image, &all, log.name());
    }
}

/// Each bad record is a dead letter with its reason and its bytes.
fn assert_kept(image: &Image, all: &[Bad], log: &str) {
    for bad in all {
        let Bad { what, record, reason } = bad;
        let found = image.letters.values().find(|letter| {
            letter.headers.iter().any(|(_, value)| value.as_deref() == Some(what.as_bytes()))
        });
        let letter = found.unwrap_or_else(|| panic!("{log}: {what} is not kept"));
        assert_eq!(letter.reason, *reason, "{log}: {what}");
        let key = record.key.clone();
        assert_eq!(letter.key, key, "{log}: the key of {what}");
        let len = record.value.as_ref().map_or(0, Vec::len);
        assert_eq!(letter.value_len, len as u64, "{log}: the length of {what}");
        let kept = if len > KEPT_MAX { 4 << 10 } else { len };
        let value = record.value.as_ref().map(|value| &value[..kept]);
        assert!(letter.value.as_deref() == value, "{log}: the value of {what}");
    }
}

#[test]
fn a_contact_that_grows_past_its_bound_stays_as_it_was() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "a_contact_that_grows_past_its_bound_stays_as_it_was") {
        let grow =
            |number: u64| good(number, &format!(r#""note{number}":"{}""#, "x".repeat(9_000)));
        log.append((0..10).map(grow));
        log.append([good(50, r#""lastName":"Lovelace""#)]);
        let node = node(dir.path(), &log);
        node.catch_up_soundly();
        let image = Image::read(&node.store);
        let letters: Vec<_> = image.letters.values().collect();
        assert!(letters.iter().all(|letter| letter.reason == Reason::TooLarge), "{}", log.name());
        // Seven notes of 9,000 bytes fit below 64 KiB, three do not.
        assert_eq!((letters.len(), image.verdict_totals["applied"]), (3, 8), "{}", log.name());
        let contact = &image.contacts[ID];
        assert!(contact.body.len() <= 64 << 10, "{}", contact.body.len());
        assert_eq!(contact.version, 8);
    }
}
