//! Backups of an instance that goes on, over HTTP: handed out under writes, on time, to a replica.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contactd::auth::Role;
use contactd::event_log::NewRecord;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{refused, succeeds};
use crate::support::access;
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::KafkaTopic;
use crate::support::node::Node;

/// Small segments, so that many are made and removed meanwhile.
pub(super) fn builder() -> Builder {
    Instance::builder()
        .with("store.journal_segment_bytes", "16KiB")
        .with("store.snapshot_interval", "1s")
        .with("embedded_log.segment_bytes", "64KiB")
}

fn event(number: u64) -> Value {
    json!({
        "id": format!("evt-{number}"), "eventType": "contact.updated", "source": "acme",
        "timestamp": "2026-11-21T10:00:00.000Z",
        "data": { "id": format!("contact-{}", number % 300), "firstName": format!("name {number}") },
    })
}

fn record(number: u64) -> NewRecord {
    let event = event(number);
    NewRecord {
        key: event["data"]["id"].as_str().unwrap().into(),
        value: Some(event.to_string().into_bytes()),
        timestamp_ms: i64::try_from(contactd::app::now_ms()).unwrap(),
        ..NewRecord::default()
    }
}

/// The command, asking that instance; in a directory of its own.
pub(super) async fn contactd(home: &Path, instance: &Instance, line: &[&str]) -> Output {
    let mut command = Node::new(&home.join("unused")).command(line);
    command.env("CONTACTD_URL", format!("http://{}", instance.address));
    command.env("CONTACTD_API_KEY", access::key(Role::Admin));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A directory for an instance, restored from a backup.
pub(super) fn restored(from: &Path, topic: Option<&KafkaTopic>) -> (TempDir, Output) {
    let home = tempfile::tempdir().unwrap();
    let node = Node::new(&home.path().join("unused"));
    let node = match topic {
        None => node,
        Some(topic) => topic.followed_by(node),
    };
    let target = tempfile::tempdir().unwrap();
    let (from, to) = (from.display().to_string(), target.path().display().to_string());
    let output = node.command(&["restore", &from, "--data-dir", &to]).output().unwrap();
    (target, output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_writes_has_all_that_was_acknowledged_before_and_goes_on() {
    let instance = Arc::new(builder().start().await);
    let (stop, appended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = {
        let (instance, stop, appended) = (instance.clone(), stop.clone(), appended.clone());
        #[expect(clippy::disallowed_methods, reason = "it is waited for below")]
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Acquire) {
                let events = (number..number + 40).map(record).collect();
                instance.log().append(events).await.unwrap();
                number += 40;
                appended.store(number, Ordering::Release);
            }
        })
    };
    until("enough is there", async || (appended.load(Ordering::Acquire) > 2_000).then_some(()))
        .await;
    let written = instance
        .client()
        .with("if-none-match", "*")
        .put("/api/contacts/ada", &json!({ "firstName": "Ada" }))
        .await;
    written.expect(201);
    let home = tempfile::tempdir().unwrap();
    let mut before = Vec::new();
    for name in ["one", "two.tar.zst"] {
        before.push((name, appended.load(Ordering::Acquire)));
        let to = home.path().join(name).display().to_string();
        succeeds(&contactd(home.path(), &instance, &["backup", &to]).await);
    }
    stop.store(true, Ordering::Release);
    writing.await.unwrap();
    for (name, acknowledged) in before {
        let (target, output) = restored(&home.path().join(name), None);
        succeeds(&output);
        let again = builder().start_on(target).await;
        let client = again.client();
        client.get("/api/contacts/ada").await.expect(200);
        let event = client.get(&format!("/api/events/evt-{}", acknowledged - 1)).await.expect(200);
        assert!(event.json()["data"].is_array() || event.json().is_object());
        client.patch("/api/contacts/ada", &json!({ "title": "Countess" })).await.expect(200);
        let target = again.stop().await;
        let node = Node::new(target.path()).with("log.kind", "embedded");
        node.catch_up_soundly();
        let image = Image::read(target.path());
        assert!(image.received() >= acknowledged, "{} of {acknowledged}", image.received());
        // An independent fold: its log alone, from the first record on.
        succeeds(&node.command(&["store", "rebuild", "--yes"]).output().unwrap());
        assert_same(&image, &Image::read(target.path()), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_on_time_and_on_demand_and_the_oldest_go() {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("backups");
    let off = builder().start().await;
    let client = off.client();
    client.post("/api/backups", &json!({})).await.expect_error(409, "BACKUPS_OFF");
    assert_eq!(client.get("/api/backups").await.expect(200).json()["data"], json!([]));
    let unlet = off.client().with_role(Role::Editor);
    for path in ["/api/backups", "/api/backups/stream"] {
        unlet.get(path).await.expect_error(403, "FORBIDDEN");
    }
    drop(off);
    let instance = builder()
        .with("backup.to", path.display())
        .with("backup.every", "1s")
        .with("backup.keep", 2)
        .start()
        .await;
    let client = instance.client();
    let names = async || {
        let listed = client.get("/api/backups").await.expect(200).json();
        assert_eq!(listed["status"]["lastFailure"], Value::Null, "{listed}");
        let data = listed["data"].as_array().unwrap().clone();
        data.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = until("one is there", async || names().await.pop()).await;
    let two = until("the first one has gone", async || {
        let names = names().await;
        (names.len() == 2 && !names.contains(&first)).then_some(names)
    })
    .await;
    let (target, output) = restored(&path.join(&two[0]), None);
    if output.status.success() {
        builder().start_on(target).await;
    }
    let metrics = String::from_utf8(client.get("/metrics").await.expect(200).body).unwrap();
    assert!(metrics.contains("contactd_backup_failures_total 0"), "{metrics}");
    let last = metrics.lines().find(|line| line.starts_with("contactd_backup_last_success"));
    assert!(last.is_some_and(|line| !line.ends_with(" 0")), "{last:?}");
    drop(instance);
    // Where it can't be kept, that is said, and tried again.
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "no directory").unwrap();
    let instance =
        builder().with("backup.to", path.display()).with("backup.every", "1s").start().await;
    let client = instance.client();
    until("it says so", async || {
        let ready = client.get("/readyz?verbose").await.expect(200);
        String::from_utf8_lossy(&ready.body).contains("the last backup failed").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_made_of_a_running_instance_by_an_admin_alone() {
    let instance = builder().start().await;
    for number in 0..50 {
        instance.append(&event(number)).await;
    }
    instance.until_contact("contact-49", |answer| answer.status.is_success()).await;
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", instance.address);
    let restore = |key: String, to: &str| {
        let mut command = Node::new(&home.path().join("unused")).command(&[
            "restore",
            "--from",
            &url,
            "--data-dir",
            to,
        ]);
        command.env("CONTACTD_API_KEY", key);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let none = restore(access::key(Role::Viewer), "not-made").await.unwrap();
    refused(&none, 1, &["does not let this API key"]);
    assert!(!home.path().join("not-made").exists());
    let target = tempfile::tempdir().unwrap();
    let made =
        restore(access::key(Role::Admin), &target.path().display().to_string()).await.unwrap();
    succeeds(&made);
    let replica = builder().start_on(target).await;
    let there = replica.client().get("/api/contacts/contact-49").await.expect(200).json();
    let here = instance.client().get("/api/contacts/contact-49").await.expect(200).json();
    assert_eq!(there, here);
}
