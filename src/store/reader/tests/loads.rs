//! Loads, in which the lists are put off.

use std::sync::atomic::AtomicU32;

use super::*;
use crate::store::codec;
use crate::store::heap::Location;

impl Bench {
    /// Many new contacts at once, as the first load brings them.
    fn load(&mut self, contacts: std::ops::Range<u32>) {
        for n in contacts {
            self.stage(EventKind::Created, &format!("contact-{n:04}"), &[(FIRST_NAME, "Ada")]);
        }
        self.commit();
        self.checkpoint();
    }

    fn are_put_off(&self) -> bool {
        self.reader.shared().ordered.are_put_off()
    }

    fn listed(&self) -> usize {
        walk(&self.reader, request(SortOrder::Name, false, None)).len()
    }
}

/// A store in which a generation of some hundred contacts is one of a load.
fn small() -> Bench {
    Bench::new(|options| options.dirty_bytes_max = 100_000)
}

#[test]
fn a_list_that_was_put_off_is_whole_for_whoever_asks() {
    let mut bench = small();
    bench.load(0..500);
    assert!(bench.are_put_off());
    let mut random = fastrand::Rng::with_seed(1);
    bench.random_batch(&mut random, 600);
    assert_eq!(bench.listed(), bench.model.len());
    assert!(!bench.are_put_off());
    bench.random_batch(&mut random, 600);
    assert_eq!(bench.listed(), bench.model.len());
}

#[test]
fn lists_that_are_asked_for_are_kept() {
    let mut bench = small();
    bench.load(0..2_000);
    assert_eq!(bench.listed(), 2_000);
    // As many again would be less work anew, whoever asks.
    bench.load(2_000..2_150);
    assert!(!bench.are_put_off());
    bench.load(2_150..2_300);
    assert!(bench.are_put_off(), "nobody asked since the last checkpoint");
    assert_eq!(bench.listed(), 2_300);
}

#[test]
fn lists_that_are_put_off_while_someone_asks_are_not_shown_empty() {
    let mut bench = small();
    bench.load(0..500);
    assert_eq!(bench.listed(), 500);
    bench.load(500..700);
    bench.load(700..900);
    assert!(bench.are_put_off());
    // As one who saw how far commits had come before these.
    let shared = bench.reader.shared();
    let lists = shared.ordered.lists(&shared.contacts.dirty, 0).unwrap();
    let request = PageRequest { limit: 1_000, ..PageRequest::default() };
    assert_eq!(lists.page(&request).keys.len(), 900);
}

#[test]
fn lists_are_made_in_the_background_when_little_comes_after_a_load() {
    let mut bench = small();
    bench.load(0..500);
    bench.checkpoint();
    assert!(bench.are_put_off(), "it may go on");
    bench.stage(EventKind::Created, "another", &[]);
    bench.commit();
    bench.checkpoint();
    assert!(!bench.are_put_off());
    assert_eq!(bench.listed(), 501);
}

#[test]
fn lists_are_made_in_the_background_once_nothing_comes_for_a_while() {
    let bounds = Bounds { pause: Duration::from_millis(10), ..Bounds::SMALL };
    let mut bench = Bench::within(bounds, |options| options.dirty_bytes_max = 100_000);
    bench.load(0..500);
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.are_put_off() {
        assert!(Instant::now() < deadline, "they are still put off");
        std::thread::yield_now();
    }
    assert_eq!(bench.listed(), 500);
}

#[test]
fn a_new_contact_is_not_looked_for_and_a_known_one_is_found_without_the_engine() {
    let mut bench = small();
    bench.load(0..300);
    bench.reopen();
    bench.load(300..600);
    let found =
        |id: &str| bench.reader.shared().contacts.heap().find(codec::id_hash(id.as_bytes()));
    assert!((0..600).all(|n| matches!(found(&format!("contact-{n:04}")), Location::At(_))));
    assert!((0..600).all(|n| found(&format!("another-{n:04}")) == Location::Nowhere));
    for (id, bodies) in &bench.model {
        let value = bench.reader.contact(id.as_bytes()).unwrap().unwrap();
        assert_eq!(value.body(), bodies.last().unwrap().as_slice(), "{id}");
    }
    assert_eq!(bench.reader.stats().unwrap().heap.failures, 0);
}

#[test]
fn without_the_heap_file_the_engine_answers() {
    let mut bench = small();
    bench.load(0..300);
    for segment in std::fs::read_dir(bench.options.heap_dir()).unwrap() {
        let file = std::fs::OpenOptions::new().write(true).open(segment.unwrap().path()).unwrap();
        file.set_len(0).unwrap();
    }
    assert_eq!(bench.listed(), 300);
    let mut random = fastrand::Rng::with_seed(2);
    bench.random_batch(&mut random, 300);
    bench.checkpoint();
    for (id, bodies) in &bench.model {
        let value = bench.reader.contact(id.as_bytes()).unwrap().unwrap();
        assert_eq!(value.body(), bodies.last().unwrap().as_slice(), "{id}");
    }
    assert!(bench.reader.stats().unwrap().heap.failures >= 299);
}

#[test]
fn what_the_clock_flushes_is_no_load() {
    let mut bench = Bench::new(|_| {});
    bench.load(0..500);
    assert!(!bench.are_put_off());
}

#[test]
fn readers_who_race_a_load_miss_no_contact() {
    const CONTACTS: u32 = 6_000;
    let mut bench = Bench::new(|options| {
        options.dirty_bytes_max = 60_000;
        options.checkpoint_interval = Duration::from_millis(1);
    });
    let reader = bench.reader.clone();
    let (committed, put_offs) = (AtomicU32::new(0), AtomicU32::new(0));
    let is_loading = || committed.load(Ordering::Acquire) < CONTACTS;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(4);
            while is_loading() {
                let there = committed.load(Ordering::Acquire);
                // Mostly one of the newest, which are on their way into the engine.
                let oldest = there.saturating_sub(1_000);
                let n = random.u32(oldest..there.max(1));
                let found = reader.contact(format!("contact-{n:04}").as_bytes()).unwrap();
                assert!(found.is_some() || there == 0, "contact-{n:04} of {there}");
                let ordered = &reader.shared().ordered;
                put_offs.fetch_add(u32::from(ordered.are_put_off()), Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while is_loading() {
                let before = committed.load(Ordering::Acquire) as usize;
                let request = PageRequest { limit: 100_000, ..PageRequest::default() };
                let listed = reader.page(&request).unwrap().contacts.len();
                assert!(listed >= before, "{listed} of {before}");
                // So that there are generations that nobody asks about.
                let checkpoints =
                    || reader.shared().figures.checkpoint_number.load(Ordering::Relaxed);
                let seen = checkpoints();
                while is_loading() && checkpoints() <= seen + 3 {
                    std::thread::yield_now();
                }
            }
        });
        for first in (0..CONTACTS).step_by(50) {
            for n in first..first + 50 {
                bench.stage(EventKind::Created, &format!("contact-{n:04}"), &[(FIRST_NAME, "Ada")]);
            }
            bench.commit();
            committed.store(first + 50, Ordering::Release);
        }
    });
    assert!(put_offs.into_inner() > 0, "no list was ever put off");
    assert_eq!(bench.listed(), CONTACTS as usize);
}
