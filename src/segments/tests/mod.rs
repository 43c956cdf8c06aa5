//! Frames that are written, read, rolled, trimmed and synced; `damage` and `faults` break things.

mod damage;
mod faults;

use std::path::Path;
use std::thread;

use super::*;

pub(super) const KIND: SegmentKind = SegmentKind::Journal;
const LARGE: SegmentOptions = SegmentOptions { kind: KIND, segment_bytes_max: 1 << 20 };
/// Three or four of the test's frames.
const SMALL: SegmentOptions = SegmentOptions { kind: KIND, segment_bytes_max: 300 };

/// Mostly bytes are under test here, not the disk, whose many fsyncs would take a minute.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn payload(no: u64) -> Vec<u8> {
    format!("payload of frame {no}, {}", "x".repeat((no % 7) as usize)).into_bytes()
}

fn open(dir: &Path, options: SegmentOptions) -> (SegmentWriter, OpenReport) {
    SegmentWriter::open(dir, options, None).unwrap()
}

fn append(writer: &mut SegmentWriter, count: u64) {
    for _ in 0..count {
        let no = writer.next();
        assert_eq!(writer.append(&payload(no.0)).unwrap(), no);
    }
}

#[track_caller]
fn assert_holds(dir: &Path, first: u64, end: u64) {
    let reader = SegmentReader::open(dir, KIND).unwrap();
    let read: Vec<_> = reader.iter_from(FrameNo(first)).map(Result::unwrap).collect();
    let expected: Vec<_> = (first..end).map(|no| (FrameNo(no), payload(no))).collect();
    assert_eq!(read, expected);
    assert_eq!(reader.end().unwrap(), FrameNo(end));
    for no in first..end {
        assert_eq!(reader.frame(FrameNo(no)).unwrap(), Some(payload(no)));
    }
    assert_eq!(reader.frame(FrameNo(end)).unwrap(), None);
}

#[test]
fn frames_are_read_back_over_segments_and_runs() {
    let dir = in_memory();
    for run in 0..5 {
        let (mut writer, report) = open(dir.path(), SMALL);
        assert_eq!((report.next, report.truncated_bytes), (FrameNo(run * 7), 0));
        append(&mut writer, 7);
        assert_eq!(writer.next(), FrameNo((run + 1) * 7));
    }
    assert_holds(dir.path(), 0, 35);
    let (writer, report) = open(dir.path(), SMALL);
    assert!(report.segments > 5, "{report:?}");
    let on_disk: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(writer.bytes(), on_disk);
}

#[test]
fn frame_larger_than_a_segment_has_one_of_its_own() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), SMALL);
    let large = vec![7; 2_000_000];
    writer.append(b"before").unwrap();
    writer.append(&large).unwrap();
    writer.append_parts(&[b"af", b"", b"ter"]).unwrap();
    assert_eq!(writer.sealed().count(), 2);
    let reader = SegmentReader::open(dir.path(), KIND).unwrap();
    let read: Vec<_> = reader.iter_from(FrameNo(0)).map(|frame| frame.unwrap().1).collect();
    assert_eq!(read, [b"before".to_vec(), large, b"after".to_vec()]);
    drop(writer);
    assert_eq!(open(dir.path(), SMALL).1.next, FrameNo(3));
}

#[test]
fn empty_and_oversized_payloads_are_refused() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), LARGE);
    assert!(matches!(writer.append(b""), Err(SegmentError::FrameSize { bytes: 0, .. })));
    assert_eq!(writer.append(b"1").unwrap(), FrameNo(0));
}

#[test]
fn another_kinds_segments_are_refused() {
    let dir = in_memory();
    append(&mut open(dir.path(), LARGE).0, 1);
    let log = SegmentOptions { kind: SegmentKind::Log, ..LARGE };
    let refused = SegmentWriter::open(dir.path(), log, None);
    assert!(matches!(refused, Err(SegmentError::Foreign { .. })), "{refused:?}");
}

#[test]
fn numbering_starts_where_a_restore_says() {
    let dir = in_memory();
    let mut writer = SegmentWriter::create(dir.path(), SMALL, FrameNo(1000)).unwrap();
    append(&mut writer, 10);
    drop(writer);
    assert_holds(dir.path(), 1000, 1010);
    assert_eq!(open(dir.path(), SMALL).1.first, FrameNo(1000));
    let again = SegmentWriter::create(dir.path(), SMALL, FrameNo(5));
    assert!(matches!(again, Err(SegmentError::NotEmpty { .. })));
}

#[test]
fn cursor_follows_the_writer_over_segments() {
    let dir = in_memory();
    let reader = SegmentReader::open(dir.path(), KIND).unwrap();
    let mut cursor = reader.cursor(FrameNo(0));
    assert_eq!(cursor.next().unwrap(), None);
    let (mut writer, _) = open(dir.path(), SMALL);
    for no in 0..50 {
        assert_eq!(cursor.next().unwrap(), None);
        append(&mut writer, 1);
        let frame = cursor.next().unwrap().unwrap();
        assert_eq!((frame.no, frame.payload), (FrameNo(no), payload(no).as_slice()));
    }
}

#[test]
fn reader_keeps_up_with_a_writer_and_a_syncer_in_other_threads() {
    const FRAMES: u64 = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let options = SegmentOptions { segment_bytes_max: 20_000, ..LARGE };
    let (mut writer, _) = open(dir.path(), options);
    let sync = writer.sync_handle();
    let reader = SegmentReader::open(dir.path(), KIND).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || append(&mut writer, FRAMES));
        scope.spawn(move || {
            while sync.sync().unwrap() < FrameNo(FRAMES) {
                assert!(sync.synced() <= FrameNo(FRAMES));
                thread::yield_now();
            }
            assert_eq!(sync.synced(), FrameNo(FRAMES));
        });
        let mut cursor = reader.cursor(FrameNo(0));
        let mut read = 0;
        while read < FRAMES {
            match cursor.next().unwrap() {
                Some(frame) => {
                    assert_eq!(frame.payload, payload(read));
                    read += 1;
                }
                None => thread::yield_now(),
            }
        }
    });
    assert_eq!(open(dir.path(), options).1.next, FrameNo(FRAMES));
}

