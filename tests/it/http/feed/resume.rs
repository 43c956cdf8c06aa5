//! Going on where one was: on the same instance, after its restart, on another one.

use std::collections::BTreeMap;

use contactd::config::JournalRetention;
use contactd::domain::position::Position;
use contactd::store::StoreConfig;
use tempfile::tempdir;

use crate::support::instance::until;
use crate::support::sse::{SseClient, SseEvent};

use super::world::{FEED, LANES, Mirror, World, changes_of};

/// Per lane, in the order that they came.
fn by_lane(events: &[SseEvent]) -> BTreeMap<u64, Vec<u64>> {
    let mut lanes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.is_change()) {
        let (lane, offset) = event.place();
        lanes.entry(lane).or_default().push(offset);
    }
    lanes
}

/// Every change of every lane from the log's start.
fn all(world: &World) -> BTreeMap<u64, Vec<u64>> {
    let of = |lane| changes_of(lane, 0, world.next(lane)).map(|(_, offset)| offset).collect();
    (0..LANES).map(|lane| (u64::from(lane), of(lane))).collect()
}

/// Where a log begins.
fn beginning(world: &World) -> String {
    let at = Position::of_lanes(world.reader.position().log, BTreeMap::new());
    at.encode()
}

#[tokio::test]
async fn a_client_goes_on_after_any_event_on_an_instance_that_had_other_batches() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let mut one = World::start(one.path()).await;
    let mut two = World::start(two.path()).await;
    for _ in 0..4 {
        one.commit(&[(0, 3), (1, 3), (2, 3)]);
    }
    two.commit(&[(2, 11)]);
    two.commit(&[(1, 5), (0, 1)]);
    two.commit(&[(0, 11), (1, 7), (2, 1)]);
    assert_eq!(one.position(), two.position());
    let everything = all(&one);
    let count = everything.values().map(Vec::len).sum::<usize>();
    for taken in 0..=count {
        let mut first = one.listen(&format!("?after={}", beginning(&one))).await;
        let mut events = first.changes(taken).await;
        let id = events.last().map_or_else(|| beginning(&one), |last| last.id.clone());
        let mut second = two.listen_after(&id).await;
        events.extend(second.until_id(&two.position()).await);
        assert_eq!(by_lane(&events), everything, "after {taken}");
    }
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn an_instance_that_lags_tells_a_client_nothing_twice_and_nothing_less() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let mut ahead = World::start(one.path()).await;
    let mut behind = World::start(two.path()).await;
    ahead.commit(&[(0, 9), (1, 9), (2, 2)]);
    behind.commit(&[(0, 2)]);
    let mut first = ahead.listen(&format!("?after={}", beginning(&ahead))).await;
    let mut events = first.until_id(&ahead.position()).await;
    let mut second = behind.listen_after(first.parser.last_event_id()).await;
    // Another one keeps the ring alive, and sees what comes between.
    let mut witness = behind.listen("").await;
    behind.commit(&[(1, 4), (2, 2)]);
    assert_eq!(witness.next_change().await.place(), (1, 0));
    behind.commit(&[(0, 3)]);
    behind.commit(&[(0, 8), (1, 9), (2, 4)]);
    events.extend(second.until_id(&behind.position()).await);
    assert_eq!(by_lane(&events), all(&behind));
    ahead.end().await;
    behind.end().await;
}

#[tokio::test]
async fn a_client_goes_on_after_a_restart_with_what_came_meanwhile() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let mut client = world.listen("").await;
    let mut mirror = Mirror::default();
    world.commit(&[(0, 4), (1, 3)]);
    let mut events = client.changes(5).await;
    let id = events.last().unwrap().id.clone();
    drop(client);
    world.commit(&[(2, 3)]);
    world.end().await;
    let mut world = World::start(dir.path()).await;
    world.commit(&[(2, 3), (1, 3)]);
    let mut client = world.listen_after(&id).await;
    world.commit(&[(0, 3)]);
    events.extend(client.until_id(&world.position()).await);
    assert_eq!(by_lane(&events), all(&world));
    events.iter().for_each(|event| mirror.take(event));
    assert_eq!(mirror.contacts, world.export());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_far_behind_catch_up_while_more_comes_and_none_misses_or_repeats_any() {
    let dir = tempdir().unwrap();
    let small = contactd::effects::feed::FeedConfig { buffer_bytes: 20_000, ..FEED };
    let mut world = World::start_with(StoreConfig::at(dir.path()), small, "contacts").await;
    for _ in 0..60 {
        world.commit(&[(0, 7), (1, 3), (2, 5)]);
    }
    let mut clients = Vec::new();
    for _ in 0..60 {
        if clients.len() < 12 {
            clients.push(world.listen(&format!("?after={}", beginning(&world))).await);
        }
        world.commit(&[(0, 7), (1, 3), (2, 5)]);
        tokio::task::yield_now().await;
    }
    let (end, everything) = (world.position(), all(&world));
    for mut client in clients {
        assert_eq!(by_lane(&client.until_id(&end).await), everything);
    }
    world.end().await;
}

#[tokio::test]
async fn what_the_journal_no_longer_holds_is_410_or_a_new_snapshot() {
    let dir = tempdir().unwrap();
    let mut options = StoreConfig::at(dir.path());
    options.journal_segment_bytes = 4 << 10;
    options.journal_retention_bytes = JournalRetention::Bytes(4 << 10);
    let mut world = World::start_with(options, FEED, "contacts").await;
    world.commit(&[(0, 5)]);
    let early = world.position();
    for _ in 0..40 {
        world.commit(&[(0, 9), (1, 9), (2, 9)]);
    }
    // Dead letters among them are archived before the journal lets them go.
    let query = format!("?after={early}");
    until("the journal is trimmed", async || {
        world.commit(&[(0, 1)]);
        world.writer().snapshot_now().unwrap();
        SseClient::connect(&world.url(&query), &[]).await.is_err().then_some(())
    })
    .await;
    world.commit(&[(0, 1)]);
    let late = world.position();
    world.commit(&[(0, 1), (1, 5)]);
    let gone = (410, "POSITION_GONE".to_owned());
    assert_eq!(world.refused(&format!("?after={early}"), &[]).await, gone);
    assert_eq!(world.refused("", &[("last-event-id", &early)]).await, gone);
    let mut client = world.listen_after(&late).await;
    assert_eq!(client.next_change().await.place().0, 0);
    let mut client =
        world.listen(&format!("?after={early}&snapshot=true&includeDeleted=true")).await;
    let events = client.until_id(&world.position()).await;
    assert_eq!(events[0].json()["reason"], "position_gone");
    let mut mirror = Mirror::default();
    events.iter().for_each(|event| mirror.take(event));
    assert_eq!(mirror.contacts, world.export());
    let query = format!("?after={late}&snapshot=true");
    let events = world.listen(&query).await.until_id(&world.position()).await;
    assert!(events.iter().all(SseEvent::is_change), "what is not gone needs no snapshot");
    world.end().await;
}

#[tokio::test]
async fn another_logs_position_is_410() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let mut world = World::start(one.path()).await;
    let other = World::start_with(StoreConfig::at(two.path()), FEED, "other").await;
    world.commit(&[(0, 3)]);
    let query = format!("?after={}", other.position());
    assert_eq!(world.refused(&query, &[]).await, (410, "POSITION_GONE".to_owned()));
    world.end().await;
    other.end().await;
}
