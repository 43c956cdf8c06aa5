//! The heap file against a model, and when its files fail.

use std::collections::BTreeMap;

use super::super::codec::{ChangeRef, id_hash};
use super::super::disk::free_bytes;
use super::super::engine::VALUE_BYTES_MAX;
use super::*;
use crate::domain::limits::ID_BYTES_MAX;

const SEGMENT_BYTES_MIN: u64 = Bounds::SMALL.heap_segment_bytes_min;

struct Bench {
    heap: Heap,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { heap: Heap::new(dir.path().join("heap"), 0, Bounds::SMALL), dir }
    }

    fn put(&self, contacts: &[(&str, &StoredContact)]) {
        self.heap.fill(|filler| {
            for (id, value) in contacts {
                filler.put(id_hash(id.as_bytes()), id.as_bytes(), value.bytes());
                filler.write_much();
            }
        });
    }

    fn place(&self, id: &str) -> HeapAddress {
        match self.heap.find(id_hash(id.as_bytes())) {
            Location::At(place) => place,
            other => panic!("{id} is {other:?}"),
        }
    }

    fn read(&self, id: &str) -> Option<StoredContact> {
        self.heap.read_whole(self.place(id), id_hash(id.as_bytes()), id.as_bytes())
    }

    /// Paths of the segments, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.dir.path().join("heap")).into_iter().flatten();
        let mut found: Vec<_> = found.map(|at| at.unwrap().path()).collect();
        found.sort();
        found
    }
}

fn value(text: &str) -> StoredContact {
    StoredContact::build(ChangeRef(7), text.as_bytes(), &mut Vec::new())
}

