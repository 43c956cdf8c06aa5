//! The outbox where a file beside it can't be made: nothing is lost, and it goes on once it can.
//!
//! A directory stands where the file belongs, so that nobody can write it, root neither.

use std::thread::JoinHandle;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::domain::headers::COMMAND;
use crate::event_log::embedded::RECORD_BYTES_MAX;
use crate::ingest::tests::{LANES, open_log, wait_until};
use crate::telemetry::lines::Lines;

use super::*;

/// A contact log and an outbox before it.
struct World {
    log: EventLog,
    outbox: Arc<Outbox>,
    lines: Lines,
    /// Event ids' hashes of what the log never takes.
    refused: Arc<Mutex<Vec<u64>>>,
    runtime: Runtime,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (log, outbox) = (open_log(&dir.path().join("log")), open(&dir));
        let (lines, refused) = (Lines::default(), Arc::default());
        Self { log, outbox, lines, refused, runtime, dir }
    }

    fn keep(&self, record: NewRecord) -> Result<(), OutboxError> {
        self.runtime.block_on(self.outbox.keep(vec![record]))
    }

    /// Nobody can make the file from now on.
    fn block(&self, file: &str) {
        fs::create_dir(self.dir.path().join("outbox").join(file)).unwrap();
    }

    fn unblock(&self, file: &str) {
        fs::remove_dir(self.dir.path().join("outbox").join(file)).unwrap();
    }

    fn forward(&self) -> Forwarding {
        let (outbox, log, lines) = (Arc::clone(&self.outbox), self.log.clone(), self.lines.clone());
        let (stop, runtime) = (CancellationToken::new(), self.runtime.handle().clone());
        let (told, refused) = (stop.clone(), Arc::clone(&self.refused));
        let tell = move |hash, _why: &str| refused.lock().push(hash);
        let thread = std::thread::spawn(move || {
            let _inside = runtime.enter();
            lines.of(|| outbox.forward(&log, &runtime, &told, &tell)).unwrap();
        });
        Forwarding { stop, thread }
    }

    fn until_it_says(&self, words: &str) {
        wait_until(words, || self.lines.text().contains(words));
    }

    fn until_all_is_forwarded(&self) {
        wait_until("all is forwarded", || self.outbox.records() == 0);
    }

    fn on_the_log(&self) -> u64 {
        (0..LANES).map(|lane| self.log.watermarks(Lane(lane)).unwrap().high.0).sum()
    }

    /// As the next start finds it.
    fn open_again(&mut self) {
        self.outbox.shutdown().unwrap();
        let none = Arc::new(Outbox::open(&self.dir.path().join("none"), 1 << 20).unwrap());
        drop(std::mem::replace(&mut self.outbox, none));
        self.outbox = open(&self.dir);
    }
}

struct Forwarding {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Forwarding {
    fn end(self) {
        self.stop.cancel();
        self.thread.join().unwrap();
    }
}

fn open(dir: &TempDir) -> Arc<Outbox> {
    Arc::new(Outbox::open(&dir.path().join("outbox"), 64 << 20).unwrap())
}

fn record(number: u8) -> NewRecord {
    NewRecord { key: b"c1".to_vec(), value: Some(vec![number]), ..NewRecord::default() }
}

#[test]
fn without_its_cursor_more_is_forwarded_again_after_a_restart() {
    let mut world = World::new();
    for number in 0..3 {
        world.keep(record(number)).unwrap();
    }
    world.block("forwarded.new");
    let forwarding = world.forward();
    world.until_it_says("not written now");
    world.until_all_is_forwarded();
    forwarding.end();
    world.open_again();
    assert_eq!((world.outbox.records(), world.on_the_log()), (3, 3));
    world.unblock("forwarded.new");
    let forwarding = world.forward();
    world.until_all_is_forwarded();
    forwarding.end();
    world.open_again();
    assert_eq!((world.outbox.records(), world.on_the_log()), (0, 6));
}

#[test]
fn without_its_mark_nothing_is_forwarded_until_it_can_be_made() {
    let world = World::new();
    world.keep(record(0)).unwrap();
    world.block("handed-over.new");
    let forwarding = world.forward();
    world.until_it_says("the outbox waits for the contact log");
    assert_eq!((world.outbox.records(), world.on_the_log()), (1, 0));
    world.unblock("handed-over.new");
    world.until_all_is_forwarded();
    assert_eq!(world.on_the_log(), 1);
    forwarding.end();
}

/// A command so large that it fits into the outbox, and no more into the log with where its lane ends.
fn keep_the_largest(world: &World) {
    let headers = vec![(COMMAND.to_owned(), Some(b"update".to_vec()))];
    let of = |bytes: usize| {
        let mut value = br#"{"id":"e1","timestamp":"2026-11-21T10:00:00Z"}"#.to_vec();
        value.resize(bytes, b' ');
        NewRecord { value: Some(value), headers: headers.clone(), ..record(0) }
    };
    let mut kept = (0..200).map(|less| world.keep(of(RECORD_BYTES_MAX - less)));
    assert!(kept.any(|kept| kept.is_ok()));
}

#[test]
fn what_the_log_never_takes_waits_until_it_can_be_set_aside() {
    let world = World::new();
    keep_the_largest(&world);
    world.keep(record(1)).unwrap();
    world.block(REFUSED);
    let forwarding = world.forward();
    world.until_it_says("it is tried again");
    assert_eq!((world.outbox.records(), world.on_the_log()), (2, 0));
    assert!(world.refused.lock().is_empty());
    world.unblock(REFUSED);
    world.until_all_is_forwarded();
    forwarding.end();
    assert_eq!((world.on_the_log(), world.refused.lock().len()), (1, 1));
    let text = fs::read_to_string(world.dir.path().join("outbox").join(REFUSED)).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn what_the_log_will_never_take_is_kept_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), 1 << 20).unwrap();
    let why = LogError::Refused { topic: "contacts".into(), detail: "too large".into() };
    let record = NewRecord {
        key: b"c1".to_vec(),
        value: Some(b"{\xff}".to_vec()),
        headers: vec![("contactd_source".to_owned(), Some(b"acme".to_vec()))],
        timestamp_ms: 17,
        lane: None,
    };
    for _ in 0..2 {
        outbox.set_aside(&record, &why).unwrap();
    }
    let text = fs::read_to_string(dir.path().join(REFUSED)).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["keyBase64"], BASE64.encode("c1"));
    assert_eq!(lines[1]["valueBase64"], BASE64.encode(b"{\xff}"));
    assert_eq!(lines[1]["headersBase64"][0][0], "contactd_source");
    assert!(lines[1]["refused"].as_str().is_some_and(|why| why.contains("too large")));
    outbox.shutdown().unwrap();
}
