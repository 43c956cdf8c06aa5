//! The load as HubSpot tells of it: single property changes, as the intake appends them to the contact log.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::external_ids::contact_id_of;
use crate::domain::headers::{CONTACT_ID, EXTERNAL_ID, SOURCE};
use crate::domain::timestamp::parse_rfc3339_us;
use crate::event_log::NewRecord;
use crate::simulate::LoadRecord;

/// The source that is configured for it.
pub(super) const NAME: &str = "bench_hubspot";

/// What is taken over of an event of the load.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

/// The same of a record of HubSpot's, as the least that a consumer must do.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed for the sake of the work")]
pub(super) struct PropertyChange<'a> {
    event_id: u64,
    #[serde(borrow)]
    subscription_type: Cow<'a, str>,
    occurred_at: u64,
    object_id: u64,
    #[serde(borrow)]
    property_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    property_value: Option<Cow<'a, str>>,
}

/// One change of a property, or a creation or deletion. A function of the record's bytes, so that one that
/// comes twice is the same twice.
pub(super) fn of_hubspot(made: &LoadRecord) -> NewRecord {
    let value = made.value.as_deref().unwrap_or_default();
    let (object, number) = (xxh3_64(&made.key) >> 24, xxh3_64(value));
    let event = serde_json::from_slice::<Made<'_>>(value).ok();
    let time_us = event.as_ref().and_then(|event| parse_rfc3339_us(event.timestamp.as_bytes()));
    let body = json!({
        // As large as numbers may be that others read as floating point.
        "eventId": number >> 11, "subscriptionId": 22, "portalId": 33, "appId": 1_160_452,
        "occurredAt": time_us.unwrap_or(0) / 1_000, "attemptNumber": 0, "objectId": object,
        "changeSource": "CRM_UI",
    });
    let mut members = body.as_object().cloned().unwrap_or_default();
    let kind = match event.as_ref().map_or("", |event| &*event.event_type) {
        "contact.created" => "contact.creation",
        "contact.deleted" => "contact.deletion",
        _ => {
            let names = ["firstname", "lastname", "email", "phone", "company", "jobtitle"];
            let name = names.get(number as usize % names.len()).copied().unwrap_or_default();
            members.insert("propertyName".to_owned(), json!(name));
            let value = format!("{name} {}", (number >> 32) % 10_000);
            members.insert("propertyValue".to_owned(), json!(value));
            "contact.propertyChange"
        }
    };
    members.insert("subscriptionType".to_owned(), json!(kind));
    let body = serde_json::Value::Object(members);
    let object = object.to_string();
    let contact_id = contact_id_of(NAME.as_bytes(), object.as_bytes());
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    NewRecord {
        headers: vec![
            header(SOURCE, NAME),
            header(CONTACT_ID, &contact_id),
            header(EXTERNAL_ID, &object),
        ],
        key: contact_id.into_bytes(),
        value: Some(body.to_string().into_bytes()),
        timestamp_ms: made.timestamp_ms,
        lane: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ApplySetup;
    use crate::config::{FlagSetting, Mode, Sources, load};
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::{RecordBatch, header_refs};
    use crate::simulate::{LoadGenerator, LoadOptions};

    #[test]
    fn every_record_is_an_event_of_the_preset() {
        let (key, value) = (format!("source.{NAME}.preset"), "hubspot".to_owned());
        let flags = vec![FlagSetting { flag: "--set".to_owned(), key, value }];
        let config = load(&Sources { flags, ..Sources::new(Mode::Dev) }).unwrap();
        let decoder = ApplySetup::new(&config).unwrap().decoder;
        let options = LoadOptions { events: 2_000, contacts: 200, ..LoadOptions::default() };
        for made in LoadGenerator::new(&options) {
            let record = of_hubspot(&made);
            assert_eq!(record, of_hubspot(&made));
            let value = record.value.as_deref().unwrap();
            serde_json::from_slice::<PropertyChange<'_>>(value).unwrap();
            let mut batch = RecordBatch::new(Lane(0));
            let headers = header_refs(&record.headers);
            batch.push(Offset(0), record.timestamp_ms, Some(&record.key), Some(value), headers);
            let event = decoder.decode(&mut batch, 0).unwrap();
            assert_eq!(event.contact_id.of(&batch.arena), record.key);
        }
    }
}
