//! Records of the contact log that stand away from their contact's home lane: each is brought there,
//! as it came, and judged there.

use std::collections::BTreeMap;
use std::time::Duration;

use contactd::domain::headers::MARKER;
use contactd::domain::partitioner::Partitioner;
use contactd::domain::position::Lane;
use contactd::domain::verdict::DeadLetterReason as Reason;
use contactd::event_log::NewRecord;
use serde_json::{Value, json};

use super::{event, node};
use crate::support::answer::Answer;
use crate::support::bridge::{TIME, export, raw};
use crate::support::image::Image;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(90);

/// A contact log at a real Kafka.
fn contact_log(test: &str) -> Option<(TestLog, KafkaTopic)> {
    let log = TestLog::kafka(&service(KAFKA, test)?);
    let TestLog::Kafka(topic) = &log else { unreachable!("it is Kafka") };
    let topic = topic.clone();
    Some((log, topic))
}

/// What does not depend on the order in which events came.
fn canonical(image: &Image) -> BTreeMap<String, Vec<u8>> {
    let each = image.contacts.iter();
    each.map(|(id, contact)| (id.clone(), contact.canonical.clone())).collect()
}

/// Events of twenty contacts, three each, in order.
fn events(prefix: &str) -> Vec<RawRecord> {
    let of = |contact: u64| {
        let id = format!("{prefix}-{contact}");
        let name = |number: u64| format!(r#""firstName":"name {number}""#);
        (1..4).map(move |number| event("updated", &id, number, &name(number)).into())
    };
    (0..20).flat_map(of).collect()
}

/// Some of them without a key, or in another lane than their contact's.
fn strays() -> Vec<RawRecord> {
    let misplace = |(number, record): (usize, RawRecord)| match number % 4 {
        0 => RawRecord { key: None, lane: Some(0), ..record },
        1 => RawRecord { lane: Some(1), ..record },
        2 => RawRecord { key: Some(b"an-account".to_vec()), ..record },
        _ => record,
    };
    let mut records: Vec<RawRecord> =
        events("stray").into_iter().enumerate().map(misplace).collect();
    // Larger than a dead letter keeps, smaller than a contact may be: only its blanks are many.
    let large: RawRecord = event("updated", "large", 1, r#""firstName":"Large""#).into();
    let mut value = large.value.clone().unwrap_or_default();
    value.resize(200_000, b' ');
    records.push(RawRecord { key: None, lane: Some(2), value: Some(value), ..large });
    records.push(raw(3, None, Some(b"{broken".to_vec()), TIME));
    records
}

#[test]
fn records_away_from_home_are_brought_there_once() {
    const TEST: &str = "records_away_from_home_are_brought_there_once";
    let Some((log, contacts)) = contact_log(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let records = strays();
    contacts.append(records.clone().into_iter());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = || runtime.block_on(Instance::builder().following(&contacts).start());
    let (one, two) = (start(), start());
    for instance in [&one, &two] {
        for contact in 0..20 {
            let id = format!("stray-{contact}");
            let is_whole = |answer: &Answer| answer.json()["firstName"] == "name 3";
            runtime.block_on(instance.until_contact(&id, is_whole));
        }
        runtime.block_on(instance.until_contact("large", |answer| answer.status.is_success()));
    }
    runtime.block_on(one.stop());
    runtime.block_on(two.stop());

    let node = node(dir.path(), &log);
    node.catch_up_soundly();
    let image = Image::read(&node.store);
    let rehomed = image.verdict_totals["rehomed"];
    // Each was appended once more, by one of the two; what says nothing is not.
    assert_eq!(image.letters.len(), 1, "{:?}", image.letters);
    assert!(image.letters.values().all(|letter| letter.reason == Reason::MalformedJson));
    assert!(rehomed >= 16, "only {rehomed} were away");
    assert_eq!(image.received(), records.len() as u64 + rehomed);
    let direct = TestLog::embedded(&dir.path().join("direct-log"));
    direct.append(events("stray"));
    direct.append([event("updated", "large", 1, r#""firstName":"Large""#)]);
    let direct_node = super::node(dir.path(), &direct);
    direct_node.catch_up_soundly();
    assert_eq!(canonical(&image), canonical(&Image::read(&direct_node.store)));
}

/// What an API can do to a contact.
async fn commands(instance: &Instance) {
    let client = instance.client();
    for number in 0..12 {
        let id = format!("made-{number}");
        let made = json!({ "id": id, "firstName": "Made", "phone": "1", "attributes": { "k": 1 } });
        assert_eq!(client.post("/api/contacts", &made).await.status, 201);
        let path = format!("/api/contacts/{id}");
        let done = match number % 6 {
            0 => client.put(&path, &json!({ "firstName": "Put" })).await,
            1 => client.patch(&path, &json!({ "phone": null, "title": "T" })).await,
            2 => client.delete(&path).await,
            3 => client.delete(&format!("{path}?erase=true")).await,
            4 => {
                client.delete(&path).await;
                client.post(&format!("{path}/restore"), &json!({})).await
            }
            _ => continue,
        };
        assert!(done.status.is_success(), "{id}: {done:?}");
    }
}

#[test]
fn commands_that_stand_away_from_home_do_there_what_they_said() {
    const TEST: &str = "commands_that_stand_away_from_home_do_there_what_they_said";
    let Some((log, contacts)) = contact_log(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let instance = runtime.block_on(Instance::builder().following(&contacts).start());
    runtime.block_on(commands(&instance));
    runtime.block_on(instance.stop());
    let straight = node(dir.path(), &log);
    straight.catch_up_soundly();
    let count = usize::try_from(Image::read(&straight.store).received()).unwrap();

    // The same records in a log where all of them stand one partition further.
    let Some((away, elsewhere)) = contact_log(TEST) else { return };
    let moved = contacts
        .read(count + usize::from(LANES))
        .into_iter()
        // Each partition's marker of the log's rules stays where it is.
        .filter(|record| record.headers.first().is_none_or(|(name, _)| name != MARKER))
        .map(|record| RawRecord { lane: record.lane.map(|lane| (lane + 1) % LANES), ..record });
    let bringing = away.followed_by(crate::support::node::Node::new(&dir.path().join("away")));
    // The log is founded before it holds records of ours.
    bringing.catch_up_soundly();
    elsewhere.append(moved);
    let running = bringing.clone().with("bridge.rehome", "true").start("");
    wait_until(PATIENCE, "all are at home", || {
        elsewhere.ends().iter().sum::<i64>() == 2 * count as i64 + i64::from(LANES)
    });
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    bringing.catch_up_soundly();
    let image = Image::read(&bringing.store);
    assert_eq!(image.verdict_totals["rehomed"], count as u64);
    assert!(image.letters.is_empty());
    let expected: BTreeMap<String, Value> = export(&straight);
    assert_eq!(export(&bringing), expected);
    // The principal of each is still in its history.
    for contact in expected.keys() {
        let history = &image.contacts[contact].changes;
        assert!(!history.is_empty(), "{contact}");
    }
}

/// Stands where its contact is not at home; the id of its event.
async fn append_away(instance: &Instance, contact: &str) -> String {
    let lane = (Partitioner::Murmur2.lane(contact.as_bytes(), LANES).0 + 1) % LANES;
    let record = event("updated", contact, 1, r#""firstName":"Ada""#);
    let record = NewRecord { lane: Some(Lane(lane)), ..record };
    instance.log().append(vec![record]).await.unwrap();
    format!("event-{contact}-1")
}

/// Verdict and partition of each record of an event, newest first, once that many are known.
async fn records(instance: &Instance, event: &str, count: usize) -> Vec<(String, u64)> {
    let path = format!("/api/events/{event}");
    until(&format!("{path} has {count} records"), async || {
        let shown = instance.client().get(&path).await.json();
        let records = shown["records"].as_array()?.iter();
        let each = |record: &Value| {
            Some((record["verdict"].as_str()?.to_owned(), record["partition"].as_u64()?))
        };
        records.map(each).collect::<Option<Vec<_>>>().filter(|records| records.len() == count)
    })
    .await
}

/// What readiness and the figures say of records that are owed a way home.
async fn until_owed(instance: &Instance, count: u64, note: Option<&str>) {
    until(&format!("{count} are owed"), async || {
        let figure = instance.figure(r#"contactd_follower_owed_changes{follower="rehoming"}"#);
        let ready = instance.client().get("/readyz?verbose").await.expect(200).json();
        let said = ready["parts"]["rehoming"]["note"].as_str();
        let is_so = match note {
            Some(note) => said.is_some_and(|said| said.contains(note)),
            None => said.is_none(),
        };
        (figure? == count.to_string() && is_so).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_a_way_home_is_shown_and_both_records_of_an_event_are() {
    let builder = Instance::builder;
    let idle = builder().with("bridge.rehome", "false").start().await;
    let waiting = append_away(&idle, "waiting").await;
    let home = u64::from(Partitioner::Murmur2.lane(b"waiting", LANES).0);
    let away = (home + 1) % u64::from(LANES);
    assert_eq!(records(&idle, &waiting, 1).await, [("rehomed".to_owned(), away)]);
    until_owed(&idle, 1, Some("1 records are to be brought to their home partition")).await;
    idle.client().get("/api/contacts/waiting").await.expect(404);

    let instance = builder().start_on(idle.stop().await).await;
    instance.until_contact("waiting", |answer| answer.status == 200).await;
    let both = [("applied".to_owned(), home), ("rehomed".to_owned(), away)];
    assert_eq!(records(&instance, &waiting, 2).await, both);
    until_owed(&instance, 0, None).await;
    // Where nothing is brought it is still known what is owed.
    let client = instance.client();
    client.post("/api/followers/rehoming/pause", &json!({})).await.expect(200);
    append_away(&instance, "later").await;
    until_owed(&instance, 1, Some("1 records are to be brought")).await;
    client.get("/api/contacts/later").await.expect(404);
    client.post("/api/followers/rehoming/resume", &json!({})).await.expect(200);
    instance.until_contact("later", |answer| answer.status == 200).await;
    until_owed(&instance, 0, None).await;
    // An instance that brings nothing knows what others have brought.
    let idle = builder().with("bridge.rehome", "false").start_on(instance.stop().await).await;
    until_owed(&idle, 0, None).await;
}