#[test]
fn frame_under_way_is_never_taken_for_damage() {
    const FRAMES: u64 = 3_000;
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), LARGE);
    let reader = SegmentReader::open(dir.path(), KIND).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..FRAMES {
                append(&mut writer, 1);
                // The next frame says that this one was synced.
                writer.sync().unwrap();
            }
        });
        let mut cursor = reader.cursor(FrameNo(0));
        for no in 0..FRAMES {
            while reader.frame(FrameNo(no)).unwrap().is_none() {}
            while cursor.next().unwrap().is_none() {}
        }
    });
}

#[test]
fn half_written_frame_is_not_there_yet() {
    let (dir, other) = (in_memory(), in_memory());
    append(&mut open(dir.path(), LARGE).0, 3);
    let from = file::path(dir.path(), FrameNo(0));
    let bytes = std::fs::read(&from).unwrap();
    let to = file::path(other.path(), FrameNo(0));
    std::fs::write(&to, &bytes[..bytes.len() - 10]).unwrap();
    let reader = SegmentReader::open(other.path(), KIND).unwrap();
    let mut cursor = reader.cursor(FrameNo(2));
    assert_eq!(cursor.next().unwrap(), None);
    assert_eq!(reader.frame(FrameNo(2)).unwrap(), None);
    assert_eq!(reader.end().unwrap(), FrameNo(2));
    std::fs::write(&to, &bytes).unwrap();
    assert_eq!(cursor.next().unwrap().unwrap().payload, payload(2));
    assert_eq!(reader.frame(FrameNo(2)).unwrap(), Some(payload(2)));
}

#[test]
fn trimming_removes_whole_segments_with_their_tables() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), SMALL);
    append(&mut writer, 30);
    let second = *writer.sealed().nth(1).unwrap();
    IdTable::build(dir.path(), KIND, FrameNo(0), vec![(1, 1)]).unwrap();
    let before = writer.bytes();
    assert_eq!(writer.trim_before(FrameNo(second.base.0 - 1)).unwrap(), 0);
    let removed = writer.trim_before(FrameNo(second.end.0 + 1)).unwrap();
    assert_eq!((writer.first(), writer.bytes()), (second.end, before - removed));
    assert!(!file::ids_path(dir.path(), FrameNo(0)).exists());
    assert_holds(dir.path(), second.end.0, 30);
    let reader = SegmentReader::open(dir.path(), KIND).unwrap();
    assert_eq!(reader.frame(FrameNo(0)).unwrap(), None);
    let gone = reader.cursor(FrameNo(0)).next().unwrap_err();
    assert!(matches!(gone, SegmentError::Trimmed { first, .. } if first == second.end));
    drop(writer);
    assert_eq!(open(dir.path(), SMALL).1.first, second.end);
    // The active segment stays, whatever is asked for.
    let (mut writer, _) = open(dir.path(), SMALL);
    writer.trim_before(FrameNo(u64::MAX)).unwrap();
    append(&mut writer, 1);
    assert_eq!(reader.frame(FrameNo(30)).unwrap(), Some(payload(30)));
}

#[test]
fn id_table_finds_every_id_and_no_other() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), LARGE);
    append(&mut writer, 2);
    writer.roll().unwrap();
    for count in [0_u64, 1, 339, 340, 341, 5_000] {
        let hash = |id: u64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut entries: Vec<_> = (0..count).map(|id| (hash(id), id as u32)).collect();
        // The same id again and again, over the edge of a block.
        entries.extend((0..700).map(|again| (hash(3), 10_000 + again)));
        IdTable::build(dir.path(), KIND, FrameNo(0), entries).unwrap();
        let table = IdTable::open(dir.path(), KIND, FrameNo(0)).unwrap().unwrap();
        assert_eq!(table.entries(), count + 700);
        for id in (0..count).filter(|id| *id != 3) {
            assert_eq!(table.positions(hash(id)).unwrap(), [id as u32]);
        }
        assert_eq!(table.positions(hash(3)).unwrap().len(), 700 + usize::from(count > 3));
        assert!(table.positions(2).unwrap().is_empty());
        assert!(table.positions(u64::MAX).unwrap().is_empty());
    }
    let bytes = std::fs::metadata(file::ids_path(dir.path(), FrameNo(0))).unwrap().len();
    assert!(bytes < 5_700 * 13, "{bytes}");
}

#[test]
fn id_table_of_another_segment_is_none_and_a_damaged_one_says_so() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), SMALL);
    append(&mut writer, 30);
    let second = writer.sealed().nth(1).unwrap().base;
    assert!(IdTable::open(dir.path(), KIND, second).unwrap().is_none());
    IdTable::build(dir.path(), KIND, FrameNo(0), vec![(5, 6)]).unwrap();
    let path = file::ids_path(dir.path(), FrameNo(0));
    std::fs::copy(&path, file::ids_path(dir.path(), second)).unwrap();
    assert!(IdTable::open(dir.path(), KIND, second).unwrap().is_none());
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        if let Some(table) = IdTable::open(dir.path(), KIND, FrameNo(0)).unwrap() {
            assert!(table.positions(5).unwrap_err().is_damage(), "byte {at}");
        }
    }
}
