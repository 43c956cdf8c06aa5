//! Disks that fail or fill up, and directories that somebody else has.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{every_log, node};
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::instance::Instance;
use crate::support::load::Load;
use crate::support::logs::TestLog;
use crate::support::node::Node;
use crate::support::services::skip;

const RECORDS: usize = 1_500;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn an_fsync_that_fails_once_ends_it_and_a_restart_recovers() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "an_fsync_that_fails_once_ends_it_and_a_restart_recovers") {
        log.append(Load::new(31, 100).take(RECORDS));
        let node = node(dir.path(), &log);
        for fault in ["eio:journal_sync:2", "eio:checkpoint_sync:2", "eio:snapshot_sync:1"] {
            let exit = node.catch_up(fault);
            exit.assert_refused(&["error"]);
            // What it left can be read and agrees with itself.
            Image::read(&node.store);
            log.append(Load::new(32, 100).take(RECORDS));
        }
        node.catch_up_soundly();
        let calm = node.clone().on(&dir.path().join(format!("calm-{}", log.name())));
        calm.catch_up_soundly();
        assert_same(&Image::read(&calm.store), &Image::read(&node.store), log.name());
    }
}

#[test]
fn an_append_whose_fsync_fails_is_no_append() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let node = node(dir.path(), &log);
    let produce = ["produce", "--events", "100", "--contacts", "10"];
    let exit = node.start_command(&produce, "eio:log_sync:1").wait();
    exit.assert_refused(&["error"]);
    let exit = node.start_command(&produce, "").wait();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    // What was not acknowledged may stand all the same; what was does.
    let received = Image::read(&node.store).received();
    assert!((100..=200).contains(&received), "{received}");
}

#[test]
fn a_short_append_is_taken_back_and_tried_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(Load::new(33, 100).take(RECORDS));
    let node = node(dir.path(), &log);
    let exit = node.catch_up("enospc:journal_append:3");
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    assert!(exit.stderr.contains("paused"), "it did not say that it paused: {}", exit.stderr);
    let calm = node.clone().on(&dir.path().join("calm"));
    calm.catch_up_soundly();
    assert_same(&Image::read(&calm.store), &Image::read(&node.store), "after a short append");
}

/// Every place that makes files, and what is said where it can't; see the table in ARCHITECTURE.md.
const PLACES: [(&str, &str); 6] = [
    ("journal_make:2", "applying is paused"),
    ("checkpoint_make:2", "checkpoints wait"),
    ("snapshot_make:1", "no snapshot now"),
    ("ids_make:*", "no table of event ids"),
    ("dlq_make:1", "the archive of dead letters waits"),
    ("heap_make:1", "sled answers instead"),
];

#[test]
fn a_file_that_cant_be_made_is_made_later_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(Load::new(36, 100).take(RECORDS * 2));
    let calm = log.followed_by(Node::new(&dir.path().join("calm")));
    calm.catch_up_soundly();
    let expected = Image::read(&calm.store);
    let failures = ["emfile", "enfile", "eintr", "enospc", "eacces", "eio"];
    for (number, (place, said)) in PLACES.into_iter().enumerate() {
        let failure = failures[number % failures.len()];
        let node = calm.clone().on(&dir.path().join(place.replace([':', '*'], "-")));
        let exit = node.catch_up(&format!("{failure}:{place}"));
        assert!(exit.status.success(), "{failure}:{place}: {}: {}", exit.status, exit.stderr);
        assert!(exit.stderr.contains(said), "{failure}:{place} is not said: {}", exit.stderr);
        node.catch_up_soundly();
        assert_same(&expected, &Image::read(&node.store), place);
    }
}

