//! Files that an earlier version wrote must be read for ever. `tests/fixtures/format-1` holds an
//! embedded log and the store that followed it, without its engine, which is only a cache.
//!
//! `CONTACTD_TEST_FORMATS=write` writes the fixture of the present formats, where there is none.

use std::fs;
use std::path::{Path, PathBuf};

use contactd::domain::fingerprint::APPLY_VERSION;

use crate::support::image::{self, Image};
use crate::support::load::{ControlLoad, Load};
use crate::support::logs::TestLog;
use crate::support::node::Node;

const WRITE: &str = "CONTACTD_TEST_FORMATS";
const RECORDS: usize = 160;
/// The present format.
const PRESENT: u32 = 1;
/// The store's parts that are kept.
const PARTS: [&str; 4] = ["identity", "checkpoint", "journal", "snapshots"];

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

/// The fixture, to be changed at will.
fn copy_of_fixture(format: u32, to: &Path) {
    static WRITTEN: std::sync::Once = std::sync::Once::new();
    WRITTEN.call_once(write_where_asked);
    let path = fixture(format);
    assert!(path.is_dir(), "{} is missing; {WRITE}=write makes it", path.display());
    copy(&path, to);
}

fn write_where_asked() {
    let fixture = fixture(PRESENT);
    if std::env::var(WRITE).as_deref() != Ok("write") || fixture.exists() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let mut load = Load::new(1, 30);
    let mut controls = ControlLoad::new(1);
    log.append(load.take(RECORDS / 2));
    log.append_control(controls.by_ref().take(RECORDS / 2));
    let node = log.followed_by(Node::new(&dir.path().join("store")));
    node.catch_up_soundly();
    let mut opened = image::open(&node.store);
    opened.writer.snapshot_now().expect("a snapshot");
    opened.writer.close().expect("a last checkpoint");
    drop(opened.reader);
    log.append(load.take(RECORDS / 2));
    log.append_control(controls.by_ref().take(RECORDS / 2));
    node.catch_up_soundly();
    let store = fixture.join("store");
    fs::create_dir_all(&store).expect("the fixture's directory");
    for part in PARTS {
        copy(&node.store.join(part), &store.join(part));
    }
    copy(&dir.path().join("log"), &fixture.join("log"));
    fs::remove_file(fixture.join("log/writer.lock")).expect("a lock is no format");
    fs::write(fixture.join("expected.txt"), summary(&Image::read(&node.store)))
        .expect("the summary");
}

/// A file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).expect("a file can be copied");
        return;
    }
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn summary(image: &Image) -> String {
    let contacts = format!(
        "digest {:032x}\nactive {} deleted {}\nnext {:?}\nverdicts {:?}\n",
        image.digest, image.active, image.deleted, image.next_offsets, image.verdict_totals
    );
    format!(
        "{contacts}control digest {:032x}\ncontrol entries {}\ncontrol verdicts {:?}\n",
        image.control_digest,
        image.controls.len(),
        image.control_verdicts
    )
}

fn expected(format: u32) -> String {
    fs::read_to_string(fixture(format).join("expected.txt")).expect("the fixture's summary")
}

#[test]
fn a_store_of_every_format_is_read() {
    for format in 1..=PRESENT {
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy_of_fixture(format, dir.path());
        assert_eq!(summary(&Image::read(&dir.path().join("store"))), expected(format), "{format}");
    }
}

#[test]
fn a_log_of_every_format_is_followed_by_a_store_of_that_format() {
    for format in 1..=PRESENT {
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy_of_fixture(format, dir.path());
        let log = TestLog::embedded(&dir.path().join("log"));
        let node = log.followed_by(Node::new(&dir.path().join("store")));
        node.catch_up_soundly();
        assert_eq!(summary(&Image::read(&node.store)), expected(format), "{format}");
        // A new store of the same log agrees, as long as the rules are the same.
        let new = node.clone().on(&dir.path().join("new"));
        new.catch_up_soundly();
        if APPLY_VERSION == 1 {
            assert_eq!(summary(&Image::read(&new.store)), expected(format), "{format}");
        }
        let before = Image::read(&node.store);
        log.append(Load::new(2, 30).take(20));
        log.append_control(ControlLoad::new(2).take(20));
        node.catch_up_soundly();
        let after = Image::read(&node.store);
        assert_eq!(after.received(), before.received() + 20);
        let controls = |image: &Image| image.control_verdicts.iter().sum::<u64>();
        assert_eq!(controls(&after), controls(&before) + 20);
    }
}

#[test]
fn a_snapshot_of_every_format_alone_is_a_store() {
    for format in 1..=PRESENT {
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy_of_fixture(format, dir.path());
        let store = dir.path().join("store");
        for part in ["identity", "checkpoint"] {
            fs::remove_file(store.join(part)).expect("a part goes");
        }
        fs::remove_dir_all(store.join("journal")).expect("the journal goes");
        let log = TestLog::embedded(&dir.path().join("log"));
        let node = log.followed_by(Node::new(&store));
        // What the journal held after the snapshot comes from the log again.
        node.catch_up_soundly();
        let opened = image::open(&store);
        let stats = opened.reader.stats().expect("statistics");
        let verified = opened.reader.verify(&mut |_, _| {}).expect("a verification");
        assert!(verified.is_sound(), "{:?}", verified.discrepancies);
        let expected = expected(format);
        let (digest, control) = (stats.digest, stats.control.digest);
        assert!(expected.contains(&format!("digest {digest}")), "{digest} in {expected}");
        assert!(expected.contains(&format!("control digest {control}")), "{control} in {expected}");
    }
}
