//! What is refused, and what holds the writer up.

use super::*;

#[test]
fn another_log_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open_store(dir.path());
    assert!(matches!(
        open(options(dir.path()), Some(&log()), &|_| ()),
        Err(StoreError::Locked { .. })
    ));
    drop(opened);
    let other = LogIdentity { topic: "others".into(), ..log() };
    let error = open(options(dir.path()), Some(&other), &|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::AnotherLog { .. }), "{error}");
    open(options(dir.path()), None, &|_| ()).unwrap();
}

#[test]
fn no_room_changes_nothing_and_the_same_commit_is_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let full = StoreConfig { min_free_bytes: u64::MAX / 2, ..options(dir.path()) };
    let mut opened = open(full, Some(&log()), &|_| ()).unwrap();
    let meta = EntryMeta::of_record(
        Lane(0),
        &crate::domain::record::Record {
            offset: Offset(0),
            timestamp_ms: 5,
            key: None,
            value: None,
            headers: Span::default(),
        },
    );
    opened.writer.settled(&meta, Verdict::Stale, b"c").unwrap();
    for _ in 0..2 {
        let error = opened.writer.commit().unwrap_err();
        assert_eq!(error.class(), Class::Retry);
        assert_eq!((opened.writer.staged(), opened.writer.committed().counters.received()), (1, 0));
    }
    drop(opened);
    let opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 0);
}

#[test]
fn a_full_dirty_set_holds_the_writer_up_and_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreConfig { dirty_bytes_max: 8 << 10, ..options(dir.path()) };
    let mut opened = open(small, Some(&log()), &|_| ()).unwrap();
    for from in (0..200).step_by(10) {
        feed(&mut opened.writer, from, from + 10);
        let (current, _) = opened.reader.shared().contacts.dirty.bytes();
        assert!(current < (8 << 10) + 10_000, "{current}");
    }
    assert_same(&opened, 200);
}

#[test]
fn a_failure_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 10);
    opened.reader.shared().commits.fail(StoreError::damaged("sled", "test"));
    for _ in 0..2 {
        let error = opened.writer.commit().unwrap_err();
        assert!(matches!(error, StoreError::Stopped(_)), "{error}");
        assert!(opened.writer.checkpoint_now().is_err());
    }
}
