//! Backups on their way: a damaged archive, and any bytes for one, bring out what was packed or are refused; a manifest is
//! read as it is written.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use contactd::backup::{Manifest, Sink, relay};
use contactd_fuzz::{archive, damage, directory, parts};
use libfuzzer_sys::fuzz_target;

static WHOLE: LazyLock<(Vec<u8>, Manifest)> = LazyLock::new(|| {
    let bytes = archive();
    let manifest = read(&bytes).expect("a whole backup");
    (bytes, manifest)
});

fuzz_target!(|data: &[u8]| {
    let [how, manifest, foreign] = parts(data);
    let (whole, packed) = &*WHOLE;
    let mut bytes = whole.clone();
    damage(&mut bytes, how);
    if let Some(read) = read(&bytes) {
        assert!(read == *packed);
    }
    read(foreign);
    if let Ok(manifest) = Manifest::read(manifest) {
        let again = manifest.to_bytes().expect("it can be written");
        assert!(Manifest::read(&again).expect("what was written") == manifest);
    }
});

/// None: it was refused.
fn read(bytes: &[u8]) -> Option<Manifest> {
    let to = directory().join("backup");
    let _ = fs::remove_dir_all(&to);
    let manifest =
        relay(bytes, Path::new("an archive"), Sink::directory(&to).expect("a directory")).ok()?;
    for file in &manifest.files {
        assert_eq!(fs::metadata(to.join(&file.path)).expect("a file").len(), file.bytes);
    }
    Some(manifest)
}
