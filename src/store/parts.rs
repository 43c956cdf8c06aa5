//! Parts of a data directory, each read by itself and without opening the store: for whoever holds them
//! against damage.

use std::path::Path;

use super::StoreError;
use super::checkpoint::{Checkpoint, IDENTITY, StoreIdentity};
use super::heap::Record;
use super::snapshot::Snapshot;

/// A checkpoint's or an identity's bytes, read and written again.
///
/// # Errors
/// When they are neither.
pub fn small_file_again(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    match bytes.starts_with(&IDENTITY.magic) {
        true => StoreIdentity::again(bytes),
        false => Checkpoint::again(bytes),
    }
}

/// Shows what a snapshot holds, in its order: the prefix of its key in the engine, id and body.
///
/// # Errors
/// When it is not whole. What was shown before that is to be dropped.
pub fn snapshot_images(
    path: &Path,
    mut each: impl FnMut(u8, &[u8], &[u8]),
) -> Result<(), StoreError> {
    Snapshot::open(path)?.for_each(|image| {
        each(image.prefix, image.id, image.body);
        Ok(())
    })
}

/// A contact's id and value as the heap file has them.
pub fn contact_in_heap(id: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record { id, value }.append_to(&mut bytes);
    bytes
}

/// Id and value back from [`contact_in_heap`]; none: they are not whole.
pub fn contact_of_heap(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    Record::parse(bytes).map(|record| (record.id, record.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_holds_more_than_it_says_is_refused() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let snapshots = fixtures.join("format-1/store/snapshots").read_dir().unwrap();
        let newest = snapshots.map(|file| file.unwrap().path()).max().unwrap();
        let whole = std::fs::read(newest).unwrap();
        let head = 12 + u32::from_le_bytes(*whole[8..].first_chunk().unwrap()) as usize + 4;
        // One byte, and no contact, under a right checksum.
        let mut block = [1_u32, 2, 0].map(u32::to_le_bytes).concat();
        let stored = [0x10, b'x'];
        let crc = crc32fast::hash(&[block.as_slice(), &stored].concat());
        block.extend_from_slice(&crc.to_le_bytes());
        let file = tempfile::NamedTempFile::new().unwrap();
        let shown = |bytes: Vec<u8>| {
            std::fs::write(file.path(), bytes).unwrap();
            let mut images = 0;
            snapshot_images(file.path(), |_, _, _| images += 1).map(|()| images)
        };
        assert!(shown(whole.clone()).unwrap() > 0);
        let error = shown([&whole[..head], &block, &stored, &whole[head..]].concat()).unwrap_err();
        assert!(error.to_string().contains("more than it says"), "{error}");
    }
}
