//! Readers against the applier and the checkpoints.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;

const CONTACTS: usize = 64;
/// The race goes on until so many generations have retired.
const CHECKPOINTS: u64 = 20;
/// Commits at most, should checkpoints be slow.
const COMMITS_MAX: u64 = 200_000;

/// What was committed of each contact, as readers may rely on it.
struct Floors([AtomicU64; CONTACTS]);

fn counted(value: &Value) -> u64 {
    let view = value.view().unwrap();
    view.field(TITLE).unwrap().parse().unwrap()
}

/// Reads at random; what was committed before a read began must be seen by it, and nothing older
/// than what the same reader has seen.
fn read_at_random(reader: &Reader, floors: &Floors, stop: &AtomicBool, seed: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = [0; CONTACTS];
    let mut reads = 0;
    while !stop.load(Ordering::Acquire) || reads < 10_000 {
        let n = random.usize(0..CONTACTS);
        let floor = floors.0[n].load(Ordering::Acquire).max(seen[n]);
        let id = format!("contact-{n:02}");
        let found = if random.u8(0..200) == 0 {
            by_page(reader, &id)
        } else {
            reader.contact(id.as_bytes()).unwrap()
        };
        if let Some(frame) = found.as_ref().map(|at| at.change().frame().0) {
            let seen = reader.commit_announced();
            let (commit, _) = reader.position_announced();
            assert!(frame < seen && frame < commit, "{id}");
        }
        let now = found.as_ref().map_or(0, counted);
        assert!(now >= floor, "{id} was {now}, {floor} had been committed or seen");
        seen[n] = now;
        reads += 1;
    }
    reads
}

fn by_page(reader: &Reader, id: &str) -> Option<Value> {
    let request = PageRequest { limit: CONTACTS, ..request(SortOrder::UpdatedAt, true, None) };
    let page = reader.page(&request).unwrap();
    let found = page.contacts.into_iter().find(|at| at.id == id)?;
    Some(found.value)
}

fn race(cache_bytes: u64, with_page_cache: bool) -> (u64, u64) {
    let mut bench = Bench::new(|options| {
        options.cache_bytes = cache_bytes;
        options.checkpoint_interval = Duration::from_millis(1);
    });
    if !with_page_cache {
        bench.wait_for_all();
    }
    let floors = Floors([const { AtomicU64::new(0) }; CONTACTS]);
    let stop = AtomicBool::new(false);
    let reader = bench.reader.clone();
    let reads = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|seed| {
                let (reader, floors, stop) = (&reader, &floors, &stop);
                scope.spawn(move || read_at_random(reader, floors, stop, seed))
            })
            .collect();
        let mut random = fastrand::Rng::with_seed(99);
        for commit in 1..=COMMITS_MAX {
            if reader.shared.figures.checkpoint_number.load(Ordering::Relaxed) >= CHECKPOINTS {
                break;
            }
            let some: Vec<usize> =
                (0..random.usize(1..6)).map(|_| random.usize(0..CONTACTS)).collect();
            for n in &some {
                let text = commit.to_string();
                bench.stage(EventKind::Updated, &format!("contact-{n:02}"), &[(TITLE, &text)]);
            }
            bench.commit();
            for n in some {
                floors.0[n].store(commit, Ordering::Release);
            }
        }
        stop.store(true, Ordering::Release);
        readers.into_iter().map(|at| at.join().unwrap()).sum()
    });
    let stats = reader.stats().unwrap();
    assert!(stats.checkpoint_number > 2, "{} checkpoints", stats.checkpoint_number);
    (reads, stats.cache.hits)
}

#[test]
fn readers_who_race_the_applier_find_nothing_stale() {
    let (reads, hits) = race(48 << 20, false);
    assert!(reads >= 30_000 && hits > 0, "{reads} reads, {hits} hits");
    // So small that fills and evictions never end.
    race(4_000, false);
    race(0, false);
    race(48 << 20, true);
}

/// Takes an export's lines and commits more each time it is given some.
struct CommitsMeanwhile<'b> {
    bench: &'b mut Bench,
    random: fastrand::Rng,
    lines: Vec<u8>,
    writes: u32,
}

impl io::Write for CommitsMeanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(bytes);
        self.writes += 1;
        for _ in 0..20 {
            self.bench.random_batch(&mut self.random, 6_000);
        }
        if self.writes.is_multiple_of(3) {
            self.bench.checkpoint();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_is_of_one_position_while_writes_go_on() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut bench = Bench::new(|_| {});
    for round in 0..700 {
        bench.random_batch(&mut random, 4_000);
        if round % 300 == 0 {
            bench.checkpoint();
        }
    }
    let reader = bench.reader.clone();
    for include_deleted in [true, false] {
        let expected = bench.model_lines(include_deleted);
        let position = reader.position();
        let mut out = CommitsMeanwhile {
            bench: &mut bench,
            random: random.fork(),
            lines: Vec::new(),
            writes: 0,
        };
        let report = reader.export(include_deleted, &mut out).unwrap();
        assert!(out.writes > 5, "{} writes", out.writes);
        assert!(String::from_utf8(out.lines).unwrap() == expected);
        assert_eq!(report.position, position);
        assert_eq!(report.contacts, expected.lines().count() as u64);
        assert_ne!(reader.position(), position);
    }
}

#[test]
fn pages_while_commits_go_on_neither_skip_nor_repeat_what_stayed() {
    let mut random = fastrand::Rng::with_seed(31);
    let mut bench = Bench::new(|_| {});
    for n in 0..300 {
        bench.stage(
            EventKind::Created,
            &format!("still-{n:04}"),
            &[(COMPANY, &format!("c{}", n % 7))],
        );
    }
    bench.commit();
    for order in SortOrder::ALL {
        for descending in [false, true] {
            let mut request = request(order, descending, None);
            let mut still = Vec::new();
            let mut pages = 0;
            loop {
                let page = bench.reader.page(&request).unwrap();
                let Some(last) = page.contacts.last() else {
                    break;
                };
                request.after = Some(last.key.clone());
                let ids = page.contacts.into_iter().map(|at| at.id);
                still.extend(ids.filter(|id| id.starts_with("still")));
                // By updatedAt what changes goes to the end: the walk must be let there at last.
                pages += 1;
                if pages < 60 {
                    bench.random_batch(&mut random, 500);
                }
                if pages % 20 == 0 {
                    bench.checkpoint();
                }
            }
            assert_eq!(still.len(), 300, "{order:?} {descending}");
            still.sort();
            still.dedup();
            assert_eq!(still.len(), 300, "{order:?} {descending}");
        }
    }
}

#[tokio::test]
async fn who_waits_for_a_position_is_told_when_it_can_be_read() {
    let mut bench = Bench::new(|_| {});
    let mut wanted = bench.reader.position();
    wanted.next.insert(Lane(0), NextOffset(2));
    let reader = bench.reader.clone();
    let waiting = async {
        reader.wait_for(&wanted).await.unwrap();
        reader.contact(b"b").unwrap().is_some()
    };
    tokio::pin!(waiting);
    bench.stage(EventKind::Created, "a", &[]);
    bench.commit();
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it was told too early"),
        () = tokio::task::yield_now() => {}
    }
    bench.stage(EventKind::Created, "b", &[]);
    bench.commit();
    assert!(waiting.await);
}