#[tokio::test]
async fn a_write_whose_time_can_not_be_reserved_fails_and_the_next_one_is_done() {
    let instance = Instance::start().await;
    let client = instance.client();
    // Where a directory stands nobody writes a file.
    let aside = instance.path().join("stamp.new");
    std::fs::create_dir(&aside).expect("a directory");
    let made = json!({ "id": "c1", "firstName": "Ada" });
    let failed = client.post("/api/contacts", &made).await;
    failed.expect_error(503, "WRITE_UNAVAILABLE");
    client.get("/readyz").await.expect(200);
    client.get("/api/contacts/c1").await.expect(404);
    std::fs::remove_dir(&aside).expect("it is empty");
    client.post("/api/contacts", &made).await.expect(201);
}

#[test]
fn a_connection_that_can_not_be_accepted_waits_and_is_answered() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let node = node(dir.path(), &log).with("telemetry.log", "info");
    let mut running = node.start("emfile:accept:1");
    let mut client = TcpStream::connect(running.address(PATIENCE)).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let probe = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    client.write_all(probe).expect("it is sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let exit = running.stop();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    let said = exit.stderr.matches("a connection could not be accepted").count();
    assert_eq!(said, 1, "{}", exit.stderr);
}

#[test]
fn a_data_directory_has_one_process() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(Load::new(34, 100).take(100));
    let first = node(dir.path(), &log);
    first.catch_up_soundly();
    let store = contactd::store::StoreConfig::at(&first.store);
    let opened = contactd::store::open(store, None, &|_| {}).expect("the store opens");
    first.catch_up("").assert_refused(&["in use"]);
    drop(opened);
    first.catch_up_soundly();
    // The log has one writer too.
    let held = crate::support::logs::open_embedded(&dir.path().join("log"));
    first.catch_up("").assert_refused(&["writer.lock"]);
    drop(held);
    first.catch_up_soundly();
}

/// A small file system in memory, unmounted when it is dropped.
struct SmallDisk {
    mount: PathBuf,
}

impl SmallDisk {
    /// None where mounting is not permitted.
    fn mount(mount: &Path, test: &str) -> Option<Self> {
        std::fs::create_dir_all(mount).expect("a mount point");
        let mut command = Command::new("mount");
        let mounted = command.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(mount).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { mount: mount.to_owned() });
        }
        skip(test, "a small tmpfs can't be mounted (needs root)");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.mount).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn a_full_disk_pauses_applying_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let test = "a_full_disk_pauses_applying_and_loses_nothing";
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), test) else {
        return;
    };
    for (name, min_free, left) in [("guarded", "4MiB", 4_400_000), ("unguarded", "0", 700_000)] {
        let log = TestLog::embedded(&dir.path().join(format!("log-{name}")));
        log.append(Load::new(35, 300).take(RECORDS * 2));
        let node = log.followed_by(Node::new(&disk.mount.join(name)));
        let node = node
            .with("store.min_free_bytes", min_free)
            .with("store.journal_segment_bytes", "64MiB");
        node.clone().on(&dir.path().join(format!("calm-{name}"))).catch_up_soundly();
        let expected = Image::read(&dir.path().join(format!("calm-{name}")));
        // Something else takes the room.
        let ballast = disk.mount.join("ballast");
        fill(&ballast, left);
        let mut running = node.clone().flag("--until-caught-up").start("");
        if min_free != "0" {
            running.wait_until_it_says(PATIENCE, "paused");
        }
        fill(&ballast, 0);
        let exit = running.wait();
        let may_fail = min_free == "0";
        assert!(exit.status.success() || may_fail, "{name}: {}: {}", exit.status, exit.stderr);
        node.catch_up_soundly();
        assert_same(&expected, &Image::read(&node.store), name);
        std::fs::remove_dir_all(&node.store).expect("room for the next");
    }
}

/// Leaves about this much room on the file's disk; 0: gives all of it back.
fn fill(file: &Path, leave: u64) {
    let _ = std::fs::remove_file(file);
    if leave == 0 {
        return;
    }
    let dir = file.parent().expect("a directory");
    let room = rustix::fs::statvfs(dir).expect("the room on the disk");
    let bytes = (room.f_bavail * room.f_frsize).saturating_sub(leave);
    std::fs::write(file, vec![1; bytes as usize]).expect("the disk takes that much");
}
