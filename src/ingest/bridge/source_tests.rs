//! What other systems' records become: taken apart, keyed by their contacts, and read by their source's
//! table when they are applied.

use std::sync::Arc;

use serde_json::json;

use super::convert::Converter;
use super::tests::{TIME, converter, text};
use crate::config::{InputConfig, Tombstones};
use crate::domain::decode::KeyForm;
use crate::domain::event::EventKind;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::rules::{RuleSet, RuleText};
use crate::domain::sources::{Preset, SourceText, Unknown};
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::NewRecord;
use crate::ingest::PresentRules;

/// The contact, the event's kind and its time; or why it is a dead letter.
type Seen = Result<(String, EventKind, Option<u64>), DeadLetterReason>;

/// A converter that knows the source `crm` by a preset, and what its input says.
fn by_preset(name: &str, unknown: Unknown) -> (Converter, InputConfig) {
    let preset = Preset::of(name).unwrap();
    let text = SourceText { unknown, ..preset.text() };
    let sources = [("crm".to_owned(), text)].into();
    let rules = RuleText { sources, ..RuleText::built_in() };
    let rules = PresentRules::new(Arc::new(RuleSet::compile(rules).unwrap()));
    let input = InputConfig {
        source: Some("crm".to_owned()),
        complete: preset.complete,
        key: KeyForm::parse(preset.key).unwrap(),
        tombstones: match preset.tombstones {
            "delete" => Tombstones::Delete,
            "ignore" => Tombstones::Ignore,
            _ => Tombstones::Refuse,
        },
    };
    (Converter { rules, ..converter() }, input)
}

/// What a record becomes, and what applying then sees: the contact, the event's kind and time.
fn seen(by: &(Converter, InputConfig), key: Option<&str>, value: Option<&str>) -> Vec<Seen> {
    let records = bridged(by, key, value);
    records.iter().map(|record| applied(&by.0, record)).collect()
}

/// The same, of what has no key and no lane of its own.
fn dead(by: &(Converter, InputConfig), key: Option<&str>, value: &str) -> Vec<Seen> {
    let records = bridged(by, key, Some(value));
    assert!(records.iter().all(|record| record.key.is_empty() && record.lane.is_some()));
    records.iter().map(|record| applied(&by.0, record)).collect()
}

fn bridged(
    (converter, input): &(Converter, InputConfig),
    key: Option<&str>,
    value: Option<&str>,
) -> Vec<NewRecord> {
    let mut batch = RecordBatch::new(Lane(6));
    let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
    batch.push(Offset(7), TIME, key, value, std::iter::empty());
    let all = converter.convert(input, "crm.contacts", &batch, &batch.records[0]).unwrap();
    all.into_iter().filter_map(|bridged| bridged.record).collect()
}

fn applied(converter: &Converter, record: &NewRecord) -> Seen {
    let mut batch = RecordBatch::new(Lane(0));
    let headers = header_refs(&record.headers);
    batch.push(Offset(0), TIME, Some(&record.key), record.value.as_deref(), headers);
    let event = converter.rules.decoder().decode(&mut batch, 0);
    let event = event.map_err(|reject| reject.reason)?;
    let id = event.contact_id.of(&batch.arena);
    assert_eq!(id, record.key, "it goes to its contact's lane");
    Ok((String::from_utf8(id.to_vec()).unwrap(), event.kind, event.timestamp))
}

