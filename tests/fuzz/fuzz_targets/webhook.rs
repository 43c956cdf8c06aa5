//! Bodies signed as they must be, by all schemes: what is accepted is decoded by applying as it was
//! reported, and has a time; what is not has its reason.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contactd::config::webhook_key;
use contactd::domain::position::{Lane, Offset};
use contactd::domain::record::{Headers, RecordBatch, header_refs, owned_headers};
use contactd::event_log::NewRecord;
use contactd::ingest::{ItemReport, Webhooks};
use contactd_fuzz::keyed::{SECRET, STANDARD_SECRET, hex, mac};
use contactd_fuzz::{NOW_MS, parts, world};
use libfuzzer_sys::fuzz_target;

static WEBHOOKS: LazyLock<Webhooks> = LazyLock::new(world::webhooks);

fuzz_target!(|data: &[u8]| {
    let [source, headers, body] = parts(data);
    let (time, id) = ((NOW_MS / 1000).to_string(), "msg_1");
    let (source, key, signed): (_, _, &[&[u8]]) = match source.first().map_or(0, |byte| byte % 3) {
        0 => ("acme", SECRET.as_bytes().to_vec(), &[time.as_bytes(), b".", body]),
        1 => ("body", SECRET.as_bytes().to_vec(), &[body]),
        _ => {
            let key = webhook_key("standard", STANDARD_SECRET).expect("a secret");
            ("standard", key, &[id.as_bytes(), b".", time.as_bytes(), b".", body])
        }
    };
    let tag = mac(&key, signed);
    let (hexed, listed) = (hex(&tag), format!("v1,{}", STANDARD.encode(&tag)));
    let theirs = owned_headers(Headers::new(headers));
    let header = |name: &str| match name {
        "x-acme-signature" => Some(hexed.as_bytes()),
        "webhook-signature" => Some(listed.as_bytes()),
        "x-acme-timestamp" | "webhook-timestamp" => Some(time.as_bytes()),
        "webhook-id" => Some(id.as_bytes()),
        _ => theirs.iter().find(|(each, _)| each == name).and_then(|(_, value)| value.as_deref()),
    };
    let Ok(checked) = WEBHOOKS.check(Some(source), header, "", body, NOW_MS) else { return };
    let (accepted, rejected): (Vec<_>, Vec<_>) =
        checked.items.iter().partition(|item| item.reason.is_none());
    assert!(!checked.items.is_empty() && accepted.len() == checked.records.len());
    assert!(rejected.iter().all(|item| item.detail.is_some()));
    accepted.iter().zip(&checked.records).for_each(|(item, record)| applied(item, record));
});

fn applied(item: &ItemReport, record: &NewRecord) {
    let mut batch = RecordBatch::new(Lane(0));
    let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
    batch.push(Offset(0), record.timestamp_ms, key, value, header_refs(&record.headers));
    let event = world::decoder().decode(&mut batch, 0).expect("what is accepted is applied");
    let of = |id: &Option<String>| id.clone().unwrap_or_default().into_bytes();
    assert_eq!(event.contact_id.of(&batch.arena), of(&item.contact_id));
    assert_eq!(event.event_id.of(&batch.arena), of(&item.event_id));
    assert_eq!(event.contact_id.of(&batch.arena), record.key);
    assert!(event.timestamp.is_some() && event.command.is_none() && !event.replaces);
}
