//! Frames in segments: whatever happens to a file, a reader and the next opening show what was written,
//! or nothing, or name the damage. What was said to be synced is never cut off silently.

#![no_main]

use std::fs;
use std::path::Path;

use contactd::segments::{FrameNo, SegmentKind, SegmentOptions, SegmentReader, SegmentWriter};
use contactd_fuzz::{damage, directory, parts};
use libfuzzer_sys::fuzz_target;

const OPTIONS: SegmentOptions =
    SegmentOptions { kind: SegmentKind::Journal, segment_bytes_max: 400 };

fuzz_target!(|data: &[u8]| {
    let [how, frames] = parts(data);
    let dir = directory().join("segments");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a directory");
    let (written, synced) = write(&dir, &frames[..frames.len().min(24)]);
    let files: Vec<_> = fs::read_dir(&dir).expect("files").map(|at| at.unwrap().path()).collect();
    let (number, how) = how.split_first().map_or((0, how), |(number, how)| (*number, how));
    if let Some(path) = files.get(usize::from(number) % files.len().max(1)) {
        let mut bytes = fs::read(path).expect("a segment");
        damage(&mut bytes, how);
        fs::write(path, bytes).expect("a segment");
    }
    read(&dir, &written);
    let opened = SegmentWriter::open(&dir, OPTIONS, Some(synced));
    if let Ok((_, report)) = opened {
        assert!(report.next >= synced && report.next.0 as usize <= written.len());
        read(&dir, &written[..report.next.0 as usize]);
    }
});

/// A frame for each byte, of so many bytes and more; the odd ones are synced.
fn write(dir: &Path, frames: &[u8]) -> (Vec<Vec<u8>>, FrameNo) {
    let (mut writer, _) = SegmentWriter::open(dir, OPTIONS, None).expect("a new directory");
    let mut written = Vec::new();
    for byte in frames {
        let payload = vec![*byte; usize::from(*byte) + 1];
        writer.append(&payload).expect("a frame");
        written.push(payload);
        if byte % 2 == 1 {
            writer.sync().expect("a sync");
        }
    }
    let synced = writer.synced();
    (written, synced)
}

fn read(dir: &Path, written: &[Vec<u8>]) {
    let Ok(reader) = SegmentReader::open(dir, OPTIONS.kind) else { return };
    let first = reader.first().unwrap_or_default();
    for frame in reader.iter_from(first) {
        let Ok((no, payload)) = frame else { break };
        assert_eq!(written.get(no.0 as usize), Some(&payload));
    }
    for no in 0..=written.len() {
        if let Ok(Some(payload)) = reader.frame(FrameNo(no as u64)) {
            assert_eq!(written.get(no), Some(&payload));
        }
    }
}
