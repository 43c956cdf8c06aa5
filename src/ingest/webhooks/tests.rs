//! What a request becomes on the log, and why some become nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::{Secret, SignatureForm, WebhookSourceConfig};
use crate::domain::rules::{RuleSet, RuleText};
use crate::domain::sources::{Ids, Preset, SourceText};
use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use crate::event_log::{ConsumeBounds, Delivery, EventLog};
use crate::ingest::{IntakeOptions, Outbox};

const SECRET: &str = "acme-secret-of-at-least-32-bytes!!";
const NOW_MS: u64 = 1_792_230_000_000;
const TIME: &str = "1792230000";

struct World {
    webhooks: Webhooks,
    intake: Intake,
    log: EventLog,
    _dir: TempDir,
}

fn source(scheme: &str) -> WebhookSourceConfig {
    WebhookSourceConfig {
        signature: SignatureForm::named(scheme).unwrap(),
        secret: Some(Secret::new(SECRET)),
        secret_previous: None,
        schemas: None,
        binary_cloudevents: false,
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedOptions {
            path: dir.path().join("log"),
            topic: "contacts".to_owned(),
            partitions: 1,
            segment_bytes_max: 1 << 20,
            retention_bytes: None,
            retention_age: None,
        });
        let log = EventLog::Embedded(Arc::new(log.unwrap()));
        let config = WebhooksConfig {
            default_source: "acme".to_owned(),
            tolerance: Duration::from_secs(300),
            events_max: 3,
            sources: BTreeMap::from([
                ("acme".to_owned(), source("acme")),
                ("body".to_owned(), source("acme-body")),
                ("sales".to_owned(), source("acme")),
                ("own".to_owned(), source("acme")),
                (
                    "cloud".to_owned(),
                    WebhookSourceConfig { binary_cloudevents: true, ..source("acme") },
                ),
                ("off".to_owned(), WebhookSourceConfig { secret: None, ..source("acme") }),
            ]),
        };
        let mut rules = RuleText::built_in();
        let own = Preset::of("salesforce-cdc").unwrap().text();
        rules.sources.insert("own".to_owned(), own.clone());
        rules.sources.insert("sales".to_owned(), SourceText { ids: Ids::Ours, ..own });
        let rules = PresentRules::new(Arc::new(RuleSet::compile(rules).unwrap()));
        let webhooks = Webhooks::new(&config, rules).unwrap();
        let options = IntakeOptions {
            ack_timeout: Duration::from_secs(5),
            path: dir.path().to_owned(),
            min_free_bytes: 0,
        };
        let intake = Intake::new(log.clone(), None, options);
        intake.log_settled(|_| None);
        Self { webhooks, intake, log, _dir: dir }
    }

    async fn post(&self, body: &str) -> Result<Received, WebhookError> {
        self.post_to(None, body).await
    }

    async fn post_to(&self, source: Option<&str>, body: &str) -> Result<Received, WebhookError> {
        let signature = sign_acme(SECRET, TIME, body.as_bytes());
        let header = |name: &str| match name {
            "x-acme-signature" => Some(signature.as_bytes()),
            "x-acme-timestamp" => Some(TIME.as_bytes()),
            _ => None,
        };
        self.webhooks.receive(&self.intake, source, header, "", body.as_bytes(), NOW_MS).await
    }

    /// The first rejected event's reason.
    async fn reason(&self, event: Value) -> Option<&'static str> {
        let received = self.post(&event.to_string()).await.unwrap();
        received.items.first().and_then(|item| item.reason)
    }

    /// Keys and values of everything on the log.
    fn records(&self) -> Vec<(String, String)> {
        let bounds = ConsumeBounds { records_max: 1000, bytes_max: 1 << 20 };
        let from = BTreeMap::from([(Lane(0), crate::domain::position::NextOffset(0))]);
        let mut consumer = self.log.consume(&from, bounds).unwrap();
        let mut records = Vec::new();
        loop {
            match consumer.next(Duration::from_secs(5)).unwrap() {
                Some(Delivery::Batch(batch)) => {
                    for record in &batch.records {
                        let text = |bytes: Option<&[u8]>| text_of(bytes.unwrap_or_default());
                        records.push((text(batch.key(record)), text(batch.value(record))));
                    }
                }
                Some(Delivery::CaughtUp(_)) => return records,
                None => panic!("the log does not end"),
            }
        }
    }
}

