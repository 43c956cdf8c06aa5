//! Bringing records home, as a follower.

use std::collections::BTreeMap;

use contactd::domain::partitioner::Partitioner;
use contactd::domain::position::{Lane, NextOffset, Position};
use contactd::effects::follower::Row;
use contactd::effects::rehoming::Rehoming;
use contactd::event_log::NewRecord;
use contactd::ingest::ControlWrite;

use super::Counted;
use super::suite::{self, forgetful};
use super::world::{Subject, World, until};
use crate::support::logs::LANES;

struct Strays;

impl Subject for Strays {
    type Sink = Rehoming;

    fn row(&self) -> Row {
        Rehoming::row()
    }

    fn sink(&self, world: &World) -> Rehoming {
        let (log, reader) = (world.follower.log.clone(), world.follower.reader.clone());
        Rehoming::new(log, "contacts".to_owned(), reader)
    }

    fn record(&self, number: usize) -> NewRecord {
        let at_home = Counted.record(number);
        let home = Partitioner::Murmur2.lane(&at_home.key, LANES);
        NewRecord { lane: Some(Lane((home.0 + 1) % LANES)), ..at_home }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bringing_records_home_keeps_all_promises() {
    suite::run(Strays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_waits_for_what_is_away_from_home_and_for_nothing_else() {
    let world = World::with(forgetful);
    let reader = world.follower.reader.clone();
    let has_all = || reader.earliest_position().unwrap().0.next.is_empty();
    world.owe(&Strays, 0..1).await;
    // Another has brought one of a lane of which nothing is applied here: that was not this one.
    let away = Strays.record(0).lane.unwrap();
    let elsewhere = BTreeMap::from([(Lane((away.0 + 1) % LANES), NextOffset(1_000_000))]);
    let position = Position::of_lanes(reader.position().log, elsewhere).encode();
    let ledger = serde_json::json!({ "position": position, "count": 1, "founding": 1 });
    let write = ControlWrite {
        key: "follower/rehoming".to_owned(),
        value: Some(ledger.to_string().into_bytes()),
        ..ControlWrite::default()
    };
    world.control.put(write).await.unwrap();
    let mut number = 1;
    for _ in 0..40 {
        world.owe(&Counted, number..number + 50).await;
        number += 50;
        assert!(has_all(), "after {number} records, and nobody has begun");
    }
    let mut node = world.node(&Strays, 1);
    world.told_all(&mut node, 1).await;
    node.engine.end().await;
    // No turn is taken, so nothing more is written down.
    until("it is forgotten", async || {
        world.owe(&Counted, number..number + 1).await;
        number += 1;
        !has_all()
    })
    .await;
}
