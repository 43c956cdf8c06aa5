//! What a record of another topic becomes, and what applying makes of that.

use std::sync::Arc;

use serde_json::{Value, json};

use super::convert::{Bridged, Converter, bytes_of, reduce};
use super::facts::Facts;
use super::group;
use super::portion::{Portion, UNTIMED_MAX};
use crate::config::{InputConfig, Tombstones};
use crate::domain::decode::{KeyForm, Reject};
use crate::domain::event::{Event, EventKind};
use crate::domain::limits::Limits;
use crate::domain::merge::merge;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{Lane, LogIdentity, LogKind, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::rules::RuleSet;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::event_log::NewRecord;
use crate::ingest::PresentRules;
use crate::telemetry::BridgeOutcome;

pub(super) const TIME: i64 = 1_790_000_000_000;

pub(super) fn converter() -> Converter {
    let rules = PresentRules::new(Arc::new(RuleSet::built_in().unwrap()));
    let own_topic = Some("contacts".to_owned());
    let (registry, asked_since_ms) = (None, None);
    Converter { rules, lanes: 4, own_topic, bytes_max: 64 << 10, registry, asked_since_ms }
}

fn complete() -> InputConfig {
    let tombstones = Tombstones::Delete;
    InputConfig {
        source: Some("crm".to_owned()),
        complete: true,
        tombstones,
        ..InputConfig::default()
    }
}

type Header<'a> = (&'a str, Option<&'a [u8]>);

fn bridged(
    input: &InputConfig,
    offset: u64,
    key: Option<&str>,
    value: Option<&str>,
    headers: &[Header<'_>],
) -> Bridged {
    let mut batch = RecordBatch::new(Lane(6));
    let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
    batch.push(Offset(offset), TIME, key, value, headers.iter().copied());
    let all = converter().convert(input, "crm.contacts", &batch, &batch.records[0]);
    all.unwrap().pop().unwrap()
}

fn record(bridged: Bridged) -> NewRecord {
    bridged.record.expect("it is appended")
}

/// As applying decodes it.
fn decoded(record: &NewRecord) -> Result<(RecordBatch, Event), Reject> {
    let mut batch = RecordBatch::new(Lane(0));
    let headers = header_refs(&record.headers);
    let key = Some(record.key.as_slice()).filter(|key| !key.is_empty());
    batch.push(Offset(0), record.timestamp_ms, key, record.value.as_deref(), headers);
    let event = converter().rules.decoder().decode(&mut batch, 0)?;
    Ok((batch, event))
}

fn header<'a>(record: &'a NewRecord, name: &str) -> Option<&'a [u8]> {
    header_refs(&record.headers).find(|(each, _)| *each == name)?.1
}

pub(super) fn text(event: &Value) -> String {
    event.to_string()
}

fn event(kind: &str, contact: &str, data: Value) -> Value {
    let mut data = data;
    data["id"] = json!(contact);
    json!({ "id": "evt-1", "eventType": kind, "timestamp": TIME, "data": data })
}

#[test]
fn an_event_keeps_its_bytes_and_time_and_is_keyed_by_its_contact() {
    let value = text(&event("contact.updated", "ada", json!({ "firstName": "Ada" })));
    for key in [None, Some("another-key"), Some("ada")] {
        let found = bridged(&InputConfig::default(), 41, key, Some(&value), &[]);
        assert_eq!((found.outcome, found.is_untimed), (BridgeOutcome::Event, false));
        let record = record(found);
        assert_eq!(record.key, b"ada");
        assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
        assert_eq!((record.timestamp_ms, record.lane), (TIME, None));
        assert_eq!(header(&record, "contactd_origin"), Some(b"crm.contacts:6:41".as_slice()));
        let other = key.filter(|key| *key != "ada").map(str::as_bytes);
        assert_eq!(header(&record, "contactd_origin_key"), other);
    }
}

