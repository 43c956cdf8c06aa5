//! The feed over real sockets, read by a client of the standard.

mod ends;
mod events;
mod resume;
mod world;

use std::time::Duration;

use tempfile::tempdir;
use world::{Mirror, World, changes_of, contacts};

#[tokio::test]
async fn every_change_comes_once_in_order_with_the_contact_after_it() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 2)]);
    let mut client = world.listen("").await;
    for commit in [vec![(0, 1)], vec![(0, 5), (1, 7), (2, 1)], vec![(2, 6), (0, 4)]] {
        world.commit(&commit);
    }
    let expected: Vec<_> = changes_of(0, 2, 8)
        .chain(changes_of(1, 0, 7))
        .chain(changes_of(2, 0, 7))
        .chain(changes_of(0, 8, 12))
        .collect();
    let changes = client.changes(expected.len()).await;
    let places: Vec<_> = changes.iter().map(|change| change.place()).collect();
    assert_eq!(places, expected);
    assert_eq!(client.parser.retry_ms, Some(1500));
    assert_eq!(changes.last().unwrap().id, world.position());
    let deleted = changes.iter().find(|change| change.place() == (1, 6)).unwrap();
    assert_eq!(deleted.event, "contact.deleted");
    let json = deleted.json();
    assert_eq!(json["contact"]["status"], "DELETED");
    assert_eq!(json["contact"]["firstName"], "Ada 6", "its last state");
    assert_eq!(json["contact"]["attributes"]["note"]["of"][0], 1);
    assert_eq!(json["change"]["eventType"], "contact.deleted");
    assert_eq!(json["change"]["eventId"], "e-1-6");
    assert_eq!(json["change"]["source"], "test");
    assert_eq!(json["change"]["timestamp"], "2026-11-21T10:00:00.006Z");
    assert_eq!(json["change"]["recordedAt"], "2026-11-21T10:00:00.006Z");
    let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
    assert!(text.contains("contactd_feed_clients 1\n"), "{text}");
    assert!(text.contains("contactd_feed_events_total{type=\"contact.deleted\"} 3\n"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn filters_let_through_what_they_name_and_heartbeats_move_the_position_on() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let contact = contacts(0)[1].clone();
    let query = format!("?type=contact.deleted,contact.created&contact={contact}");
    let mut both = world.listen(&query.replace(' ', "%20")).await;
    let mut repeated = world.listen("?type=contact.deleted&type=contact.created").await;
    let mut nothing = world.listen("?contact=a%2Cb,nobody").await;
    for _ in 0..20 {
        world.commit(&[(0, 3), (1, 2), (2, 1)]);
    }
    let end = world.position();
    let both = both.until_id(&end).await;
    assert!(both.len() > 1 && both.iter().all(|event| event.json()["contact"]["id"] == *contact));
    let of_kinds = |event: &&crate::support::sse::SseEvent| {
        ["contact.deleted", "contact.created"].contains(&event.event.as_str())
    };
    let repeated = repeated.until_id(&end).await;
    assert!(repeated.len() > both.len());
    assert_eq!(repeated.iter().filter(of_kinds).count(), repeated.len());
    assert_eq!(both.iter().filter(of_kinds).count(), both.len());
    assert_eq!(nothing.until_id(&end).await, []);
    assert!(nothing.parser.comments > 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_the_changes_that_race_it_give_the_final_state() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 40), (1, 40), (2, 40)]);
    // Part of it in the engine, part of it dirty.
    world.writer().checkpoint_now().unwrap();
    world.commit(&[(0, 9)]);
    let mut clients = Vec::new();
    for round in 0..6 {
        clients.push(world.listen("?snapshot=true&includeDeleted=true").await);
        for _ in 0..10 {
            world.commit(&[(0, 2), (1, 1 + round % 2), (2, 3)]);
        }
    }
    let (end, expected) = (world.position(), world.export());
    for mut client in clients {
        let mut mirror = Mirror::default();
        let events = client.until_id(&end).await;
        assert_eq!(events[0].event, "snapshot");
        assert_eq!(events[0].json()["reason"], "requested");
        assert_eq!(events.iter().filter(|event| event.event == "ready").count(), 1);
        events.iter().for_each(|event| mirror.take(event));
        assert_eq!(mirror.contacts, expected);
    }
    world.end().await;
}

