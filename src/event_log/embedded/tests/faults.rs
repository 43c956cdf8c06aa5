//! Failing calls, full disks, kills and damage.

use std::os::unix::process::ExitStatusExt as _;

use super::*;

#[test]
fn failed_fsync_acknowledges_nothing_ever_again() {
    if let Some(dir) = given_dir() {
        let log = open(&dir);
        append_one(&log, record(0)).unwrap();
        for number in 1..4 {
            let error = append_one(&log, record(number)).unwrap_err();
            assert!(matches!(error, LogError::Failed { .. }), "{error}");
            assert_eq!(error.class(), Class::Fatal);
        }
        assert_eq!(ends(&log).values().map(|end| end.0).sum::<u64>(), 1);
        return;
    }
    let dir = in_memory();
    let mut child = run_again(
        "faults::failed_fsync_acknowledges_nothing_ever_again",
        "eio:log_sync:2",
        dir.path(),
    );
    assert!(child.wait().unwrap().success());
    // What was not acknowledged may stand all the same, as far as it was written.
    let log = open(dir.path());
    let kept = ends(&log).values().map(|end| end.0).sum::<u64>();
    assert!(numbers(&log, kept as usize).contains(&0), "{kept} were kept");
}

#[test]
fn a_segment_that_cant_be_made_is_told_and_made_again_though_nobody_asks() {
    let test = "faults::a_segment_that_cant_be_made_is_told_and_made_again_though_nobody_asks";
    if let Some(dir) = given_dir() {
        let log = open(&dir);
        let mut kept = 0;
        let error = loop {
            match append_one(&log, record(kept)) {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.class(), Class::Retry, "{error}");
        assert!(log.trouble().is_some(), "{error}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while log.trouble().is_some() {
            assert!(Instant::now() < deadline, "it is never tried again");
            thread::yield_now();
        }
        append_one(&log, record(kept)).unwrap();
        assert!(numbers(&log, kept as usize + 1).into_iter().eq(0..=kept as i64));
        return;
    }
    for failure in ["emfile", "enfile", "eintr", "enospc", "eacces", "eio"] {
        let dir = in_memory();
        let mut child = run_again(test, &format!("{failure}:log_make:2"), dir.path());
        assert!(child.wait().unwrap().success(), "{failure}");
        let log = open(dir.path());
        assert!(ends(&log).values().map(|end| end.0).sum::<u64>() > 1, "{failure}");
    }
}

#[test]
fn what_a_log_can_never_take_again_ends_its_consumers() {
    let test = "faults::what_a_log_can_never_take_again_ends_its_consumers";
    if let Some(dir) = given_dir() {
        let log = open(&dir);
        let mut consumer = log.consume(&starts(3), BOUNDS).unwrap();
        append_one(&log, record(0)).unwrap_err();
        let error = loop {
            match consumer.next(Duration::from_secs(60)) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LogError::Failed { .. }), "{error}");
        assert!(log.trouble().is_some());
        return;
    }
    let dir = in_memory();
    assert!(run_again(test, "eio:log_sync:1", dir.path()).wait().unwrap().success());
}

#[test]
fn full_disk_is_told_and_heals() {
    if let Some(dir) = given_dir() {
        let log = open(&dir);
        // The first frame names the lanes, so the third is the second record's.
        append_one(&log, record(0)).unwrap();
        let error = append_one(&log, record(1)).unwrap_err();
        assert!(matches!(error, LogError::NoSpace { .. }), "{error}");
        assert_eq!(error.class(), Class::Retry);
        append_one(&log, record(2)).unwrap();
        assert_eq!(numbers(&log, 2), [0, 2]);
        return;
    }
    let dir = in_memory();
    let mut child =
        run_again("faults::full_disk_is_told_and_heals", "enospc:log_append:3", dir.path());
    assert!(child.wait().unwrap().success());
    assert_eq!(numbers(&open(dir.path()), 2), [0, 2]);
}

/// A file system of 256 KiB; `None`, said aloud, where we may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = in_memory();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn really_full_disk_loses_nothing_acknowledged() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let path = disk.0.path().join("log");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 64 << 10]).unwrap();
    let log = open(&path);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0..5000 {
        match append_one(&log, record(number)) {
            Ok(_) => acknowledged.push(number as i64),
            Err(error) => {
                assert!(matches!(error, LogError::NoSpace { .. }), "{error}");
                refused += 1;
                if refused == 50 {
                    fs::remove_file(&ballast).unwrap();
                }
                if refused == 100 {
                    break;
                }
            }
        }
    }
    assert_eq!(refused, 100, "the disk never filled up");
    assert_eq!(numbers(&log, acknowledged.len()), acknowledged);
    drop(log);
    assert_eq!(numbers(&open(&path), acknowledged.len()), acknowledged);
}

#[test]
fn killed_writer_loses_nothing_acknowledged() {
    if let Some(dir) = given_dir() {
        let log = open(&dir);
        let told = dir.join("acknowledged");
        for number in 0..2000 {
            append_one(&log, record(number)).unwrap();
            fs::write(&told, (number + 1).to_string()).unwrap();
        }
        return;
    }
    for fault in
        ["kill:log_append_half:40", "kill:log_append_half:300", "kill:log_segment_rolled:1"]
    {
        let dir = in_memory();
        let mut child =
            run_again("faults::killed_writer_loses_nothing_acknowledged", fault, dir.path());
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{fault}");
        let acknowledged: u64 =
            fs::read_to_string(dir.path().join("acknowledged")).unwrap().parse().unwrap();
        let log = open(dir.path());
        let kept = ends(&log).values().map(|end| end.0).sum::<u64>();
        assert!(kept >= acknowledged && kept <= acknowledged + 1, "{kept} of {acknowledged}");
        fill(&log, kept, kept + 100);
        assert!(numbers(&log, kept as usize + 100).into_iter().eq(0..kept as i64 + 100));
    }
}

#[test]
fn damage_in_what_was_acknowledged_is_named() {
    let dir = in_memory();
    let log = open(dir.path());
    for number in 0..20 {
        append_one(&log, record(number)).unwrap();
    }
    drop(log);
    let segment = segments_dir(dir.path()).join(format!("{:020}.seg", 0));
    let bytes = fs::read(&segment).unwrap();
    // In the middle, and in the very last record.
    for at in [bytes.len() / 2, bytes.len() - 100] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&segment, damaged).unwrap();
        let error = EmbeddedLog::open(options(dir.path())).unwrap_err();
        assert!(matches!(error, LogError::Segments(ref error) if error.is_damage()), "{error}");
    }
}
