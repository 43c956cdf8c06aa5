//! Damage that sled does not notice: zeroed pages of its file. It must be seen at the opening, and
//! the engine filled again from snapshot and journal; no answer may ever come from a damaged page.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::seed;
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::load::Load;
use crate::support::logs::TestLog;
use crate::support::node::Node;

const RECORDS: usize = 2_000;
const CONTACTS: u32 = 400;
const ROUNDS: usize = 20;
const PAGE: usize = 4096;

#[test]
fn zeroed_pages_of_the_engine_are_noticed_and_filled_again() {
    let seed = seed("zeroed_pages_of_the_engine_are_noticed_and_filled_again");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(Load::new(seed, CONTACTS).take(RECORDS));
    let sound = log.followed_by(Node::new(&dir.path().join("sound")));
    sound.catch_up_soundly();
    let expected = Image::read(&sound.store);
    let mut refills = 0;
    for round in 0..ROUNDS {
        let store = dir.path().join(format!("damaged{round}"));
        copy(&sound.store, &store);
        let zeroed = zero_pages(&store.join("sled/db"), &mut random);
        let what = format!("{zeroed} pages zeroed, round {round}, seed {seed}");
        // In a process of its own first, as a user would start it again.
        let node = sound.clone().on(&store);
        let exit = node.catch_up("");
        assert!(exit.status.success(), "{what}: {}: {}", exit.status, exit.stderr);
        refills += usize::from(store.join("sled.damaged").exists());
        assert_same(&expected, &Image::read(&store), &what);
        fs::remove_dir_all(&store).expect("a copy can be removed");
    }
    let _ = writeln!(std::io::stderr(), "{ROUNDS} engines damaged, {refills} filled again");
    assert!(refills >= ROUNDS / 4, "only {refills} of {ROUNDS} damaged engines were filled again");
}

/// Zeroes some of the pages that hold anything. Returns how many.
fn zero_pages(file: &Path, random: &mut fastrand::Rng) -> usize {
    let mut bytes = fs::read(file).expect("the engine's file");
    let mut used: Vec<_> = (0..bytes.len())
        .step_by(PAGE)
        .filter(|at| bytes[*at..].iter().take(PAGE).any(|byte| *byte != 0))
        .collect();
    random.shuffle(&mut used);
    used.truncate(random.usize(1..=4));
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
