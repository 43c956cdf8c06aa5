//! Backups as operators make, check and restore them: on both logs, in buckets, under writes, damaged, half, and of
//! another log.

#[cfg(feature = "s3")]
mod bucket;
mod kafka;
mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use contactd::backup::{BackupError, ConfiguredLog, Manifest, Origin, Restore, Restored};
use contactd::store::StoreConfig;
use tempfile::TempDir;

use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::load::{ControlLoad, Load};
use crate::support::logs::TestLog;
use crate::support::node::Node;

/// A stopped instance on an embedded log of its own, with letters, control entries and many segments.
struct World {
    dir: TempDir,
    node: Node,
}

impl World {
    fn new(records: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = TestLog::embedded(&dir.path().join("log"));
        log.append(Load::new(7, 60).take(records));
        log.append_control(ControlLoad::new(7).take(40));
        let node = log.followed_by(Node::new(&dir.path().join("store")));
        node.catch_up_soundly();
        Self { dir, node }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.node.command(arguments).output().unwrap()
    }

    fn backup(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        succeeds(&self.run(&["backup", &path.display().to_string()]));
        path
    }

    /// The node on what was restored.
    fn restored(&self, name: &str) -> Node {
        let target = self.path(name);
        self.node.clone().on(&target).with("embedded_log.path", target.join("log").display())
    }
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

/// In this process, which is quicker.
fn restore(from: &Path, target: &Path) -> Result<Restored, BackupError> {
    let restore = Restore {
        store: StoreConfig::at(target),
        target: target.to_owned(),
        log: ConfiguredLog::Unknown,
        adopts: false,
        is_replica: false,
    };
    restore.run(Origin::Path(from), &mut |_, _| {})
}

#[test]
fn a_stopped_instance_comes_back_whole_from_a_directory_and_from_an_archive() {
    let world = World::new(900);
    let before = Image::read(&world.node.store);
    for name in ["kept", "kept.tar.zst"] {
        let backup = world.backup(name);
        let target = world.path(&format!("from-{name}"));
        let (from, to) = (backup.display().to_string(), target.display().to_string());
        let said = succeeds(&world.run(&["restore", &from, "--data-dir", &to]));
        assert!(said.contains("contactd serve --path"), "{said}");
        assert_same(&before, &Image::read(&target), "the restored one");
        // It goes on: what is written from now on is applied, by the log that came with it.
        let node = world.restored(&format!("from-{name}"));
        TestLog::embedded(&target.join("log")).append(Load::new(8, 60).take(200));
        node.catch_up_soundly();
        let after = Image::read(&target);
        assert!(after.received() >= before.received() + 200, "{}", after.received());
        // And equals what its log comes to by itself.
        succeeds(&node.command(&["store", "rebuild", "--yes"]).output().unwrap());
        assert_same(&after, &Image::read(&target), "its log, applied anew");
    }
}

#[test]
fn a_backup_says_what_it_is_of_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(300);
    for name in ["kept", "kept.tar.zst"] {
        let backup = world.backup(name);
        let said = world.run(&["backup", "verify", &backup.display().to_string(), "--json"]);
        succeeds(&said);
        let told: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let image = Image::read(&world.node.store);
        assert_eq!(
            (&told["contacts"]["active"], &told["format"]),
            (&image.active.into(), &1.into())
        );
        let mut waiting = vec![backup];
        while let Some(path) = waiting.pop() {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        let text =
            succeeds(&world.run(&["backup", "verify", &world.path(name).display().to_string()]));
        assert!(text.contains("all of it agrees"), "{text}");
    }
    assert!(!world.node.store.join("backup.staging").exists(), "its links are gone");
}

#[test]
fn any_flipped_bit_is_found_and_its_file_named() {
    let world = World::new(400);
    let backup = world.backup("kept");
    let mut files = vec!["manifest.json".to_owned()];
    let manifest = Manifest::read(&fs::read(backup.join("manifest.json")).unwrap()).unwrap();
    files.extend(manifest.files.iter().map(|file| file.path.clone()));
    let mut random = fastrand::Rng::with_seed(17);
    let mut flips = 0;
    for file in files {
        let path = backup.join(&file);
        let good = fs::read(&path).unwrap();
        for _ in 0..4.min(good.len()) {
            let mut bad = good.clone();
            bad[random.usize(..good.len())] ^= 1 << random.u32(..8);
            fs::write(&path, &bad).unwrap();
            let error = restore(&backup, &world.path("target")).unwrap_err();
            assert!(error.is_about_data(), "{error}");
            assert!(error.to_string().contains(&file), "{file}: {error}");
            assert!(!world.path("target").exists() && !world.path("target.partial").exists());
            flips += 1;
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(flips > 40, "{flips}");
    let archive = world.backup("kept.tar.zst");
    let good = fs::read(&archive).unwrap();
    for _ in 0..60 {
        let mut bad = good.clone();
        // Of the head's fourth byte one bit has no meaning.
        bad[random.usize(5..good.len())] ^= 1 << random.u32(..8);
        fs::write(&archive, &bad).unwrap();
        let error = restore(&archive, &world.path("target")).unwrap_err();
        assert!(error.is_about_data(), "{error}");
    }
    // Cut off it is no backup.
    for bytes in [0, 3, 100, good.len() / 2, good.len() - 1] {
        fs::write(&archive, &good[..bytes]).unwrap();
        let error = restore(&archive, &world.path("target")).unwrap_err();
        assert!(error.is_about_data(), "{bytes}: {error}");
    }
}

#[test]
fn what_holds_something_is_not_restored_to_and_no_backup_is_written_over() {
    let world = World::new(100);
    let backup = world.backup("kept");
    let from = backup.display().to_string();
    let store = world.node.store.display().to_string();
    refused(&world.run(&["restore", &from, "--data-dir", &store]), 5, &[&store, "empty directory"]);
    refused(&world.run(&["restore", &from]), 5, &["empty directory"]);
    refused(&world.run(&["backup", &from]), 5, &[&from, "empty"]);
    refused(&world.run(&["backup", "kept.zip"]), 2, &["kept.zip", ".tar.zst"]);
    refused(&world.run(&["restore", "nowhere", "--data-dir", "x"]), 1, &["nowhere"]);
    let file = world.backup("kept.tar.zst").display().to_string();
    refused(&world.run(&["backup", &file]), 5, &[&file]);
    fs::remove_file(backup.join("manifest.json")).unwrap();
    refused(&world.run(&["backup", "verify", &from]), 5, &["no whole backup", "manifest.json"]);
}

#[test]
fn another_log_is_refused_with_what_to_do_and_a_newer_format_with_who_reads_it() {
    let world = World::new(100);
    let backup = world.backup("kept");
    let from = backup.display().to_string();
    // Nobody listens there: its kind says enough.
    let kafka = world.node.clone().with("log.kind", "kafka").with("kafka.brokers", "127.0.0.1:1");
    let restored = kafka.command(&["restore", &from, "--data-dir", "x"]).output().unwrap();
    refused(&restored, 5, &["embedded contacts of", "log.kind = \"embedded\"", "--adopt"]);
    assert!(!world.path("x").exists());
    let path = backup.join("manifest.json");
    let mut manifest = Manifest::read(&fs::read(&path).unwrap()).unwrap();
    (manifest.format, manifest.contactd) = (2, "0.9.0".to_owned());
    fs::write(&path, manifest.to_bytes().unwrap()).unwrap();
    refused(
        &world.run(&["backup", "verify", &from]),
        5,
        &["format 2", "up to 1", "contactd 0.9.0"],
    );
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_that_counts() {
    let world = World::new(300);
    let before = Image::read(&world.node.store);
    for name in ["kept", "kept.tar.zst"] {
        let to = world.path(name).display().to_string();
        let exit = world.node.start_command(&["backup", &to], "kill:backup_half:1").wait();
        assert!(exit.was_killed(), "{}", exit.stderr);
        assert!(!world.path(name).exists());
        let half = world.path(&format!("{name}.partial"));
        assert!(restore(&half, &world.path("half")).is_err_and(|error| error.is_about_data()));
        world.backup(name);
        let target = world.path(&format!("{name}-target"));
        for fault in ["kill:restore_unpacked:1", "kill:restore_proved:1"] {
            let to = target.display().to_string();
            let arguments = ["restore", &world.path(name).display().to_string(), "--data-dir", &to];
            let exit = world.node.start_command(&arguments, fault).wait();
            assert!(exit.was_killed(), "{}", exit.stderr);
            assert!(!target.exists());
            let half = world.restored(&format!("{name}-target.partial"));
            half.start("").wait().assert_refused(&["cut off", "not served"]);
        }
        restore(&world.path(name), &target).unwrap();
        assert_same(&before, &Image::read(&target), "the restored one");
    }
}

#[test]
fn a_full_disk_in_the_middle_leaves_nothing_and_the_next_backup_is_whole() {
    let world = World::new(300);
    for name in ["kept", "kept.tar.zst"] {
        let to = world.path(name);
        let arguments = ["backup", &to.display().to_string()];
        let exit = world.node.start_command(&arguments, "enospc:backup_write:4").wait();
        exit.assert_refused(&["No space left on device"]);
        assert!(!to.exists() && !world.path(&format!("{name}.partial")).exists());
        assert!(!world.node.store.join("backup.staging").exists(), "its links are gone");
        let backup = world.backup(name);
        succeeds(&world.run(&["backup", "verify", &backup.display().to_string()]));
    }
    // Where it is brought back to as well.
    let to = world.path("target");
    let from = world.path("kept").display().to_string();
    let arguments = ["restore", &from, "--data-dir", &to.display().to_string()];
    let exit = world.node.start_command(&arguments, "enospc:backup_write:4").wait();
    exit.assert_refused(&["No space left on device"]);
    assert!(!to.exists() && !world.path("target.partial").exists());
    restore(&world.path("kept"), &to).unwrap();
}

/// As `tests/fixtures/backup-1` has it: made by the first version with this format.
#[test]
fn a_backup_of_each_format_is_read() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/backup-1.tar.zst");
    if std::env::var("CONTACTD_TEST_FORMATS").as_deref() == Ok("write") && !fixture.exists() {
        fs::copy(World::new(60).backup("kept.tar.zst"), &fixture).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let restored = restore(&fixture, &dir.path().join("restored")).unwrap();
    assert_eq!(restored.manifest.format, 1);
    let image = Image::read(&dir.path().join("restored"));
    assert_eq!(restored.manifest.contacts.active, image.active);
    assert_eq!(restored.manifest.digests[0], format!("{:032x}", image.digest));
}