#[test]
fn no_header_of_an_input_makes_a_command_or_another_source() {
    let headers: Vec<Header<'_>> = vec![
        ("contactd_command", Some(b"replace")),
        ("contactd_expected_version", Some(b"1")),
        ("contactd_principal", Some(b"root")),
        ("contactd_source", Some(b"forged")),
        ("contactd_anything_new", Some(b"1")),
        ("contactd_marker", Some(b"9")),
        ("x-own", Some(b"kept")),
        ("x-null", None),
    ];
    let value = text(&event("contact.updated", "ada", json!({})));
    let record = record(bridged(&InputConfig::default(), 1, None, Some(&value), &headers));
    let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-own", "x-null", "contactd_origin"]);
    let (_, event) = decoded(&record).unwrap();
    assert!(event.command.is_none() && event.source.is_empty());
    for kind in ["contact.erased", "contact.restored"] {
        let value = text(&self::event(kind, "ada", json!({})));
        for input in [InputConfig::default(), complete()] {
            let found = bridged(&input, 1, Some("ada"), Some(&value), &headers);
            assert_eq!(found.outcome, BridgeOutcome::Unreadable, "{kind}");
            let reject = decoded(&self::record(found)).unwrap_err();
            assert_eq!(reject.reason, DeadLetterReason::UnknownEventType);
        }
    }
}

#[test]
fn a_configured_source_counts_and_picks_its_table() {
    let mut value = event("contact.updated", "ada", json!({ "acme_first_name": "Ada" }));
    value["source"] = json!("whoever");
    let input = InputConfig { source: Some("acme".to_owned()), ..InputConfig::default() };
    let record = record(bridged(&input, 1, None, Some(&text(&value)), &[]));
    let (batch, event) = decoded(&record).unwrap();
    assert_eq!(event.source.of(&batch.arena), b"acme");
    assert!(matches!(event.fields[0], crate::domain::event::Patch::Set(_)));
}

#[test]
fn a_record_that_is_read_again_becomes_the_same_record() {
    let timed = text(&event("contact.updated", "ada", json!({})));
    let untimed = r#"{"eventType":"contact.updated","data":{"id":"ada","firstName":"A"}}"#;
    let bare = r#"{"id":"ada","firstName":"A"}"#;
    for (input, value) in [
        (InputConfig::default(), Some(timed.as_str())),
        (InputConfig::default(), Some(untimed)),
        (InputConfig::default(), Some("{broken")),
        (complete(), Some(bare)),
        (complete(), None),
    ] {
        let once = || bridged(&input, 7, Some("ada"), value, &[]);
        let (first, again) = (once(), once());
        assert_eq!(first, again);
        let id = |bridged| {
            let found = decoded(&record(bridged)).ok();
            found.map(|(batch, event)| event.event_id.of(&batch.arena).to_vec())
        };
        assert_eq!(id(first), id(again));
    }
}