/// Inverts a byte of a segment.
fn damage(path: &Path, offset: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

#[test]
fn what_was_put_last_is_read_and_room_is_taken_for_little_more() {
    let bench = Bench::new();
    let mut random = fastrand::Rng::with_seed(3);
    let mut model = BTreeMap::<String, StoredContact>::new();
    let mut removed = 0;
    for _ in 0..400 {
        let some: Vec<_> = (0..random.usize(0..60))
            .map(|_| {
                let id = format!("contact-{}", random.u32(0..150));
                (id, value(&random.alphanumeric().to_string().repeat(random.usize(0..700))))
            })
            .collect();
        let before = bench.segments();
        bench.put(&some.iter().map(|(id, value)| (id.as_str(), value)).collect::<Vec<_>>());
        model.extend(some);
        removed += before.iter().filter(|path| !path.exists()).count();
        for (id, value) in &model {
            assert_eq!(bench.read(id).as_ref(), Some(value), "{id}");
            if let Some(found) = bench.heap.read_at_once(bench.place(id), id.as_bytes()) {
                assert_eq!(found, *value, "{id}");
            }
        }
        let live: u64 = model.keys().map(|id| bench.place(id).len() as u64).sum();
        let on_disk = bench.segments().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert_eq!(bench.heap.stats(), HeapStats { bytes: on_disk, failures: 0 });
        assert!(on_disk <= 2 * live + 2 * SEGMENT_BYTES_MIN, "{on_disk} bytes for {live}");
    }
    assert!(removed > 100, "{removed} segments were emptied");
    assert_eq!(bench.heap.find(id_hash(b"nobody")), Location::Nowhere);
}

#[test]
fn a_place_that_was_left_shows_nobody_else() {
    let bench = Bench::new();
    bench.put(&[("ada", &value("first"))]);
    let first = bench.place("ada");
    let hash = id_hash(b"ada");
    for _ in 0..5 * SEGMENT_BYTES_MIN / 1_000 {
        bench.put(&[("ada", &value(&"next".repeat(250)))]);
        let found = bench.heap.read_whole(first, hash, b"ada");
        assert!(found.is_none_or(|found| found == value("first")));
    }
    assert!(bench.heap.read_whole(first, hash, b"ada").is_none(), "its segment is gone");
    assert_eq!(bench.heap.stats().failures, 0);
}

#[test]
fn of_two_ids_with_one_hash_the_engine_answers_for_the_earlier() {
    let bench = Bench::new();
    bench.heap.fill(|filler| {
        filler.put(1, b"ada", value("ada's").bytes());
        filler.put(1, b"grace", value("grace's").bytes());
    });
    let Location::At(place) = bench.heap.find(1) else {
        panic!("nothing is there");
    };
    assert_eq!(bench.heap.read_whole(place, 1, b"ada"), None);
    assert_eq!(bench.heap.read_at_once(place, b"ada"), None);
    assert_eq!(bench.heap.read_whole(place, 1, b"grace"), Some(value("grace's")));
    assert_eq!(bench.heap.stats().failures, 0);
}

#[test]
fn many_contacts_make_larger_segments_and_not_more() {
    let bench = Bench::new();
    let large = value(&"x".repeat(SEGMENT_BYTES_MIN as usize / 4));
    let ids: Vec<_> = (0..2_000).map(|n| format!("contact-{n}")).collect();
    for some in ids.chunks(100) {
        bench.put(&some.iter().map(|id| (id.as_str(), &large)).collect::<Vec<_>>());
    }
    let segments = bench.segments().len();
    assert!((20..250).contains(&segments), "{segments} segments");
    assert!(ids.iter().all(|id| bench.read(id).as_ref() == Some(&large)));
}

#[test]
fn the_largest_contacts_fit() {
    let bench = Bench::new();
    let id = "i".repeat(ID_BYTES_MAX);
    let largest = value(&"v".repeat(VALUE_BYTES_MAX - value("").bytes().len()));
    bench.put(&[("ada", &value("small")), (&id, &largest), ("grace", &value("small"))]);
    assert_eq!(bench.read(&id), Some(largest));
    assert_eq!(bench.read("grace"), Some(value("small")));
}

#[test]
fn damage_is_noticed_and_met_once() {
    let bench = Bench::new();
    bench.put(&[("ada", &value("ada's")), ("grace", &value("grace's"))]);
    let place = bench.place("ada");
    for offset in 0..(14 + "ada".len() + value("ada's").bytes().len()) as u64 {
        let bench = Bench::new();
        bench.put(&[("ada", &value("ada's"))]);
        damage(&bench.segments()[0], offset);
        assert_eq!(bench.read("ada"), None, "byte {offset}");
    }
    damage(&bench.segments()[0], place.offset() + 30);
    assert_eq!(bench.heap.read_at_once(place, b"ada"), None);
    assert_eq!(bench.read("ada"), None);
    assert_eq!(bench.heap.find(id_hash(b"ada")), Location::InEngine);
    assert_eq!(bench.heap.stats().failures, 1);
    assert_eq!(bench.read("grace"), Some(value("grace's")));
}

#[test]
fn what_damage_hides_from_the_copying_is_left_to_the_engine() {
    let bench = Bench::new();
    let (large, small) = (value(&"x".repeat(900)), value("x"));
    let ids: Vec<_> = (0..48).map(|n| format!("contact-{n:02}")).collect();
    bench.put(&ids.iter().map(|id| (id.as_str(), &large)).collect::<Vec<_>>());
    let first = bench.segments()[0].clone();
    damage(&first, 100);
    // One contact of each segment stays; all of them are to be copied.
    let stays = |id: &&String| bench.place(id).offset() == bench.place(&ids[1]).offset();
    let stay: Vec<_> = ids.iter().filter(stays).collect();
    let change: Vec<_> = ids.iter().filter(|id| !stays(id)).collect();
    bench.put(&change.iter().map(|id| (id.as_str(), &small)).collect::<Vec<_>>());
    assert!(stay.len() > 8 && !first.exists());
    assert_eq!(bench.heap.find(id_hash(ids[1].as_bytes())), Location::InEngine);
    assert!(stay[1..].iter().all(|id| bench.read(id).as_ref() == Some(&large)));
    assert!(change.iter().all(|id| bench.read(id).as_ref() == Some(&small)));
    assert_eq!(bench.heap.stats().failures, 1);
}

#[test]
fn without_room_contacts_are_left_to_the_engine_until_there_is_some() {
    let mut bench = Bench::new();
    let large = value(&"x".repeat(SEGMENT_BYTES_MIN as usize));
    bench.put(&[("ada", &value("first"))]);
    let free = free_bytes(bench.dir.path()).unwrap();
    for reserve_bytes in [free, u64::MAX] {
        bench.heap.reserve_bytes = reserve_bytes;
        bench.put(&[("ada", &large), ("grace", &large)]);
        for id in ["ada", "grace"] {
            assert_eq!(bench.heap.find(id_hash(id.as_bytes())), Location::InEngine, "{id}");
        }
    }
    assert!(bench.heap.stats().failures > 0);
    bench.heap.reserve_bytes = 0;
    bench.put(&[("ada", &large)]);
    assert_eq!(bench.read("ada"), Some(large));
    assert_eq!(bench.heap.find(id_hash(b"grace")), Location::InEngine);
}

#[test]
fn what_cannot_be_written_is_left_to_the_engine_and_the_rest_stays() {
    let bench = Bench::new();
    let dir = bench.dir.path().join("heap");
    bench.put(&[("ada", &value("first"))]);
    // The next segment can't be made.
    std::fs::create_dir(dir.join("00000001.heap")).unwrap();
    let large = value(&"x".repeat(SEGMENT_BYTES_MIN as usize));
    bench.put(&[("grace", &large), ("edsger", &value("small"))]);
    assert_eq!(bench.heap.find(id_hash(b"grace")), Location::InEngine);
    assert_eq!(bench.read("ada"), Some(value("first")));
    assert_eq!(bench.read("edsger"), Some(value("small")), "the next one can");
    assert_eq!(bench.heap.stats().failures, 1);
}

#[test]
fn what_an_earlier_process_left_is_removed_and_so_is_this_ones_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heap");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("00000000.heap"), "old").unwrap();
    Heap::remove_left(&path);
    assert!(!path.exists());
    let heap = Heap::new(path.clone(), 0, Bounds::SMALL);
    heap.fill(|filler| filler.put(1, b"ada", value("ada's").bytes()));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    drop(heap);
    assert!(!path.exists());
}

