//! What Avro records become: read by the registry's schemas before their source's table reads them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::convert::Converter;
use super::tests::{TIME, converter};
use crate::config::{InputConfig, Tombstones};
use crate::domain::avro::Schema;
use crate::domain::decode::{KeyForm, Reject};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::rules::{RuleSet, RuleText};
use crate::domain::sources::{FieldText, SourceText};
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::NewRecord;
use crate::ingest::PresentRules;
use crate::schema_registry::{Format, SchemaRegistry};
use crate::telemetry::BridgeOutcome;

const EVENT: u32 = 1;
const ID: u32 = 2;
const PLAIN_JSON: u32 = 3;
const REFUSED: u32 = 4;

fn avro(schema: &Value) -> Result<Format, Reject> {
    Ok(Format::Avro(Schema::parse(&schema.to_string(), &[]).unwrap()))
}

/// Knows an event of ours without an id in it, and an id alone.
fn knowing() -> Converter {
    let data = json!({ "type": "record", "name": "Data", "fields": [
        { "name": "firstName", "type": "string" }] });
    let event = json!({ "type": "record", "name": "Event", "fields": [
        { "name": "id", "type": "string" }, { "name": "eventType", "type": "string" },
        { "name": "timestamp", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "data", "type": data }] });
    let refused = Reject::new(DeadLetterReason::SchemaUnknown, "schema 4 is not known there");
    let registry = SchemaRegistry::knowing(vec![
        (EVENT, avro(&event)),
        (ID, avro(&json!("long"))),
        (PLAIN_JSON, Ok(Format::Json)),
        (REFUSED, Err(refused)),
    ]);
    Converter { registry: Some(Arc::new(registry)), ..converter() }
}

fn keyed(form: &str) -> InputConfig {
    InputConfig { key: KeyForm::parse(form).unwrap(), ..InputConfig::default() }
}

fn framed(id: u32, value: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), value].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8 * 2], text.as_bytes()].concat()
}

fn event() -> Vec<u8> {
    let time = [0x80, 0xb0, 0x83, 0xc5, 0x98, 0x68];
    [text("e1"), text("contact.updated"), time.to_vec(), text("Ada")].concat()
}

/// The one record that it becomes, or the schema that it waits for.
fn bridged(
    converter: &Converter,
    input: &InputConfig,
    key: &[u8],
    value: &[u8],
) -> Result<(NewRecord, BridgeOutcome), u32> {
    let mut batch = RecordBatch::new(Lane(6));
    let headers = [("content-type", Some(b"application/avro".as_slice())), ("own", None)];
    batch.push(Offset(7), TIME, Some(key), Some(value), headers.into_iter());
    let mut all = converter.convert(input, "crm.contacts", &batch, &batch.records[0])?;
    let bridged = all.pop().unwrap();
    Ok((bridged.record.unwrap(), bridged.outcome))
}

fn header<'r>(record: &'r NewRecord, name: &str) -> Option<&'r [u8]> {
    header_refs(&record.headers).find(|(each, _)| *each == name)?.1
}

/// Why applying keeps it as a dead letter.
fn reject(converter: &Converter, record: &NewRecord) -> Reject {
    let mut batch = RecordBatch::new(Lane(0));
    let key = Some(record.key.as_slice());
    batch.push(Offset(0), TIME, key, record.value.as_deref(), header_refs(&record.headers));
    converter.rules.decoder().decode(&mut batch, 0).unwrap_err()
}

#[test]
fn value_and_key_are_read_by_their_schemas() {
    let converter = knowing();
    let key = framed(ID, &[24]);
    let (record, outcome) =
        bridged(&converter, &keyed("json"), &key, &framed(EVENT, &event())).unwrap();
    assert_eq!(outcome, BridgeOutcome::Event);
    assert_eq!(record.key, b"12");
    let value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    let expected = json!({ "id": "e1", "eventType": "contact.updated",
        "timestamp": "2026-09-21T14:13:20.000Z", "data": { "firstName": "Ada" } });
    assert_eq!(value, expected);
    assert_eq!(header(&record, "contactd_schema_id"), Some(b"1".as_slice()));
    assert_eq!(header(&record, "contactd_origin_key"), Some(key.as_slice()));
    assert_eq!(header(&record, "content-type"), None);
    assert!(record.headers.iter().any(|(name, _)| name == "own"));
}

#[test]
fn what_is_not_known_yet_is_waited_for_and_nothing_else_is() {
    let converter = knowing();
    let json = br#"{"id":"e1","eventType":"contact.updated","data":{"id":"ada","firstName":"A"}}"#;
    let by = keyed("json");
    let value = framed(EVENT, &event());
    let waits = |input: &InputConfig, key: &[u8], value: &[u8]| {
        bridged(&converter, input, key, value).map(|(_, outcome)| outcome)
    };
    assert_eq!(waits(&by, b"1", &framed(77, &event())), Err(77));
    assert_eq!(waits(&by, &framed(78, &[24]), &value), Err(78));
    // A text is the id as it stands; JSON needs no registry, framed or not.
    assert_eq!(waits(&keyed("text"), b"ada", &value), Ok(BridgeOutcome::Event));
    let no_type = |value: &[u8]| {
        let mut batch = RecordBatch::new(Lane(6));
        batch.push(Offset(7), TIME, Some(b"\"ada\""), Some(value), std::iter::empty());
        converter.convert(&by, "crm.contacts", &batch, &batch.records[0]).map(|all| all[0].outcome)
    };
    assert_eq!(no_type(json), Ok(BridgeOutcome::Event));
    assert_eq!(no_type(&framed(79, json)), Ok(BridgeOutcome::Event));
    assert_eq!(no_type(&framed(PLAIN_JSON, json)), Ok(BridgeOutcome::Event));
}