#[test]
fn rows_of_connect_replace_the_contact_and_their_tombstones_delete_it() {
    let by = by_preset("connect-json", Unknown::Keep);
    let at = u64::try_from(TIME * 1000).ok();
    let wrapped = r#"{"schema":{"type":"struct"},"payload":{"id":5,"first_name":"Ada"}}"#;
    for value in [wrapped, r#"{"id":5,"first_name":"Ada"}"#, r#"{"first_name":"Ada"}"#] {
        for key in [r#"{"id":5}"#, r#"{"schema":{},"payload":{"id":5}}"#] {
            let made = seen(&by, Some(key), Some(value));
            assert_eq!(made, [Ok(("5".to_owned(), EventKind::Created, at))], "{key} {value}");
        }
    }
    let made = seen(&by, Some(r#"{"id":5}"#), None);
    assert_eq!(made, [Ok(("5".to_owned(), EventKind::Deleted, at))]);
    // Nothing in it is a field: it does not empty the contact.
    let made = seen(&by, Some(r#"{"id":5}"#), Some(r#"{"kunde":"Ada"}"#));
    assert_eq!(made, [Err(DeadLetterReason::NothingKnown)]);
    let made = seen(&by, Some(r#"{"id":5}"#), Some(r#"{"schema":null,"payload":null}"#));
    assert_eq!(made, [Err(DeadLetterReason::NullValue)]);
}

#[test]
fn changes_of_debezium_are_read_and_their_tombstones_say_nothing_more() {
    let by = by_preset("debezium", Unknown::Keep);
    let change = |op: &str, before: &str, after: &str| {
        format!(
            r#"{{"op":"{op}","before":{before},"after":{after},"source":{{"ts_ms":1763719200000}}}}"#
        )
    };
    let row = r#"{"id":5,"email":"a@b.c"}"#;
    for (value, kind) in [
        (change("c", "null", row), EventKind::Created),
        (change("u", row, row), EventKind::Updated),
        (change("d", row, "null"), EventKind::Deleted),
    ] {
        let made = seen(&by, Some(r#"{"id":5}"#), Some(&value));
        assert_eq!(made, [Ok(("5".to_owned(), kind, Some(1_763_719_200_000_000)))]);
    }
    assert_eq!(seen(&by, Some(r#"{"id":5}"#), None), []);
    let truncated = seen(&by, Some(r#"{"id":5}"#), Some(&change("t", "null", "null")));
    assert_eq!(truncated, [Err(DeadLetterReason::UnknownEventType)]);
}

#[test]
fn a_batch_and_an_event_of_several_contacts_are_a_record_each() {
    let change = |id: u64| {
        json!({ "subscriptionType": "contact.propertyChange", "objectId": id, "occurredAt": 1,
            "propertyName": "email", "propertyValue": "a@b.c" })
    };
    let ids = |made: Vec<Seen>| made.into_iter().map(|each| each.unwrap().0).collect::<Vec<_>>();
    let batch = text(&json!([change(1), change(2), change(1)]));
    assert_eq!(
        ids(seen(&by_preset("hubspot", Unknown::Drop), None, Some(&batch))),
        ["1", "2", "1"]
    );
    let both = text(&json!({ "payload": { "Email": "a@b.c", "ChangeEventHeader": {
        "entityName": "Contact", "changeType": "UPDATE", "recordIds": ["A", "B"], "commitTimestamp": 1,
    } } }));
    let by = by_preset("salesforce-cdc", Unknown::Drop);
    assert_eq!(ids(seen(&by, Some("{\"replay\":1}"), Some(&both))), ["A", "B"]);
    for nonsense in ["[]", "[1]", "7", "{", ""] {
        let made = seen(&by, Some("k"), Some(nonsense));
        assert!(made.len() == 1 && made[0].is_err(), "{nonsense}: {made:?}");
    }
}

#[test]
fn a_record_that_would_become_too_many_is_one_dead_letter() {
    let (converter, input) = by_preset("salesforce-cdc", Unknown::Drop);
    let about = |ids: usize, email: &str| {
        let ids: Vec<String> = (0..ids).map(|id| format!("id{id}")).collect();
        text(&json!({ "payload": { "Email": email, "ChangeEventHeader": { "entityName": "Contact",
            "changeType": "UPDATE", "recordIds": ids, "commitTimestamp": 1 } } }))
    };
    let bytes_max = usize::MAX;
    let by = (Converter { bytes_max, ..converter }, input);
    assert_eq!(seen(&by, None, Some(&about(1000, "a@b.c"))).len(), 1000);
    let refused = [Err(DeadLetterReason::MissingContactId)];
    // Not even the one that its key names is taken.
    let key = Some("id1");
    assert_eq!(dead(&by, key, &about(1001, "a@b.c")), refused);
    let by = (Converter { bytes_max: 64 << 10, ..by.0 }, by.1);
    let long = "x".repeat(40 << 10);
    assert_eq!(dead(&by, key, &about(2, &long)), refused);
    assert!(seen(&by, key, Some(&about(1, &long)))[0].is_ok());
}

#[test]
fn a_whole_contact_without_a_time_is_looked_for_where_its_source_says() {
    let (converter, input) = by_preset("debezium", Unknown::Drop);
    let by = (converter, InputConfig { complete: true, ..input });
    let at = u64::try_from(TIME * 1000).ok();
    let made = |op: &str, before: &str, after: &str| {
        let value = format!(r#"{{"op":"{op}","before":{before},"after":{after}}}"#);
        seen(&by, Some(r#"{"id":5}"#), Some(&value))
    };
    let row = r#"{"id":5,"email":"a@b.c"}"#;
    assert_eq!(made("u", row, row), [Ok(("5".to_owned(), EventKind::Created, at))]);
    assert_eq!(made("d", row, "null"), [Ok(("5".to_owned(), EventKind::Deleted, at))]);
}