fn event() -> Value {
    json!({
        "id": "evt_1", "eventType": "contact.updated", "timestamp": "2026-10-17T09:39:00Z",
        "data": { "id": "c1", "acme_first_name": "Ada" },
    })
}

#[tokio::test]
async fn an_event_goes_to_the_log_as_it_was_sent_keyed_by_its_contact() {
    let world = World::new();
    let body = format!("  {}\n", event());
    let received = world.post(&body).await.unwrap();
    assert_eq!(received.items[0].event_id.as_deref(), Some("evt_1"));
    assert_eq!(received.items[0].contact_id.as_deref(), Some("c1"));
    assert!(matches!(received.kept, Some(Kept::OnLog(ref acks)) if acks.len() == 1));
    assert_eq!(world.records(), [("c1".to_owned(), event().to_string())]);
}

#[tokio::test]
async fn nothing_that_is_not_believed_reaches_the_log() {
    let world = World::new();
    let body = event().to_string();
    let wrong = world.webhooks.receive(&world.intake, None, |_| None, "", body.as_bytes(), NOW_MS);
    assert!(matches!(wrong.await, Err(WebhookError::Signature(_))));
    for name in ["off", "nobody"] {
        let asked = world.webhooks.receive(
            &world.intake,
            Some(name),
            |_| None,
            "",
            body.as_bytes(),
            NOW_MS,
        );
        assert!(matches!(asked.await, Err(WebhookError::UnknownSource { .. })), "{name}");
    }
    let setting = "source.off.secret or source.off.secret_file";
    assert_eq!(world.webhooks.missing_secret("off").as_deref(), Some(setting));
    assert_eq!(world.webhooks.missing_secret("nobody"), None, "nobody's names stand in no line");
    assert!(world.records().is_empty());
}

#[tokio::test]
async fn an_array_has_a_verdict_for_each_and_keeps_the_good_ones() {
    let world = World::new();
    let mut bad = event();
    bad["eventType"] = json!("contact.exploded");
    let received = world.post(&json!([event(), bad, 7]).to_string()).await.unwrap();
    let reasons: Vec<_> = received.items.iter().map(|item| item.reason).collect();
    assert_eq!(reasons, [None, Some("unknown_event_type"), Some("wrong_type")]);
    assert_eq!(world.records().len(), 1);
    let four = world.post(&json!([1, 2, 3, 4]).to_string()).await;
    assert!(matches!(four, Err(WebhookError::TooMany { events: 4, events_max: 3 })));
    for body in ["[]", "[1,", "[1]]"] {
        assert!(matches!(world.post(body).await, Err(WebhookError::Body(_))), "{body}");
    }
}

#[tokio::test]
async fn contacts_count_as_events_and_so_do_the_copies_of_their_texts() {
    let world = World::new();
    let about = |ids: &[&str], email: &str| {
        json!({ "payload": { "Email": email, "ChangeEventHeader": { "entityName": "Contact",
            "changeType": "UPDATE", "recordIds": ids, "commitTimestamp": 1_792_229_000,
            "transactionKey": ids[0] } } })
    };
    let three = json!([about(&["a", "b"], "x"), about(&["c"], "x")]).to_string();
    assert_eq!(world.post_to(Some("sales"), &three).await.unwrap().items.len(), 3);
    // Without a store nobody knows whose ids of its own are.
    let unknown = world.post_to(Some("own"), &three).await;
    assert!(
        matches!(unknown, Err(WebhookError::Intake(IntakeError::Unavailable(_)))),
        "{unknown:?}"
    );
    let four = json!([about(&["a", "b"], "x"), about(&["c", "d"], "x")]).to_string();
    let four = world.post_to(Some("sales"), &four).await;
    assert!(matches!(four, Err(WebhookError::TooMany { events: 4, events_max: 3 })), "{four:?}");
    let long = about(&["a", "b", "c"], &"x".repeat(6 << 20)).to_string();
    let long = world.post_to(Some("sales"), &long).await;
    assert!(matches!(long, Err(WebhookError::Body(_))), "{long:?}");
}

#[tokio::test]
async fn an_event_without_time_and_id_gets_the_signed_time_and_an_id_of_its_bytes() {
    let world = World::new();
    let mut bare = event();
    for member in ["id", "timestamp"] {
        bare.as_object_mut().unwrap().remove(member);
    }
    let first = world.post(&bare.to_string()).await.unwrap();
    let again = world.post(&bare.to_string()).await.unwrap();
    assert_eq!(first.items[0].event_id, again.items[0].event_id);
    let as_sent = ("c1".to_owned(), bare.to_string());
    assert_eq!(world.records(), [as_sent.clone(), as_sent]);
}

