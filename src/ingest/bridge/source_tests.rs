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
fn seen(
    (converter, input): &(Converter, InputConfig),
    key: Option<&str>,
    value: Option<&str>,
) -> Vec<Seen> {
    let mut batch = RecordBatch::new(Lane(6));
    let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
    batch.push(Offset(7), TIME, key, value, std::iter::empty());
    let all = converter.convert_all(input, "crm.contacts", &batch, &batch.records[0]);
    let records = all.into_iter().filter_map(|bridged| bridged.record);
    let decoded = records.map(|record| {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = header_refs(&record.headers);
        batch.push(Offset(0), TIME, Some(&record.key), record.value.as_deref(), headers);
        let event = converter.rules.decoder().decode(&mut batch, 0);
        let event = event.map_err(|reject| reject.reason)?;
        let id = event.contact_id.of(&batch.arena);
        assert_eq!(id, record.key, "it goes to its contact's lane");
        Ok((String::from_utf8(id.to_vec()).unwrap(), event.kind, event.timestamp))
    });
    decoded.collect()
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