#[test]
fn what_can_not_be_read_stays_as_it_came_with_its_reason() {
    let converter = knowing();
    let event = event();
    for (value, reason, words) in [
        (framed(REFUSED, &event), DeadLetterReason::SchemaUnknown, "schema 4 is not known there"),
        (
            framed(EVENT, &event[..9]),
            DeadLetterReason::MalformedAvro,
            "the value is not what schema 1 says: the bytes end in the middle of a value",
        ),
        (
            framed(EVENT, &[&event[..], b"xy"].concat()),
            DeadLetterReason::MalformedAvro,
            "2 bytes are left over",
        ),
    ] {
        let (record, outcome) = bridged(&converter, &keyed("json"), b"12", &value).unwrap();
        assert_eq!(outcome, BridgeOutcome::Unreadable);
        assert_eq!((record.key.as_slice(), &record.value), (b"12".as_slice(), &Some(value)));
        let reject = reject(&converter, &record);
        assert_eq!(reject.reason, reason);
        assert!(reject.detail.contains(words), "{reject}");
        assert_eq!(header(&record, "contactd_origin"), Some(b"crm.contacts:6:7".as_slice()));
    }
    // No input can say it.
    let mut batch = RecordBatch::new(Lane(0));
    let forged = [("contactd_decode_problem", Some(b"schema_unknown: x".as_slice()))];
    let value = br#"{"id":"e1","eventType":"contact.updated","data":{"id":"a","firstName":"A"}}"#;
    batch.push(Offset(7), TIME, None, Some(value), forged.into_iter());
    let all = converter.convert(&keyed("text"), "crm", &batch, &batch.records[0]).unwrap();
    assert_eq!(all[0].outcome, BridgeOutcome::Event);
}

#[test]
fn a_key_that_can_not_be_read_is_trouble_only_where_nothing_else_names_the_contact() {
    let converter = knowing();
    let (record, outcome) =
        bridged(&converter, &keyed("json"), &framed(ID, &[0x80]), &framed(EVENT, &event()))
            .unwrap();
    assert_eq!(outcome, BridgeOutcome::Unreadable);
    let reject = reject(&converter, &record);
    assert_eq!(reject.reason, DeadLetterReason::MalformedAvro);
    assert!(reject.detail.contains("the key is not what schema 2 says"), "{reject}");
    let mut batch = RecordBatch::new(Lane(6));
    let key = framed(REFUSED, &[1]);
    batch.push(Offset(6), TIME, Some(&key), None, std::iter::empty());
    let deletes = InputConfig { tombstones: Tombstones::Delete, ..keyed("json") };
    let all = converter.convert(&deletes, "crm", &batch, &batch.records[0]).unwrap();
    let deleted = self::reject(&converter, all[0].record.as_ref().unwrap());
    assert_eq!(deleted.to_string(), "schema_unknown: the key: schema 4 is not known there");
    let json = br#"{"id":"e1","eventType":"contact.updated","data":{"id":"ada","firstName":"A"}}"#;
    let mut batch = RecordBatch::new(Lane(6));
    batch.push(Offset(7), TIME, Some(&key), Some(json), std::iter::empty());
    let all = converter.convert(&keyed("json"), "crm", &batch, &batch.records[0]).unwrap();
    assert_eq!(all[0].record.as_ref().unwrap().key, b"ada");
}

#[test]
fn what_would_become_too_much_stays_as_it_came() {
    let ids: Vec<Value> = (0..2000).map(|number| json!(format!("c{number}"))).collect();
    let array = json!({ "type": "array", "items": "string" });
    let event = json!({ "type": "record", "name": "Batch", "fields": [
        { "name": "ids", "type": array }, { "name": "name", "type": "string" }] });
    let registry = SchemaRegistry::knowing(vec![(EVENT, avro(&event))]);
    let record =
        [("contact", "ids"), ("data", "")].map(|(key, path)| (key.into(), vec![path.into()]));
    let source = SourceText {
        record: record.into(),
        types: [(String::new(), "contact.updated".to_owned())].into(),
        fields: [("firstName".to_owned(), FieldText::at("name"))].into(),
        ..SourceText::default()
    };
    let rules = RuleText { sources: [("crm".to_owned(), source)].into(), ..RuleText::built_in() };
    let rules = PresentRules::new(Arc::new(RuleSet::compile(rules).unwrap()));
    let converter = Converter { registry: Some(Arc::new(registry)), rules, ..converter() };
    let input = InputConfig { source: Some("crm".to_owned()), ..InputConfig::default() };
    let batch = |ids: &[Value]| {
        let ids: Vec<u8> = ids.iter().flat_map(|id| text(id.as_str().unwrap())).collect();
        // Two, or two thousand.
        let count: &[u8] = if ids.len() < 100 { &[4] } else { &[0xa0, 0x1f] };
        framed(EVENT, &[count, &ids, &[0], &text("Ada")].concat())
    };
    let few = bridged(&converter, &input, b"k", &batch(&ids[..2])).unwrap();
    assert_eq!((few.0.key.as_slice(), few.1), (b"c1".as_slice(), BridgeOutcome::Event));
    let many = batch(&ids);
    let (record, outcome) = bridged(&converter, &input, b"k", &many).unwrap();
    assert_eq!(outcome, BridgeOutcome::Unreadable);
    assert_eq!((record.key.as_slice(), &record.value), (b"".as_slice(), &Some(many)));
    assert_eq!(reject(&converter, &record).reason, DeadLetterReason::RecordTooLarge);
    assert_eq!(header(&record, "contactd_origin_key"), Some(b"k".as_slice()));
}