#[tokio::test]
async fn the_signed_time_and_message_id_stand_in_headers_where_the_event_has_none() {
    let world = World::new();
    let source = world.webhooks.sources.get("acme").unwrap();
    let signed = Some(NOW_MS * 1000);
    let message_id = Some("msg_1".to_owned());
    let verified = Verified { timestamp_us: signed, message_id };
    let mut bare = event();
    for member in ["id", "timestamp"] {
        bare.as_object_mut().unwrap().remove(member);
    }
    for (event, place, id, time) in [
        (&bare, None, "msg_1", Some(NOW_MS * 1000)),
        (&bare, Some(2), "msg_1:2", Some(NOW_MS * 1000 + 2)),
        (&event(), None, "evt_1", None),
    ] {
        let text = event.to_string();
        let sent = Sent {
            text: text.as_bytes(),
            attributes: None,
            request_id: None,
            place,
            contact: None,
        };
        let Prepared::Accepted(item, record, _, repeat) =
            world.webhooks.event(source, &verified, sent, NOW_MS)
        else {
            panic!("{text} is refused");
        };
        assert_eq!(item.event_id.as_deref(), Some(id));
        assert_eq!(record.value.as_deref(), Some(text.as_bytes()));
        // As applying will decode it.
        let again = world.webhooks.decode(&record.headers, text.as_bytes(), None, NOW_MS);
        let (batch, again) = again.unwrap();
        assert_eq!(
            (text_of(again.event_id.of(&batch.arena)).as_str(), again.is_id_given),
            (id, true)
        );
        assert!(repeat.is_none_or(|repeat| repeat.id_hash == again.id_hash), "{id}");
        let header = |wanted: &str| {
            let found = record.headers.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| Some(text_of(value.as_deref()?)))
        };
        assert_eq!(header("contactd_time"), time.map(|time| time.to_string()));
        assert_eq!(header(EVENT_ID), (id != "evt_1").then(|| id.to_owned()));
    }
}

#[tokio::test]
async fn a_body_only_signature_needs_an_id_and_a_time_in_the_event() {
    let world = World::new();
    // Signed by: printf '%s' "$body" | openssl dgst -sha256 -hmac "$SECRET"
    let body = r#"{"id":"evt_1","eventType":"contact.updated","data":{"id":"c1"}}"#;
    let signature = "ff413ea9c48cd5863866fc9c69294c5e120a383c77caff30aa262b5fc3a0e041";
    let header = |name: &str| (name == "x-acme-signature").then_some(signature.as_bytes());
    let received = world
        .webhooks
        .receive(&world.intake, Some("body"), header, "", body.as_bytes(), NOW_MS)
        .await
        .unwrap();
    assert_eq!(received.items[0].reason, Some("timestamp_missing"));
    assert_eq!(received.kept, None);
}

#[tokio::test]
async fn what_could_not_be_applied_is_rejected_with_its_reason() {
    let world = World::new();
    let with = |member: &str, value: Value| {
        let mut event = event();
        event[member] = value;
        event
    };
    assert_eq!(world.reason(with("data", json!({}))).await, Some("missing_contact_id"));
    let future = with("timestamp", json!("2026-10-17T09:46:00Z"));
    assert_eq!(world.reason(future).await, Some("timestamp_in_future"));
    let command = with("eventType", json!("contact.erased"));
    assert_eq!(world.reason(command).await, Some("unknown_event_type"));
    let wrong = with("data", json!({ "id": "c1", "acme_email": "x".repeat(5000) }));
    assert_eq!(world.reason(wrong).await, Some("schema"));
    for id in ["batch", ".", ".."] {
        let unreachable = with("data", json!({ "id": id }));
        assert_eq!(world.reason(unreachable).await, Some("invalid_id"), "{id}");
    }
    let large = json!({ "id": "c1", "attributes": { "notes": "x".repeat(640_000) } });
    assert_eq!(world.reason(with("data", large)).await, Some("too_large"));
    let broken = world.post("{\"id\":").await.unwrap();
    assert_eq!(broken.items[0].reason, Some("malformed_json"));
    assert!(world.records().is_empty());
}

