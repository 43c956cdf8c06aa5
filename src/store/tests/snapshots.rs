//! Snapshots, trimming, and files of every format.

use crate::domain::founding::Founding;
use crate::domain::partitioner::Partitioner;

use super::*;

#[test]
fn trimming_stops_at_the_snapshot_and_refill_needs_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreConfig {
        journal_segment_bytes: 4 << 10,
        journal_retention_bytes: JournalRetention::Bytes(1),
        ..options(dir.path())
    };
    let mut opened = open(small, Some(&log()), &|_| ()).unwrap();
    feed(&mut opened.writer, 0, 300);
    assert_eq!(opened.reader.shared().journal.first().unwrap().0, 0, "no snapshot yet");
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 300, 500);
    opened.writer.close().unwrap();
    let first = opened.reader.shared().journal.first().unwrap();
    let (_, held) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    assert!(first.0 > 0 && first <= held, "{first}");
    drop(opened.reader);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let opened = open_store(dir.path());
    assert!(opened.report.refilled.is_some());
    assert_eq!(opened.writer.committed(), &expected(500));
}

#[test]
fn a_snapshot_alone_restores_a_store_and_any_flipped_byte_of_it_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 300);
    opened.writer.snapshot_now().unwrap();
    drop(opened);
    let (path, next) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    let restored = tempfile::tempdir().unwrap();
    fs::create_dir(restored.path().join("snapshots")).unwrap();
    let copy = restored.path().join("snapshots").join(path.file_name().unwrap());
    fs::copy(&path, &copy).unwrap();
    let mut opened = open_store(restored.path());
    assert_eq!(opened.writer.committed(), &expected(300));
    assert_eq!(opened.writer.committed().next_frame, next);
    feed(&mut opened.writer, 300, 400);
    opened.writer.close().unwrap();
    drop(opened.reader);
    assert_eq!(open_store(restored.path()).writer.committed(), &expected(400));
    let good = fs::read(&copy).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&copy, bad).unwrap();
        let read = snapshot::Snapshot::open(&copy).and_then(snapshot::Snapshot::verify);
        assert!(read.is_err(), "byte {at}");
        fs::write(&copy, &good[..at]).unwrap();
        let read = snapshot::Snapshot::open(&copy).and_then(snapshot::Snapshot::verify);
        assert!(read.is_err(), "cut at {at}");
    }
}

#[test]
fn a_restored_store_knows_how_its_log_was_founded() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let founding = Founding::first(Partitioner::Crc32, 4);
    opened.writer.settle_founding(&founding).unwrap();
    feed(&mut opened.writer, 0, 10);
    opened.writer.snapshot_now().unwrap();
    drop(opened);
    let restored = tempfile::tempdir().unwrap();
    copy_tree(&dir.path().join("snapshots"), &restored.path().join("snapshots"));
    assert_eq!(open_store(restored.path()).writer.founding().unwrap(), Some(founding));
}

/// A store of this format as it was written once: identity, checkpoint, journal and snapshot.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store_v1")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
#[ignore = "writes the fixture of the present format; run once when a format is new"]
fn write_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 60);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 60, 80);
    opened.writer.checkpoint_now().unwrap();
    feed(&mut opened.writer, 80, 100);
    drop(opened);
    for leave in ["sled", "lock"] {
        let path = dir.path().join(leave);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
    let _ = fs::remove_dir_all(fixture());
    copy_tree(dir.path(), &fixture());
}

#[test]
fn every_format_ever_written_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&fixture(), dir.path());
    let (path, _) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    snapshot::Snapshot::open(&path).unwrap().verify().unwrap();
    let checkpoint = Checkpoint::read(dir.path()).unwrap().unwrap();
    assert_eq!((checkpoint.number, checkpoint.cut.counters.received()), (2, 80));
    let opened = open_store(dir.path());
    assert_same(&opened, 100);
}
