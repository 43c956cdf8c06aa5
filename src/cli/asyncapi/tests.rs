//! The document changes on purpose only, its references lead somewhere, and its examples are taken.

use std::collections::BTreeSet;

use super::*;
use crate::domain::decode::Decoder;
use crate::domain::limits::Limits;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::sources::Sources;

#[test]
fn the_document_changes_on_purpose_only() {
    let text = serde_json::to_string_pretty(&document("contacts")).unwrap() + "\n";
    insta::assert_snapshot!("asyncapi", text);
}

#[test]
fn the_configured_topic_names_the_channels() {
    let document = document("crm-contacts");
    assert_eq!(document["channels"]["contacts"]["address"], "crm-contacts");
    assert_eq!(document["channels"]["deadLetters"]["address"], "crm-contacts.dlq");
}

fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    if let Some(place) = value["$ref"].as_str() {
        found.insert(place);
    }
    let members = value.as_object().into_iter().flat_map(|it| it.values());
    members.chain(value.as_array().into_iter().flatten()).for_each(|it| references(it, found));
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_left_over() {
    let document = document("contacts");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for place in &found {
        assert!(document.pointer(place.trim_start_matches('#')).is_some(), "{place}");
    }
    for kind in ["messages", "schemas"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let place = format!("#/components/{kind}/{name}");
            // For those who want a contact alone.
            let is_used = found.contains(place.as_str()) || name == "contact";
            assert!(is_used, "{place} is used by nothing");
        }
    }
}

#[test]
fn every_example_fits_its_schema_and_is_decoded() {
    let document = document("contacts");
    let decoder = Decoder::new(Sources::built_in(), Limits::default());
    let mut decoded = 0;
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        for example in message["examples"].as_array().into_iter().flatten() {
            let payload = &example["payload"];
            let mut schema = message["payload"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            assert!(validator.is_valid(payload), "{name}: {payload}");
            let events =
                payload.as_array().map_or_else(|| vec![payload], |all| all.iter().collect());
            for event in events {
                let mut batch = RecordBatch::new(Lane(0));
                let value = event.to_string();
                batch.push(Offset(0), 0, Some(b"c8b5"), Some(value.as_bytes()), std::iter::empty());
                let event = decoder.decode(&mut batch, 0).unwrap();
                assert_eq!(event.contact_id.of(&batch.arena), b"c8b5", "{name}: {value}");
                decoded += 1;
            }
        }
    }
    assert_eq!(decoded, 10);
}