#[tokio::test]
async fn what_waits_in_the_outbox_is_forwarded_in_order_and_survives_a_restart() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let options = IntakeOptions {
        ack_timeout: Duration::from_secs(5),
        path: dir.path().to_owned(),
        min_free_bytes: 0,
    };
    let record = |number: usize| NewRecord {
        key: format!("c{}", number % 3).into_bytes(),
        value: Some(number.to_string().into_bytes()),
        timestamp_ms: 1_000 + number as i64,
        ..NewRecord::default()
    };
    {
        // Not settled: the log may not be appended to, as while Kafka is away.
        let outbox = Arc::new(Outbox::open(dir.path(), 1 << 20).unwrap());
        let intake = Intake::new(world.log.clone(), Some(Arc::clone(&outbox)), options.clone());
        for number in 0..20 {
            assert_eq!(intake.keep(vec![record(number)]).await.unwrap(), Kept::InOutbox);
        }
        assert_eq!((outbox.records(), outbox.oldest_ms()), (20, Some(1_000)));
        outbox.shutdown().unwrap();
    }
    let outbox = Arc::new(Outbox::open(dir.path(), 1 << 20).unwrap());
    let intake = Arc::new(Intake::new(world.log.clone(), Some(Arc::clone(&outbox)), options));
    intake.log_settled(|_| None);
    // Behind what waits, though the log answers.
    assert_eq!(intake.keep(vec![record(20)]).await.unwrap(), Kept::InOutbox);
    let stop = tokio_util::sync::CancellationToken::new();
    let forwarding = tokio::task::spawn_blocking({
        let (intake, stop) = (Arc::clone(&intake), stop.clone());
        let runtime = tokio::runtime::Handle::current();
        move || intake.forward(&runtime, &stop)
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while outbox.records() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} wait", outbox.records());
        tokio::task::yield_now().await;
    }
    assert!(matches!(intake.keep(vec![record(21)]).await.unwrap(), Kept::OnLog(_)));
    stop.cancel();
    forwarding.await.unwrap().unwrap();
    let values: Vec<String> = world.records().into_iter().map(|(_, value)| value).collect();
    let expected: Vec<String> = (0..22).map(|number| number.to_string()).collect();
    assert_eq!(values, expected);
}

#[tokio::test]
async fn a_full_outbox_takes_nothing_more_and_loses_nothing() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), 64 << 10).unwrap();
    let record =
        || NewRecord { key: b"c".to_vec(), value: Some(vec![b'x'; 4096]), ..NewRecord::default() };
    let mut kept = 0;
    let error = loop {
        match outbox.keep(vec![record()]).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "it never is full");
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(outbox.records(), kept);
    drop(world);
}

#[tokio::test]
async fn a_binary_cloudevent_is_taken_from_a_source_that_may_send_such() {
    let world = World::new();
    let body = r#"{"firstName":"Ada"}"#;
    let signature = sign_acme(SECRET, TIME, body.as_bytes());
    let post = async |source: &str, more: &[(&str, &'static str)]| {
        let header = |name: &str| match name {
            "x-acme-signature" => Some(signature.as_bytes()),
            "x-acme-timestamp" => Some(TIME.as_bytes()),
            "ce-specversion" => Some(b"1.0".as_slice()),
            "ce-id" => Some(b"e%201".as_slice()),
            "ce-type" => Some(b"contact.created".as_slice()),
            "ce-source" => Some(b"whoever".as_slice()),
            "ce-subject" => Some(b"\"ad%C3%A4\"".as_slice()),
            _ => {
                let found = more.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| value.as_bytes())
            }
        };
        world
            .webhooks
            .receive(&world.intake, Some(source), header, "", body.as_bytes(), NOW_MS)
            .await
    };
    let item = post("cloud", &[]).await.unwrap().items.remove(0);
    assert_eq!((item.event_id.as_deref(), item.contact_id.as_deref()), (Some("e 1"), Some("adä")));
    assert_eq!(world.records(), [("adä".to_owned(), body.to_owned())]);
    // The signed time, where it has none of its own.
    let stale = post("cloud", &[("ce-time", "2100-01-01T00:00:00Z")]).await.unwrap();
    assert_eq!(stale.items[0].reason, Some("timestamp_in_future"));
    let refused = post("acme", &[]).await.unwrap_err().to_string();
    assert!(refused.contains("source.acme.binary_cloudevents = true"), "{refused}");
    // A structured one says itself what it is.
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let item = post("acme", &structured).await.unwrap().items.remove(0);
    assert_eq!(item.reason, Some("unknown_event_type"));
}