#[tokio::test]
async fn a_snapshot_can_be_of_some_contacts_and_without_the_deleted() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 7), (1, 5), (2, 5)]);
    let all = world.export();
    let active = |contact: &&serde_json::Value| contact["status"] == "ACTIVE";
    let mut client = world.listen("?snapshot=true").await;
    let events = client.until_id(&world.position()).await;
    let states = events.iter().filter(|event| event.event == "state").count();
    assert_eq!(states, all.values().filter(active).count());
    assert!(states < all.len());
    let (deleted, other) = (
        all.values().find(|contact| !active(contact)).unwrap()["id"].as_str().unwrap(),
        all.values().find(active).unwrap()["id"].as_str().unwrap(),
    );
    let query = format!("?snapshot=true&contact={deleted},{other},nobody&includeDeleted=true");
    let mut client = world.listen(&query.replace(' ', "%20")).await;
    let mut mirror = Mirror::default();
    client.until_id(&world.position()).await.iter().for_each(|event| mirror.take(event));
    assert_eq!(mirror.contacts.keys().collect::<Vec<_>>().len(), 2);
    assert_eq!(mirror.contacts[deleted], all[deleted]);
    assert_eq!(mirror.contacts[other], all[other]);
    world.end().await;
}

#[tokio::test]
async fn who_does_not_follow_is_told_what_there_is_and_let_go() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 7), (1, 4)]);
    let early = world.position();
    let mut none = world.listen("?follow=false").await;
    assert_eq!(none.next().await, None);
    assert_eq!(none.parser.last_event_id(), early);
    world.commit(&[(1, 4)]);
    let mut later = world.listen(&format!("?follow=false&after={early}")).await;
    for (_, offset) in changes_of(1, 4, 8) {
        assert_eq!(later.next_change().await.place(), (1, offset));
    }
    assert_eq!(later.next().await, None);
    assert_eq!(later.parser.last_event_id(), world.position());
    let mut all = world.listen("?follow=false&snapshot=true&includeDeleted=true").await;
    let mut mirror = Mirror::default();
    while let Some(event) = all.next().await {
        mirror.take(&event);
    }
    assert_eq!(mirror.contacts, world.export());
    world.end().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_and_says_why() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 3)]);
    let bad = |code: &str| (400, code.to_owned());
    assert_eq!(world.refused("?type=contact.moved", &[]).await, bad("INVALID_PARAMETER"));
    assert_eq!(world.refused("?contact=", &[]).await, bad("INVALID_PARAMETER"));
    assert_eq!(world.refused("?after=17", &[]).await, bad("INVALID_PARAMETER"));
    assert_eq!(world.refused("?since=17", &[]).await, bad("UNKNOWN_PARAMETER"));
    assert_eq!(world.refused("?after=1&after=2", &[]).await, bad("INVALID_PARAMETER"));
    let last = [("last-event-id", "17")];
    assert_eq!(world.refused("", &last).await, bad("INVALID_HEADER"));
    let json = [("accept", "application/json")];
    let answer = crate::support::sse::http().get(world.url("")).header(json[0].0, json[0].1);
    assert_eq!(answer.send().await.unwrap().status(), 406);
    let answer = crate::support::sse::http().head(world.url("")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    world.end().await;
}

#[tokio::test]
async fn a_stream_outlives_the_time_of_a_request_and_is_kept_alive() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let mut client = world.listen("").await;
    let began = std::time::Instant::now();
    let silent = world.position();
    // Longer than `request_timeout`, by the heartbeats.
    while client.parser.comments < 12 {
        let _ = tokio::time::timeout(Duration::from_millis(20), client.next()).await;
        assert!(began.elapsed() < Duration::from_secs(20), "no heartbeats");
    }
    assert!(began.elapsed() > Duration::from_millis(400));
    assert_eq!(client.parser.last_event_id(), silent);
    world.commit(&[(1, 1)]);
    assert_eq!(client.next_change().await.place(), (1, 0));
    world.end().await;
}
