//! What one instance exports another one imports, and both have the same contacts, whatever is in them.

use std::collections::BTreeMap;

use contactd::event_log::NewRecord;
use contactd::simulate::hostile;
use serde_json::json;
use serde_json::value::RawValue;

use super::{ended, give};
use crate::support::client::Client;
use crate::support::instance::{Instance, until};

const RECORDS: u64 = 4_000;
const FIELDS: [&str; 6] = ["firstName", "lastName", "email", "phone", "company", "title"];

/// What a contact says, by name, as JSON: some numbers are larger than a parser of them takes.
type Said = BTreeMap<String, String>;

/// Each contact's values by its id, of those that have some.
async fn values(client: &Client) -> BTreeMap<String, Said> {
    let lines = client.get("/api/export?format=ndjson").await.expect(200).body;
    let contacts = String::from_utf8(lines).unwrap();
    let said = contacts.lines().map(|line| {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).unwrap();
        let id: String = serde_json::from_str(members["id"].get()).unwrap();
        let names = FIELDS.into_iter().chain(["attributes"]);
        (id, names.map(|name| (name.to_owned(), members[name].get().to_owned())).collect())
    });
    said.filter(|(_, said)| has_values(said)).collect()
}

fn has_values(said: &Said) -> bool {
    FIELDS.iter().any(|field| said[*field] != "null") || said["attributes"] != "{}"
}

/// An empty cell says nothing.
fn as_cells(contacts: &BTreeMap<String, Said>) -> BTreeMap<String, Said> {
    let mut contacts = contacts.clone();
    for value in contacts.values_mut().flat_map(BTreeMap::values_mut) {
        if value == "\"\"" {
            *value = "null".to_owned();
        }
    }
    contacts.retain(|_, said| has_values(said));
    contacts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_made_of_hostile_records_come_back_from_every_format() {
    let instance = Instance::builder().with("store.dirty_bytes_max", "16MiB").start().await;
    let client = instance.client();
    for (id, title) in [("=1+1", "a\rb\r\nc"), (" x ", "END:VCARD\nBEGIN:VCARD"), ("'", "'=")] {
        let data = json!({ "id": id, "title": title, "attributes": { "": 1, "E-mail": "" } });
        let event = json!({ "id": format!("made-{id}"), "eventType": "contact.created",
            "source": "lab", "timestamp": "2026-11-21T10:00:00Z", "data": data });
        instance.append(&event).await;
    }
    let records = (0..RECORDS).map(|number| hostile(7, number)).map(|record| NewRecord {
        key: record.key,
        value: record.value,
        timestamp_ms: record.timestamp_ms,
        ..NewRecord::default()
    });
    // What is longer than any record may be is not taken by the log.
    let is_short = |record: &NewRecord| record.value.as_ref().is_none_or(|it| it.len() < 60_000);
    let records: Vec<NewRecord> = records.filter(is_short).collect();
    let sent = records.len() as u64 + 3;
    instance.log().append(records).await.unwrap();
    until("all of it is judged", async || {
        let stats = client.get("/api/stats").await.expect(200).json();
        // Those that stand away from home are judged by their copies.
        let away = stats["events"]["verdicts"]["rehomed"].as_u64().unwrap();
        (stats["events"]["received"].as_u64().unwrap() - away >= sent).then_some(())
    })
    .await;
    let contacts = values(&client).await;
    assert!(contacts.len() > 100, "{}", contacts.len());
    assert_eq!(contacts["=1+1"]["title"], "\"a\\rb\\r\\nc\"");
    for format in ["ndjson", "vcard", "csv"] {
        let file = client.get(&format!("/api/export?format={format}")).await.expect(200).body;
        let other = Instance::start().await;
        let there = other.client();
        let given = give(&there, "", &file).await;
        let job = ended(&there, given["id"].as_str().unwrap()).await;
        let refused = job["counts"]["refusedBy"].as_object().unwrap();
        assert!(refused.keys().all(|reason| reason == "empty"), "{format}: {job}");
        let expected = if format == "csv" { as_cells(&contacts) } else { contacts.clone() };
        let found = values(&there).await;
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (id, said) in &expected {
            assert_eq!(&found[id], said, "{format}: {id:?}");
        }
    }
}
