//! What holds for every follower, whatever its sink.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contactd::config::JournalRetention;
use contactd::domain::position::Position;
use contactd::effects::follower::{FollowerError, Followers, ReplayFrom, Sink as _};
use contactd::store::StoreConfig;

use super::world::{Mode, Node, Subject, Told, World, by};

/// All of it.
pub async fn run<S: Subject>(subject: S) {
    a_kill_loses_nothing_and_ids_stay(&subject).await;
    an_outage_uses_up_no_attempts(&subject).await;
    a_refused_change_is_parked_and_redriven(&subject).await;
    a_clock_an_hour_off_makes_no_second_owner(&subject).await;
    a_holder_that_stopped_for_a_minute_delivers_nothing(&subject).await;
    an_overrun_is_told_and_passed(&subject).await;
    a_replay_tells_all_again(&subject).await;
    of_two_instances_one_delivers(&subject).await;
    pause_resume_and_skip_are_obeyed(&subject).await;
    an_idle_follower_writes_nothing(&subject).await;
}

async fn a_kill_loses_nothing_and_ids_stay<S: Subject>(subject: &S) {
    let world = World::new();
    world.owe(subject, 0..20).await;
    let mut first = world.node(subject, 1);
    first.engine.turn().await;
    let before = world.told();
    assert!(!before.is_empty());
    // Nothing was written down that it delivered.
    drop(first);
    world.owe(subject, 20..30).await;
    let mut second = world.node(subject, 1);
    world.time.pass(Duration::from_secs(20));
    world.told_all(&mut second, 30).await;
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for told in world.told() {
        ids.entry(told.key).or_default().insert(told.id);
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    assert_eq!(ids.values().flatten().collect::<BTreeSet<_>>().len(), 30);
    assert!(world.told().len() > 30, "the first ones came twice");
}

async fn an_outage_uses_up_no_attempts<S: Subject>(subject: &S) {
    let world = World::new();
    let mut node = world.node(subject, 1);
    node.engine.turn().await;
    world.set(Mode::Down);
    world.owe(subject, 0..5).await;
    for _ in 0..60 {
        let rest = node.engine.turn().await;
        world.time.pass(rest.at_most.max(Duration::from_secs(5)));
    }
    let revision = world.revision(&subject.row());
    assert!(revision <= 3, "an outage is told once, not {revision} times");
    let shown = node.followers.show(&subject.row().name).unwrap();
    assert_eq!((shown.state, shown.parked), ("stalled", 0), "{shown:?}");
    assert!(shown.trouble.unwrap().0.contains("switched off"));
    world.set(Mode::Up);
    world.told_all(&mut node, 5).await;
    let shown = node.followers.show(&subject.row().name).unwrap();
    assert_eq!((shown.state, shown.parked, shown.is_here), ("running", 0, true));
}

async fn a_refused_change_is_parked_and_redriven<S: Subject>(subject: &S) {
    let world = World::new();
    let mut node = world.node(subject, 1);
    let name = subject.row().name;
    world.owe(subject, 0..1).await;
    world.told_all(&mut node, 1).await;
    let key = world.told()[0].key.clone();
    world.shared.told.lock().clear();
    let earliest = world.follower.reader.earliest_position().unwrap().0;
    world.set(Mode::Refuses(key.clone()));
    node.followers.replay(&name, ReplayFrom::Position(earliest), &by()).await.unwrap();
    world.owe(subject, 1..4).await;
    world.told_all(&mut node, 3).await;
    assert!(!world.keys().contains(&key), "the others are not held up");
    let Some(_) = subject.row().attempts_max else {
        // It is tried for ever, and named.
        let shown = node.followers.show(&name).unwrap();
        assert_eq!((shown.state, shown.parked), ("stalled", 0));
        assert_eq!(shown.trouble.unwrap().0, "not this one");
        world.set(Mode::Up);
        return world.told_all(&mut node, 4).await;
    };
    let parked = |followers: &Followers| followers.parked(&name, None, 10).unwrap();
    let list = Arc::clone(&node.followers);
    world.turns(&mut node, "it is parked", |_| !parked(&list).is_empty()).await;
    let [change] = parked(&list).try_into().unwrap();
    assert_eq!((&change.key, change.why.as_str()), (&key, "not this one"));
    assert_eq!(Some(change.attempts), subject.row().attempts_max);
    world.set(Mode::Up);
    list.redrive(&name, &change.id, &by()).await.unwrap();
    world.told_all(&mut node, 4).await;
    assert!(parked(&list).is_empty());
    let unknown = list.redrive(&name, &change.id, &by()).await.unwrap_err();
    assert!(matches!(unknown, FollowerError::NotParked));
}

async fn a_clock_an_hour_off_makes_no_second_owner<S: Subject>(subject: &S) {
    let world = World::new();
    let hour = Duration::from_secs(3_600);
    let mut one = world.node_ahead(subject, 1, hour);
    let mut other = world.node(subject, 2);
    one.engine.turn().await;
    world.owe(subject, 0..10).await;
    other.engine.turn().await;
    assert!(world.told().is_empty(), "it is the other's");
    world.told_all(&mut one, 10).await;
    assert_eq!(world.told().len(), 10);
    // The one that is right takes over when the other is gone.
    drop(one);
    world.owe(subject, 10..12).await;
    world.time.pass(Duration::from_secs(20));
    world.told_all(&mut other, 12).await;
}

async fn a_holder_that_stopped_for_a_minute_delivers_nothing<S: Subject>(subject: &S) {
    let world = World::new();
    let (mut stopped, mut other) = (world.node(subject, 1), world.node(subject, 2));
    world.owe(subject, 0..3).await;
    world.told_all(&mut stopped, 3).await;
    let first = world.told()[0].tenure;
    other.engine.turn().await;
    assert_eq!(world.told().len(), 3);
    // It hears nothing, and neither does its lease.
    world.owe(subject, 3..6).await;
    world.time.pass(Duration::from_secs(14));
    other.engine.turn().await;
    assert_eq!(world.told().len(), 3, "it may be a moment late");
    world.time.pass(Duration::from_secs(2));
    world.told_all(&mut other, 6).await;
    let second = world.told().last().unwrap().tenure;
    assert!(second > first, "{first} and then {second}");
    world.time.pass(Duration::from_secs(44));
    let mut due = other.lease.next_due();
    world.time.pass(Duration::from_secs(5));
    other.lease.keep(&mut due).await;
    let before = world.told().len();
    world.owe(subject, 6..9).await;
    stopped.engine.turn().await;
    assert_eq!(world.told().len(), before, "it sees that it is another's now");
    world.told_all(&mut other, 9).await;
}

/// A store whose journal forgets soon.
pub fn forgetful(options: &mut StoreConfig) {
    options.checkpoint_interval = Duration::from_millis(20);
    options.snapshot_interval = Duration::from_millis(20);
    options.journal_segment_bytes = 4 << 10;
    options.journal_retention_bytes = JournalRetention::Bytes(8 << 10);
    options.journal_bytes_max = JournalRetention::Bytes(16 << 10);
}

async fn an_overrun_is_told_and_passed<S: Subject>(subject: &S) {
    if subject.row().holds_journal {
        return;
    }
    let world = World::with(forgetful);
    let mut node = world.node(subject, 1);
    world.owe(subject, 0..1).await;
    world.told_all(&mut node, 1).await;
    world.time.pass(Duration::from_secs(2));
    node.engine.turn().await;
    let name = subject.row().name;
    node.followers.pause(&name, &by()).await.unwrap();
    node.engine.turn().await;
    let position = node.followers.show(&name).unwrap().position.unwrap();
    let position = Position::decode(&position).unwrap();
    let mut number = 1;
    let earliest = loop {
        world.owe(subject, number..number + 50).await;
        number += 50;
        assert!(number < 100_000, "the journal forgets nothing");
        let from = ReplayFrom::Position(position.clone());
        match node.followers.replay(&name, from, &by()).await {
            Ok(_) => {}
            Err(FollowerError::Gone { earliest, time_ms }) => break (earliest, time_ms),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(earliest.0.next.values().any(|next| next.0 > 0) && earliest.1.is_some());
    node.followers.resume(&name, &by()).await.unwrap();
    world.owe(subject, number..number + 1).await;
    let list = Arc::clone(&node.followers);
    let is_done = |_: &World| {
        let shown = list.show(&name).unwrap();
        shown.overruns == 1
            && !shown.is_scanning
            && shown.lag_records == Some(0)
            && shown.waiting == 0
    };
    world.turns(&mut node, "the overrun is passed", is_done).await;
    if subject.sink(&world).tells_states() {
        world.told_all(&mut node, number + 1).await;
        assert!(world.told().iter().any(|told| told.is_coalesced));
    }
    assert_eq!(list.show(&name).unwrap().overruns, 1, "once");
}

async fn a_replay_tells_all_again<S: Subject>(subject: &S) {
    let world = World::new();
    let mut node = world.node(subject, 1);
    node.engine.turn().await;
    world.owe(subject, 0..5).await;
    world.told_all(&mut node, 5).await;
    let ids = |told: &[Told]| told.iter().map(|told| told.id.clone()).collect::<BTreeSet<_>>();
    let before = ids(&world.told());
    world.shared.told.lock().clear();
    let name = subject.row().name;
    let earliest = world.follower.reader.earliest_position().unwrap().0;
    node.followers.replay(&name, ReplayFrom::Position(earliest), &by()).await.unwrap();
    world.told_all(&mut node, 5).await;
    assert_eq!(ids(&world.told()), before, "under the ids that they had");
    world.shared.told.lock().clear();
    node.followers.replay(&name, ReplayFrom::Time(0), &by()).await.unwrap();
    world.told_all(&mut node, 5).await;
    let foreign = Position::of_lanes(1, BTreeMap::new());
    let refused = node.followers.replay(&name, ReplayFrom::Position(foreign), &by()).await;
    assert!(matches!(refused, Err(FollowerError::ForeignPosition)), "{refused:?}");
}

async fn of_two_instances_one_delivers<S: Subject>(subject: &S) {
    let world = World::new();
    let (mut one, mut other) = (world.node(subject, 1), world.node(subject, 2));
    one.engine.turn().await;
    for round in 0..10 {
        world.owe(subject, round * 3..round * 3 + 3).await;
        tokio::join!(one.engine.turn(), other.engine.turn());
        world.time.pass(Duration::from_secs(1));
        let mut due = one.lease.next_due();
        world.time.pass(Duration::from_secs(5));
        one.lease.keep(&mut due).await;
    }
    world.told_all(&mut one, 30).await;
    assert_eq!(world.told().len(), 30, "each once");
    // An orderly end hands it over.
    one.engine.end().await;
    world.owe(subject, 30..33).await;
    world.time.pass(Duration::from_secs(20));
    world.told_all(&mut other, 33).await;
    assert_eq!(world.told().len(), 33, "nothing is told twice");
}

async fn pause_resume_and_skip_are_obeyed<S: Subject>(subject: &S) {
    let world = World::new();
    let mut node = world.node(subject, 1);
    let name = subject.row().name;
    let early = node.followers.pause(&name, &by()).await;
    assert!(matches!(early, Err(FollowerError::NotBegun)), "{early:?}");
    node.engine.turn().await;
    node.followers.pause(&name, &by()).await.unwrap();
    world.owe(subject, 0..3).await;
    node.engine.turn().await;
    assert!(world.told().is_empty());
    let shown = node.followers.show(&name).unwrap();
    assert_eq!((shown.state, shown.paused.unwrap().0.as_str()), ("paused", "user:ada"));
    node.followers.skip(&name, None, &by()).await.unwrap();
    node.followers.resume(&name, &by()).await.unwrap();
    world.owe(subject, 3..5).await;
    world.told_all(&mut node, 2).await;
    assert_eq!(world.keys().len(), 2, "what was skipped is not told");
    let unknown = node.followers.pause("nobody", &by()).await;
    assert!(matches!(unknown, Err(FollowerError::NotFound)));
    let waits = node.followers.skip(&name, Some("no-such-contact"), &by()).await;
    assert!(matches!(waits, Err(FollowerError::NotWaiting)));
}

async fn an_idle_follower_writes_nothing<S: Subject>(subject: &S) {
    let world = World::new();
    let mut node = world.node(subject, 1);
    world.owe(subject, 0..1).await;
    world.told_all(&mut node, 1).await;
    let turns = async |node: &mut Node<S::Sink>, count: usize| {
        for _ in 0..count {
            let rest = node.engine.turn().await;
            world.time.pass(rest.at_most);
        }
    };
    // What it delivered may have made records, of which it is written down once that nothing is owed.
    turns(&mut node, 400).await;
    let revision = world.revision(&subject.row());
    turns(&mut node, 2_000).await;
    assert_eq!(world.revision(&subject.row()), revision);
}
