//! Failing calls and kills, each in a process of its own: what is armed is read once a process.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use super::*;

const DIR: &str = "CONTACTD_TEST_SEGMENTS";

/// Runs the named test of this binary again, with `fault` armed and `dir` given.
fn run_armed(test: &str, fault: &str, dir: &Path) -> ExitStatus {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", &format!("segments::tests::faults::{test}"), "--nocapture"]);
    child.env("CONTACTD_FAULT", fault).env(DIR, dir);
    child.stdout(std::process::Stdio::null()).status().unwrap()
}

/// The directory, in the armed process.
fn armed() -> Option<std::path::PathBuf> {
    env::var_os(DIR).map(Into::into)
}

#[test]
fn failed_fsync_is_for_ever() {
    let Some(dir) = armed() else {
        let dir = in_memory();
        assert!(run_armed("failed_fsync_is_for_ever", "eio:journal_sync:1", dir.path()).success());
        let (_, report) = open(dir.path(), LARGE);
        assert_eq!(report.next, FrameNo(2));
        return;
    };
    let (mut writer, _) = open(&dir, LARGE);
    append(&mut writer, 2);
    let sync = writer.sync_handle();
    assert!(matches!(sync.sync(), Err(SegmentError::Failed { .. })));
    // Only the first call was armed to fail; the ones after it must not ask the disk again.
    assert!(matches!(sync.sync(), Err(SegmentError::Failed { .. })));
    assert!(matches!(writer.append(b"more"), Err(SegmentError::Failed { .. })));
    assert!(matches!(writer.roll(), Err(SegmentError::Failed { .. })));
    assert_eq!(writer.synced(), FrameNo(0));
}

#[test]
fn full_disk_loses_nothing_and_heals() {
    let Some(dir) = armed() else {
        let dir = in_memory();
        assert!(
            run_armed("full_disk_loses_nothing_and_heals", "enospc:journal_append:3", dir.path())
                .success()
        );
        assert_holds(dir.path(), 0, 4);
        assert_eq!(open(dir.path(), LARGE).1.truncated_bytes, 0);
        return;
    };
    let (mut writer, _) = open(&dir, LARGE);
    append(&mut writer, 2);
    let before = writer.bytes();
    let error = writer.append(&payload(2)).unwrap_err();
    assert!(matches!(error, SegmentError::NoSpace { .. }), "{error}");
    assert_eq!(error.class(), crate::domain::Class::Retry);
    assert_eq!((writer.bytes(), writer.next()), (before, FrameNo(2)));
    assert_eq!(std::fs::metadata(file::path(&dir, FrameNo(0))).unwrap().len(), before);
    append(&mut writer, 2);
    writer.sync().unwrap();
}

#[test]
fn a_segment_that_cant_be_made_leaves_the_old_one_whole_and_is_tried_again() {
    const TEST: &str = "a_segment_that_cant_be_made_leaves_the_old_one_whole_and_is_tried_again";
    let Some(dir) = armed() else {
        for failure in ["emfile", "enfile", "eintr", "enospc", "eacces", "eio"] {
            let dir = in_memory();
            // The first one is made at the opening.
            let fault = format!("{failure}:journal_make:2,{failure}:journal_make:3");
            assert!(run_armed(TEST, &fault, dir.path()).success(), "{failure}");
            assert_holds(dir.path(), 0, 20);
            assert_eq!(open(dir.path(), SMALL).1.truncated_bytes, 0, "{failure}");
        }
        return;
    };
    let (mut writer, _) = open(&dir, SMALL);
    while !writer.would_roll(payload(writer.next().0).len()) {
        append(&mut writer, 1);
    }
    let (next, bytes) = (writer.next(), writer.bytes());
    let error = writer.append(&payload(next.0)).unwrap_err();
    assert_eq!(error.class(), crate::domain::Class::Retry, "{error}");
    assert_eq!((writer.next(), writer.bytes(), writer.sealed().len()), (next, bytes, 0));
    // What belongs with the frames before goes there all the same.
    writer.append_here(&[&payload(next.0)]).unwrap();
    assert!(writer.roll().is_err());
    append(&mut writer, 20 - next.next().0);
    writer.sync().unwrap();
}

#[test]
fn failed_write_is_for_ever() {
    let Some(dir) = armed() else {
        let dir = in_memory();
        assert!(
            run_armed("failed_write_is_for_ever", "eio:journal_append:2", dir.path()).success()
        );
        assert_holds(dir.path(), 0, 1);
        return;
    };
    let (mut writer, _) = open(&dir, LARGE);
    append(&mut writer, 1);
    assert!(matches!(writer.append(b"more"), Err(SegmentError::Failed { .. })));
    assert!(matches!(writer.append(b"more"), Err(SegmentError::Failed { .. })));
    assert!(matches!(writer.sync(), Err(SegmentError::Failed { .. })));
}

#[test]
fn killed_in_the_middle_of_a_frame_or_of_rolling_keeps_all_before() {
    const TEST: &str = "killed_in_the_middle_of_a_frame_or_of_rolling_keeps_all_before";
    let Some(dir) = armed() else {
        for hit in [1, 2, 9, 10, 20] {
            let dir = in_memory();
            let fault = format!("kill:journal_append_half:{hit}");
            assert_eq!(run_armed(TEST, &fault, dir.path()).signal(), Some(9));
            let (mut writer, report) = open(dir.path(), SMALL);
            assert_eq!(report.next, FrameNo(hit - 1));
            assert!(report.truncated_bytes > 0);
            append(&mut writer, 2);
            assert_holds(dir.path(), 0, hit + 1);
        }
        let dir = in_memory();
        assert_eq!(run_armed(TEST, "kill:segment_rolled:2", dir.path()).signal(), Some(9));
        let (writer, report) = open(dir.path(), SMALL);
        assert_eq!((report.segments, report.truncated_bytes), (3, 0));
        assert!(writer.is_segment_empty());
        return;
    };
    append(&mut open(&dir, SMALL).0, 100);
}