#[test]
fn what_has_no_contact_is_appended_as_it_came() {
    for (key, value) in [
        (Some("k"), Some("{broken")),
        (None, Some("{broken")),
        (None, None),
        (Some("k"), None),
        (None, Some(r#"{"eventType":"contact.updated","data":{}}"#)),
    ] {
        let found = bridged(&InputConfig::default(), 1, key, value, &[("h", Some(b"1"))]);
        assert_eq!(found.outcome, BridgeOutcome::Unreadable);
        let record = record(found);
        assert_eq!(record.value.as_deref(), value.map(str::as_bytes));
        assert_eq!(record.key, key.unwrap_or_default().as_bytes());
        assert_eq!(record.lane, key.is_none().then_some(Lane(2)));
        assert_eq!(header(&record, "h"), Some(b"1".as_slice()));
        assert!(decoded(&record).is_err());
    }
}

#[test]
fn what_came_out_of_our_own_contact_log_stays_there() {
    let value = text(&event("contact.updated", "ada", json!({})));
    let came = |origin: &'static [u8]| {
        let headers: &[Header<'_>] = &[("contactd_origin", Some(origin))];
        bridged(&InputConfig::default(), 1, None, Some(&value), headers).record.is_some()
    };
    assert!(!came(b"contacts:3:77"));
    assert!(came(b"contacts.crm:3:77") && came(b"crm:1:1"));
}

/// Joins records as applying does; the body and the verdicts.
fn applied(records: &[NewRecord]) -> (Option<Vec<u8>>, Vec<Verdict>) {
    applied_at(records.iter().map(|record| (record, TIME)))
}

/// The same, of records that came at those times.
fn applied_at<'r>(
    records: impl Iterator<Item = (&'r NewRecord, i64)>,
) -> (Option<Vec<u8>>, Vec<Verdict>) {
    let mut body: Option<Vec<u8>> = None;
    let mut verdicts = Vec::new();
    for (record, time) in records {
        let (batch, event) = decoded(record).unwrap();
        let mut out = Vec::new();
        let limits = Limits::default();
        let verdict =
            merge(body.as_deref(), &event, &batch.arena, time, &limits, &mut out).unwrap();
        if !out.is_empty() {
            body = Some(out);
        }
        verdicts.push(verdict);
    }
    (body, verdicts)
}

fn shown(body: &[u8]) -> Value {
    let view = crate::domain::contact::ContactView::parse(body).unwrap();
    let mut text = Vec::new();
    crate::domain::contact::write_json("ada", &view, &mut text);
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn complete_records_replace_and_a_null_value_deletes() {
    let at = |offset, value| record(bridged(&complete(), offset, Some("ada"), value, &[]));
    // All within one millisecond: the offset orders them.
    let first = at(1, Some(r#"{"id":"ada","firstName":"Ada","phone":"1","plan":"free"}"#));
    let second = at(2, Some(r#"{"firstName":"Augusta","type":"customer","version":"x"}"#));
    let (body, verdicts) = applied(&[first.clone(), second.clone()]);
    assert_eq!(verdicts, [Verdict::Applied; 2]);
    let contact = shown(&body.unwrap());
    assert_eq!(contact["firstName"], "Augusta");
    assert_eq!(contact["phone"], Value::Null);
    assert_eq!(contact["source"], "crm");
    assert_eq!(contact["attributes"], json!({ "type": "customer", "version": "x" }));

    let gone = at(3, None);
    let (_, event) = decoded(&gone).unwrap();
    assert_eq!(event.kind, EventKind::Deleted);
    let again = at(4, Some(r#"{"firstName":"Ada"}"#));
    let all = [first, second, gone, again];
    let (expected, _) = applied(&all);
    let (deleted, _) = applied(&all[..3]);
    assert_eq!(shown(&deleted.unwrap())["status"], "DELETED");
    let contact = shown(expected.as_ref().unwrap());
    assert_eq!((&contact["status"], &contact["attributes"]), (&json!("ACTIVE"), &json!({})));
    // Read again from the start, and out of order: nothing changes.
    let twice: Vec<NewRecord> = all.iter().chain(&all).chain(all.iter().rev()).cloned().collect();
    let (found, verdicts) = applied(&twice);
    assert_eq!(found, expected);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Applied).count(), 4);
}

#[test]
fn keys_are_read_as_the_input_says_and_never_taken_for_what_they_are_not() {
    let by = |key: &str| InputConfig { key: KeyForm::parse(key).unwrap(), ..complete() };
    for (form, key, id) in [
        ("text", "j1", "j1"),
        ("json", r#""q1""#, "q1"),
        ("json", "17", "17"),
        ("json:$.id", r#"{"id":"j1"}"#, "j1"),
    ] {
        for value in [Some(r#"{"firstName":"Ada"}"#), None] {
            let found = bridged(&by(form), 1, Some(key), value, &[]);
            assert_eq!(found.outcome, BridgeOutcome::Event, "{form} {key}");
            let record = record(found);
            assert_eq!(record.key, id.as_bytes());
            let (batch, event) = decoded(&record).unwrap();
            assert_eq!(event.contact_id.of(&batch.arena), id.as_bytes());
            assert_eq!(event.kind == EventKind::Deleted, value.is_none());
        }
    }
    for (form, key, why) in [
        ("text", Some(r#"{"id":"j1"}"#), "the key is JSON"),
        ("text", Some(r#""q1""#), "the key is JSON"),
        ("text", None, "the record has no key"),
        ("json", Some("j1"), "the key is not JSON"),
        ("json:$.id", Some(r#"{"ID":"j1"}"#), "the key has no $.id"),
    ] {
        for (value, reason) in [
            (None, DeadLetterReason::NullValue),
            (
                Some(r#"{"eventType":"contact.updated","data":{}}"#),
                DeadLetterReason::MissingContactId,
            ),
        ] {
            let found = bridged(&by(form), 1, key, value, &[]);
            assert_eq!(found.outcome, BridgeOutcome::Unreadable, "{form} {key:?}");
            let reject = decoded(&record(found)).unwrap_err();
            assert_eq!(reject.reason, reason, "{form} {key:?} {reject}");
            assert!(reject.detail.contains(why), "{reject}");
        }
        // Where the value says whose it is, the key need not.
        let whole = bridged(&by(form), 1, key, Some(r#"{"id":"j1","firstName":"Ada"}"#), &[]);
        assert_eq!(record(whole).key, b"j1", "{form} {key:?}");
    }
}

#[test]
fn an_event_whose_contact_only_its_key_names_is_that_contacts() {
    let value = r#"{"id":"e1","eventType":"contact.updated","data":{"firstName":"Ada"}}"#;
    let record = record(bridged(&InputConfig::default(), 1, Some("ada"), Some(value), &[]));
    assert_eq!(
        (record.key.as_slice(), record.value.as_deref()),
        (b"ada".as_slice(), Some(value.as_bytes()))
    );
    let (batch, event) = decoded(&record).unwrap();
    assert_eq!(event.contact_id.of(&batch.arena), b"ada");
}

#[test]
fn a_complete_event_replaces_with_its_own_time_or_its_records() {
    let own = event("contact.updated", "ada", json!({ "firstName": "Ada" }));
    let found = bridged(&complete(), 1, Some("ada"), Some(&text(&own)), &[]);
    assert!(record(found).headers.contains(&("contactd_complete".to_owned(), None)));
    let mut untimed = own;
    untimed.as_object_mut().unwrap().remove("timestamp");
    let found = bridged(&complete(), 1, Some("ada"), Some(&text(&untimed)), &[]);
    assert!(!found.is_untimed);
    let (_, event) = decoded(&record(found)).unwrap();
    assert_eq!(event.timestamp, u64::try_from(TIME * 1000).ok());
    let unknown = r#"{"eventType":"contact.exploded","data":{"id":"ada"}}"#;
    let found = bridged(&complete(), 1, Some("ada"), Some(unknown), &[]);
    assert_eq!(found.outcome, BridgeOutcome::Unreadable);
}

#[test]
fn a_portion_holds_no_more_untimed_events_of_a_contact_than_it_remembers() {
    let untimed = |number: u64, contact: &str| {
        let value = json!({ "id": format!("{contact}-{number}"), "eventType": "contact.updated",
            "data": { "id": contact, "firstName": number.to_string() } });
        bridged(&InputConfig::default(), number, None, Some(&text(&value)), &[])
    };
    let mut portion = Portion::default();
    for number in 0..UNTIMED_MAX as u64 {
        assert!(!portion.is_full_for(&untimed(number, "ada"), 1 << 20));
        portion.add(0, untimed(number, "ada"));
    }
    assert!(portion.is_full_for(&untimed(99, "ada"), 1 << 20));
    assert!(!portion.is_full_for(&untimed(99, "grace"), 1 << 20));
    let timed = text(&event("contact.updated", "ada", json!({})));
    let timed = bridged(&InputConfig::default(), 1, None, Some(&timed), &[]);
    assert!(!portion.is_full_for(&timed, 1 << 20));
    let appended = timed.record.as_ref().unwrap();
    let bytes = appended.value.as_ref().map_or(0, Vec::len) + bytes_of(&appended.headers);
    let mut full = Portion::default();
    full.add(0, timed.clone());
    assert!(full.is_full_for(&timed, bytes) && !full.is_full_for(&timed, bytes + 1));
    // Why: a portion that is appended again changes nothing, one that is larger would.
    let twice = |count: u64| {
        let once: Vec<_> = (0..count).map(|number| record(untimed(number, "ada"))).collect();
        // A minute apart: what is remembered for a time alone is not enough.
        let timed = once.iter().zip((TIME..).step_by(60_000));
        let (_, verdicts) = applied_at(timed.clone().chain(timed));
        verdicts.iter().filter(|verdict| **verdict == Verdict::Applied).count() as u64
    };
    let max = UNTIMED_MAX as u64;
    assert_eq!(twice(max), max);
    assert!(twice(max + 1) > max + 1);
}

#[test]
fn a_record_that_is_refused_gets_smaller_or_younger_until_nothing_is_left_to_give_up() {
    let value = text(&event("contact.updated", "ada", json!({ "note": "x".repeat(10_000) })));
    let big: Header<'_> = ("big", Some(&[b'x'; 5_000]));
    let mut record = record(bridged(&complete(), 1, Some("ada"), Some(&value), &[big]));
    let len = value.len();
    assert!(reduce(&mut record, true, 5));
    assert_eq!(record.value.as_ref().map(Vec::len), Some(4096));
    assert_eq!(header(&record, "contactd_origin_bytes"), Some(len.to_string().as_bytes()));
    assert!(header(&record, "contactd_command").is_none());
    assert!(decoded(&record).is_err());
    assert!(reduce(&mut record, true, 5) && header(&record, "big").is_none());
    assert!(!reduce(&mut record, true, 5));
    assert!(reduce(&mut record, false, 5));
    assert_eq!(record.timestamp_ms, 5);
    assert_eq!(header(&record, "contactd_origin_timestamp"), Some(TIME.to_string().as_bytes()));
    assert!(!reduce(&mut record, false, 5));
    assert!(header(&record, "contactd_origin").is_some());
    // A small one is left whole: there the contact log is what needs mending.
    let value = text(&event("contact.updated", "ada", json!({})));
    let small = self::record(bridged(&complete(), 1, Some("ada"), Some(&value), &[]));
    let mut same = small.clone();
    assert!(!reduce(&mut same, true, 5) && same == small);
}

#[test]
fn a_look_at_an_input_finds_partitioner_times_and_scattered_contacts() {
    let partitions = 8;
    let mut batches: Vec<RecordBatch> =
        (0..partitions).map(|lane| RecordBatch::new(Lane(lane))).collect();
    for number in 0..200_u64 {
        let key = format!("contact-{number}");
        let lane = Partitioner::Crc32.lane(key.as_bytes(), partitions);
        let mut value = event("contact.updated", &key, json!({}));
        if number % 2 == 0 {
            value.as_object_mut().unwrap().remove("timestamp");
        }
        let value = text(&value);
        let batch = &mut batches[usize::from(lane.0)];
        batch.push(
            Offset(number),
            TIME,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
            std::iter::empty(),
        );
    }
    let stray = text(&event("contact.updated", "contact-1", json!({})));
    for batch in &mut batches {
        batch.push(Offset(1000), TIME, None, Some(stray.as_bytes()), std::iter::empty());
    }
    let facts = Facts::of(&mut batches, partitions, &converter().rules.decoder());
    assert_eq!((facts.records, facts.keyed, facts.events), (208, 200, 208));
    assert_eq!((facts.keyed_by_contact, facts.timed, facts.scattered), (200, 108, 1));
    assert_eq!(facts.partitioner, Some((Partitioner::Crc32, 200, 200)));
    let topic = |policy: &str| crate::event_log::kafka::inputs::InputTopic {
        partitions,
        cleanup_policy: Some(policy.to_owned()),
        samples: Vec::new(),
    };
    let concerns = |policy, input| facts.concerns(&topic(policy), &input).len();
    assert_eq!(concerns("delete", InputConfig::default()), 1);
    assert_eq!(concerns("compact", InputConfig::default()), 2);
    assert_eq!(concerns("compact,delete", complete()), 1);
}

#[test]
fn an_embedded_log_has_a_group_of_its_own() {
    let identity =
        |kind| LogIdentity { kind, cluster: "c-1".to_owned(), topic: "contacts".to_owned() };
    let mut config = crate::config::BridgeConfig::default();
    assert_eq!(group(&config, &identity(LogKind::Kafka)), "contactd.bridge.contacts");
    assert_eq!(group(&config, &identity(LogKind::Embedded)), "contactd.bridge.contacts.c-1");
    config.group = Some("own".to_owned());
    assert_eq!(group(&config, &identity(LogKind::Embedded)), "own");
}

#[test]
fn what_another_contact_log_says_to_itself_is_no_event() {
    let event = r#"{"eventType":"contact.updated","data":{"id":"a","phone":"1"}}"#;
    for (header, value) in [("contactd_marker", "\u{1}rules"), ("contactd_notice", event)] {
        let headers = [(header, Some(b"1".as_slice()))];
        let left_out = bridged(&InputConfig::default(), 1, Some("a"), Some(value), &headers);
        assert_eq!((left_out.record, left_out.outcome), (None, BridgeOutcome::Ignored), "{header}");
    }
}
