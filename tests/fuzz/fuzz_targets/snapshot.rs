//! Snapshots: a damaged one shows what was written or is refused; blocks whose checksum is right are held
//! against the rest.

#![no_main]

use std::fs;
use std::sync::LazyLock;

use contactd::store::snapshot_images;
use contactd_fuzz::{damage, directory, parts, snapshot_in};
use libfuzzer_sys::fuzz_target;

type Images = Vec<(u8, Vec<u8>, Vec<u8>)>;

static WHOLE: LazyLock<(Vec<u8>, Images)> = LazyLock::new(|| {
    let bytes = fs::read(snapshot_in("format-1/store/snapshots")).expect("a snapshot");
    let images = read(&bytes).expect("a whole snapshot");
    (bytes, images)
});

fuzz_target!(|data: &[u8]| {
    let [how, entries, stored] = parts(data);
    let (whole, images) = &*WHOLE;
    let mut bytes = whole.clone();
    damage(&mut bytes, how);
    if let Some(read) = read(&bytes) {
        assert!(read == *images);
    }
    let head = 12 + u32::from_le_bytes(whole[8..12].try_into().expect("a length")) as usize + 4;
    let mut numbers = entries
        .chunks(4)
        .map(|number| number.iter().rev().fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte)));
    let [raw, contacts] = [(); 2].map(|()| numbers.next().unwrap_or(1));
    let mut block = [raw, stored.len() as u32, contacts].map(u32::to_le_bytes).concat();
    let crc = crc32fast::hash(&[&block, stored].concat());
    block.extend_from_slice(&crc.to_le_bytes());
    // All that is shown has a digest, and nothing else is in a block.
    assert!(read(&[&whole[..head], &block, stored, &whole[head..]].concat()).is_none());
});

/// None: it was refused.
fn read(bytes: &[u8]) -> Option<Images> {
    let path = directory().join("snapshot");
    fs::write(&path, bytes).expect("a file");
    let mut images = Images::new();
    let shown = snapshot_images(&path, |prefix, id, body| {
        images.push((prefix, id.to_vec(), body.to_vec()));
    });
    shown.is_ok().then_some(images)
}