#[test]
fn one_that_is_off_leaves_all_to_the_engine() {
    let heap = Heap::off();
    heap.fill(|filler| filler.put(1, b"ada", value("ada's").bytes()));
    assert_eq!((heap.find(1), heap.find(2)), (Location::InEngine, Location::InEngine));
    assert_eq!(heap.stats(), HeapStats::default());
}

#[test]
fn what_the_page_cache_holds_is_read_at_once() {
    let bench = Bench::new();
    bench.put(&[("ada", &value("ada's"))]);
    let place = bench.place("ada");
    let file = bench.heap.files.read()[&place.segment()].clone();
    match read_cached(&file, &mut vec![0; place.len()], place.offset()) {
        Ok(()) => {
            let found = bench.heap.read_at_once(place, b"ada");
            assert_eq!(found, Some(value("ada's")));
        }
        // As file systems may that can't say: every read is then one that may wait.
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            eprintln!("SKIPPED: this file system does not say what the page cache holds");
        }
    }
}

#[test]
fn readers_beside_the_filling_find_every_contact_as_it_was_or_is() {
    let bench = Bench::new();
    let ids: Vec<_> = (0..20).map(|n| format!("contact-{n}")).collect();
    let all = |n: usize| value(&format!("{n}-").repeat(40));
    let put_all = |n| {
        let value = all(n);
        bench.put(&ids.iter().map(|id| (id.as_str(), &value)).collect::<Vec<_>>());
    };
    put_all(0);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let rounds = 2_000;
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0_u64;
            while reads == 0 || !is_over.load(Ordering::Relaxed) {
                for id in &ids {
                    let place = bench.place(id);
                    let hash = id_hash(id.as_bytes());
                    let (heap, id) = (&bench.heap, id.as_bytes());
                    // None: the place was left meanwhile, and the engine would answer.
                    let both = [heap.read_whole(place, hash, id), heap.read_at_once(place, id)];
                    for found in both.into_iter().flatten() {
                        let text = String::from_utf8_lossy(found.body()).into_owned();
                        let n = text.split('-').next().unwrap().parse().unwrap();
                        assert_eq!(found, all(n));
                        reads += 1;
                    }
                }
            }
            reads
        });
        for n in 1..=rounds {
            put_all(n);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
    });
    assert_eq!(bench.heap.stats().failures, 0);
    for id in &ids {
        assert_eq!(bench.read(id), Some(all(rounds)));
    }
}
