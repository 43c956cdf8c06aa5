//! What goes wrong around a follower: a journal that forgets, a role that is taken, no room to park.

use std::sync::Arc;
use std::time::Duration;

use contactd::effects::follower::{Answer, Delivery, Picked, Row, Sink};
use contactd::event_log::NewRecord;
use contactd::ingest::{Control, ControlWrite, now_ms};
use contactd::store::Reader;
use contactd::store::journal::Entry;
use futures_util::future::join_all;

use super::Counted;
use super::counting::Counting;
use super::suite::forgetful;
use super::world::{Mode, Subject, World, until};

/// A follower that tells what happened rather than what is, and tries for ever.
struct Happened;

/// Its sink.
struct Happenings(Counting);

impl Sink for Happenings {
    type Item = ();

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<()>> {
        self.0.pick(entry)
    }

    async fn deliver(&self, deliveries: &[Delivery<()>]) -> Vec<Answer> {
        self.0.deliver(deliveries).await
    }
}

impl Subject for Happened {
    type Sink = Happenings;

    fn row(&self) -> Row {
        Row { attempts_max: None, ..Counting::row() }
    }

    fn sink(&self, _world: &World) -> Happenings {
        Happenings(Counting::default())
    }
}

fn update(number: usize) -> NewRecord {
    let event = serde_json::json!({
        "id": format!("u{number}"), "eventType": "contact.updated",
        "timestamp": format!("2026-11-21T11:00:{number:02}Z"),
        "data": { "id": "c0", "firstName": format!("another {number}") },
    });
    NewRecord {
        key: b"c0".to_vec(),
        value: Some(event.to_string().into_bytes()),
        timestamp_ms: i64::try_from(now_ms()).unwrap(),
        ..NewRecord::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_lost_place_what_the_journal_still_has_is_told() {
    let world = World::with(forgetful);
    let mut node = world.node(&Happened, 1);
    world.owe(&Happened, 0..1).await;
    world.told_all(&mut node, 1).await;
    let key = world.told()[0].key.clone();
    world.set(Mode::Refuses(key.clone()));
    world.append(vec![update(1)]).await;
    let lost = world.follower.reader.position();
    let mut number = 1;
    while world.follower.reader.entries_after(&lost).unwrap().1 {
        world.owe(&Happened, number..number + 50).await;
        number += 50;
        assert!(number < 100_000, "the journal forgets nothing");
        world.told_all(&mut node, number).await;
    }
    world.append(vec![update(2)]).await;
    let list = Arc::clone(&node.followers);
    let name = Happened.row().name;
    let is_read = |_: &World| {
        let shown = list.show(&name).unwrap();
        (shown.lag_records, shown.waiting) == (Some(0), 1)
    };
    world.turns(&mut node, "all is read", is_read).await;
    node.engine.end().await;
    drop(node);
    world.set(Mode::Up);
    let mut node = world.node(&Happened, 1);
    let is_told =
        |world: &World| world.told().iter().any(|told| told.key == key && told.version == 3);
    world.turns(&mut node, "the newest is told", is_told).await;
    let list = Arc::clone(&node.followers);
    assert_eq!(list.show(&name).unwrap().overruns, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_kept_for_what_is_written_down_until_it_is_known_who_follows() {
    let world = World::with(forgetful);
    let reader: &Reader = &world.follower.reader;
    let ledger = serde_json::json!({ "position": reader.position().encode() });
    let write = ControlWrite {
        key: "follower/one".to_owned(),
        value: Some(ledger.to_string().into_bytes()),
        ..ControlWrite::default()
    };
    world.control.put(write).await.unwrap();
    let has_all = || reader.earliest_position().unwrap().0.next.is_empty();
    let mut number = 0;
    for _ in 0..40 {
        world.owe(&Counted, number..number + 50).await;
        number += 50;
        assert!(has_all(), "after {number} records");
    }
    reader.followers_are(Vec::new());
    until("it is forgotten", async || {
        world.owe(&Counted, number..number + 1).await;
        number += 1;
        !has_all()
    })
    .await;
}

/// Its role is taken by another while it delivers.
struct Robbed;

/// Its sink.
struct Robbing(Counting, Arc<Control>);

impl Sink for Robbing {
    type Item = ();

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<()>> {
        self.0.pick(entry)
    }

    async fn deliver(&self, deliveries: &[Delivery<()>]) -> Vec<Answer> {
        let write = ControlWrite {
            key: format!("follower_role/{}", Counting::row().name),
            value: Some(format!("{{\"owner\":\"{}\"}}", deliveries[0].tenure).into_bytes()),
            ..ControlWrite::default()
        };
        self.1.put(write).await.unwrap();
        self.0.deliver(deliveries).await
    }
}

impl Subject for Robbed {
    type Sink = Robbing;

    fn row(&self) -> Row {
        Row { at_once: 1, ..Counting::row() }
    }

    fn sink(&self, world: &World) -> Robbing {
        Robbing(Counting::default(), Arc::clone(&world.control))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_any_more_delivers_nothing_though_the_lease_holds() {
    let world = World::new();
    let mut node = world.node(&Robbed, 1);
    world.owe(&Robbed, 0..3).await;
    node.engine.turn().await;
    assert_eq!(world.told().len(), 1, "the rest is another's");
    assert!(node.lease.is_held());
    assert!(!node.followers.show(&Robbed.row().name).unwrap().is_here);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_to_park_nothing_is_delivered_and_nothing_twice() {
    let world = World::new();
    let mut node = world.node(&Counted, 1);
    let name = Counted.row().name;
    world.owe(&Counted, 0..3).await;
    world.told_all(&mut node, 3).await;
    let parked = |number: usize, value: Option<&[u8]>| ControlWrite {
        key: format!("follower_parked/{name}/0:{number:04}"),
        value: value.map(<[u8]>::to_vec),
        ..ControlWrite::default()
    };
    let puts = (0..1_000).map(|number| world.control.put(parked(number, Some(b"{}"))));
    for put in join_all(puts).await {
        put.unwrap();
    }
    world.owe(&Counted, 3..5).await;
    for _ in 0..3 {
        node.engine.turn().await;
        world.time.pass(Duration::from_secs(1));
    }
    let shown = node.followers.show(&name).unwrap();
    assert_eq!((world.told().len(), shown.state, shown.is_here), (3, "stalled", true));
    world.control.put(parked(0, None)).await.unwrap();
    world.told_all(&mut node, 5).await;
    assert_eq!(world.told().len(), 5, "nothing comes twice");
}
