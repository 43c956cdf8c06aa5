//! Damage, above all such as sled does not notice: zeroed pages of its file. It must be seen at the
//! opening, and the engine filled again from snapshot and journal; no answer may ever come from a
//! damaged page, and what nothing can bring back is refused.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::outage::segments;
use crate::seed;
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::load::Load;
use crate::support::logs::TestLog;
use crate::support::node::Node;

const RECORDS: usize = 2_000;
const DEAD_LETTERS: usize = 8;
const CONTACTS: u32 = 400;
const ROUNDS: usize = 20;
const PAGE: usize = 4096;

/// Two stores of one log with what they hold: one with its whole journal, and one without the
/// journal's beginning, so that only a snapshot brings its old contacts back.
struct Sound {
    dir: tempfile::TempDir,
    stores: [(Node, Image); 2],
}

impl Sound {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = TestLog::embedded(&dir.path().join("log"));
        // None is away from home: the journal would be kept until it is brought there.
        let mut load = Load::well_formed(seed, CONTACTS);
        for _ in 0..DEAD_LETTERS {
            let mut records = load.take(RECORDS / DEAD_LETTERS);
            records.last_mut().expect("some").value = Some(b"{".to_vec());
            log.append(records);
        }
        let whole = log.followed_by(Node::new(&dir.path().join("whole")));
        let trimmed = whole.clone().on(&dir.path().join("trimmed"));
        let nodes = [whole, trimmed.with("store.journal_retention_bytes", "16KiB")];
        let stores = nodes.map(|node| {
            node.catch_up_soundly();
            // However few checkpoints there were: a snapshot lets the journal be trimmed.
            let status = node.command(&["store", "snapshot"]).status().expect("it runs");
            assert!(status.success(), "{status}");
            let image = Image::read(&node.store);
            (node, image)
        });
        let first = stores[1].1.verdicts.values().map(|verdicts| verdicts[0].0).max();
        assert!(first > Some(0), "the journal was not trimmed");
        Self { dir, stores }
    }

    /// A copy of one of the stores, to be damaged.
    fn copy(&self, which: usize, name: &str) -> Node {
        let store = self.dir.path().join(name);
        let (node, _) = &self.stores[which];
        copy(&node.store, &store);
        node.clone().on(&store)
    }

    /// It holds what the sound one does, but for the history that another run may have trimmed.
    fn assert_same(&self, which: usize, node: &Node, what: &str) {
        let (expected, found) = (self.stores[which].1.clone(), Image::read(&node.store));
        if which == 0 {
            assert_same(&expected, &found, what);
        } else {
            assert_same(&expected.without_history(), &found.without_history(), what);
        }
    }
}

#[test]
fn zeroed_pages_of_the_engine_are_noticed_and_filled_again() {
    let seed = seed("zeroed_pages_of_the_engine_are_noticed_and_filled_again");
    let mut random = fastrand::Rng::with_seed(seed);
    let sound = Sound::new(seed);
    let mut refills = 0;
    for round in 0..ROUNDS {
        let node = sound.copy(round % 2, &format!("damaged{round}"));
        let zeroed = zero_pages(&node.store.join("sled/db"), &mut random);
        let what = format!("{zeroed} pages zeroed, round {round}, seed {seed}");
        if round % 3 == 0 {
            // Killed while the engine is being filled again, if it is.
            let hit = random.u64(1..=8);
            node.catch_up(&format!("kill:redoing:{hit}"));
        }
        let exit = node.catch_up("");
        assert!(exit.status.success(), "{what}: {}: {}", exit.status, exit.stderr);
        refills += usize::from(node.store.join("sled.damaged").exists());
        sound.assert_same(round % 2, &node, &what);
        fs::remove_dir_all(&node.store).expect("a copy can be removed");
    }
    let _ = writeln!(std::io::stderr(), "{ROUNDS} engines damaged, {refills} filled again");
    assert!(refills >= ROUNDS / 4, "only {refills} of {ROUNDS} damaged engines were filled again");
}

#[test]
fn a_store_without_its_engine_or_checkpoint_makes_them_anew() {
    let sound = Sound::new(41);
    for which in [0, 1] {
        for lost in [&["checkpoint"][..], &["sled"], &["checkpoint", "sled"]] {
            let what = format!("store {which} without {lost:?}");
            let node = sound.copy(which, "bereft");
            for part in lost {
                remove(&node.store.join(part));
            }
            let exit = node.catch_up("");
            assert!(exit.status.success(), "{what}: {}: {}", exit.status, exit.stderr);
            sound.assert_same(which, &node, &what);
            remove(&node.store);
        }
    }
}

#[test]
fn what_nothing_can_bring_back_is_refused_and_never_served() {
    let sound = Sound::new(42);
    let node = sound.copy(1, "beyond");
    remove(&node.store.join("sled"));
    remove(&node.store.join("snapshots"));
    node.catch_up("").assert_refused(&["error"]);
    // The log still has all of it, and the remedy is named.
    let exit = node.start_command(&["store", "rebuild", "--yes"], "").wait();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    sound.assert_same(1, &node, "rebuilt from the log");
}

#[test]
fn a_damaged_snapshot_is_not_restored() {
    let sound = Sound::new(43);
    let node = sound.copy(1, "copy");
    let newest = files(&node.store.join("snapshots")).pop().expect("a snapshot");
    flip(&newest, fs::metadata(&newest).expect("a file").len() / 2);
    remove(&node.store.join("sled"));
    let exit = node.catch_up("");
    // An older one may do, if the journal reaches back to it.
    if exit.status.success() {
        // The damaged one lies there still, and a verification would name it.
        remove(&newest);
        sound.assert_same(1, &node, "from an older snapshot");
    } else {
        exit.assert_refused(&["error"]);
    }
}

#[test]
fn a_flipped_bit_of_the_journal_is_named() {
    let seed = seed("a_flipped_bit_of_the_journal_is_named");
    let mut random = fastrand::Rng::with_seed(seed);
    let sound = Sound::new(44);
    for round in 0..12 {
        let node = sound.copy(0, "flipped");
        // Not the tables of ids beside them: those are made again.
        let segments = segments(&node.store.join("journal"));
        let segment = &segments[random.usize(..segments.len())];
        let len = fs::metadata(segment).expect("a segment").len();
        let at = random.u64(..len);
        flip(segment, at);
        let exit = node.start_command(&["store", "verify"], "").wait();
        let what = format!("byte {at} of {len}, round {round}, seed {seed}: {}", exit.stderr);
        assert_eq!(exit.status.code(), Some(5), "{what}");
        assert!(exit.stderr.contains("journal"), "{what}");
        remove(&node.store);
    }
}

/// The files of a directory, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("a directory can be removed");
    } else {
        fs::remove_file(path).expect("a file can be removed");
    }
}

fn flip(file: &Path, at: u64) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[at as usize] ^= 0x10;
    fs::write(file, bytes).expect("the file can be written");
}

/// Zeroes some of the pages that hold anything. Returns how many.
fn zero_pages(file: &Path, random: &mut fastrand::Rng) -> usize {
    let mut bytes = fs::read(file).expect("the engine's file");
    let mut used: Vec<_> = (0..bytes.len())
        .step_by(PAGE)
        .filter(|at| bytes[*at..].iter().take(PAGE).any(|byte| *byte != 0))
        .collect();
    random.shuffle(&mut used);
    used.truncate(random.usize(2..=12));
    for at in &used {
        let end = bytes.len().min(at + PAGE);
        bytes[*at..end].fill(0);
    }
    fs::write(file, bytes).expect("the engine's file can be written");
    used.len()
}

/// A directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
