//! Cut, zeroed, flipped, swapped and recycled bytes at every position of a frame, before and after
//! the position proved synced.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use super::super::file::SEGMENT_HEADER_BYTES;
use super::*;

/// A directory with one segment of `count` frames, none of which says that others are synced.
struct Image {
    dir: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where each frame stands.
    frames: Vec<Range<usize>>,
}

impl Image {
    /// `synced_after`: a sync comes after this many frames, and later frames tell of it.
    fn new(count: u64, synced_after: Option<u64>) -> Self {
        let dir = in_memory();
        let (mut writer, _) = open(dir.path(), LARGE);
        let mut frames = Vec::new();
        let mut at = SEGMENT_HEADER_BYTES as usize;
        for no in 0..count {
            if synced_after == Some(no) {
                writer.sync().unwrap();
            }
            append(&mut writer, 1);
            let end = writer.bytes() as usize;
            frames.push(at..end);
            at = end;
        }
        let path = file::path(dir.path(), FrameNo(0));
        let bytes = fs::read(&path).unwrap();
        Self { dir, path, bytes, frames }
    }

    /// Opens these bytes instead.
    fn open(
        &self,
        bytes: &[u8],
        proven: Option<u64>,
    ) -> Result<(SegmentWriter, OpenReport), SegmentError> {
        for file in fs::read_dir(self.dir.path()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        fs::write(&self.path, bytes).unwrap();
        SegmentWriter::open(self.dir.path(), LARGE, proven.map(FrameNo))
    }

    /// The end from the start of frame `next` on is cut, and writing goes on there.
    #[track_caller]
    fn assert_cut(&self, bytes: &[u8], next: u64) {
        let (mut writer, report) = self.open(bytes, None).unwrap();
        assert_eq!(report.next, FrameNo(next));
        let kept = self.frames.get(next as usize).map_or(self.bytes.len(), |frame| frame.start);
        assert_eq!(report.truncated_bytes, (bytes.len() - kept) as u64);
        append(&mut writer, 2);
        drop(writer);
        assert_holds(self.dir.path(), 0, next + 2);
        assert_eq!(open(self.dir.path(), LARGE).1.next, FrameNo(next + 2));
    }

    #[track_caller]
    fn assert_damage(&self, bytes: &[u8], proven: Option<u64>, frame: u64) {
        let error = self.open(bytes, proven).unwrap_err();
        match error {
            SegmentError::Damage { frame: named, at, .. } => {
                assert_eq!(named, FrameNo(frame));
                assert_eq!(at, self.frames[frame as usize].start as u64);
            }
            SegmentError::BeyondEnd { end, .. } => assert_eq!(end, FrameNo(frame)),
            other => panic!("{other}"),
        }
        assert_eq!(fs::read(&self.path).unwrap(), bytes, "damage must be left as it is");
    }
}

#[test]
fn cut_at_every_byte_keeps_the_whole_frames() {
    let image = Image::new(4, None);
    for len in image.frames[1].start..image.bytes.len() {
        let next = image.frames.iter().filter(|frame| frame.end <= len).count() as u64;
        image.assert_cut(&image.bytes[..len], next);
    }
}

#[test]
fn cut_at_every_byte_below_the_proved_position_is_damage() {
    let image = Image::new(4, None);
    for len in image.frames[1].start..image.frames[2].end {
        let next = image.frames.iter().filter(|frame| frame.end <= len).count() as u64;
        image.assert_damage(&image.bytes[..len], Some(3), next);
    }
    assert!(image.open(&image.bytes[..image.frames[2].end], Some(3)).is_ok());
    let beyond = image.open(&image.bytes, Some(5)).unwrap_err();
    assert!(matches!(beyond, SegmentError::BeyondEnd { end: FrameNo(4), proven: FrameNo(5), .. }));
}

#[test]
fn zeroes_from_every_byte_on_are_cut_or_damage() {
    let image = Image::new(4, None);
    for from in image.frames[1].start..image.bytes.len() {
        let mut bytes = image.bytes.clone();
        bytes[from..].fill(0);
        let whole =
            image.frames.iter().filter(|frame| bytes[..frame.end] == image.bytes[..frame.end]);
        let next = whole.count() as u64;
        image.assert_cut(&bytes, next);
        if next < 3 {
            image.assert_damage(&bytes, Some(3), next);
        }
    }
}

#[test]
fn zeroed_page_in_the_middle_of_the_unproved_end_is_cut() {
    let image = Image::new(5, Some(1));
    let mut bytes = image.bytes.clone();
    bytes[image.frames[2].clone()].fill(0);
    // Frames 3 and 4 are whole, but say only that frame 0 was synced.
    image.assert_cut(&bytes, 2);
}

#[test]
fn flipped_byte_of_an_unproved_frame_cuts_there() {
    let image = Image::new(3, None);
    for at in image.frames[1].clone() {
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let (_, report) = image.open(&bytes, None).unwrap();
        assert_eq!(report.next, FrameNo(1), "byte {at}");
    }
}

#[test]
fn every_flipped_bit_of_a_proved_frame_is_damage() {
    let told_by_a_frame = Image::new(5, Some(3));
    let told_by_the_caller = Image::new(3, None);
    for at in told_by_a_frame.frames[1].clone() {
        for bit in 0..8 {
            let mut bytes = told_by_a_frame.bytes.clone();
            bytes[at] ^= 1 << bit;
            told_by_a_frame.assert_damage(&bytes, None, 1);
            let mut bytes = told_by_the_caller.bytes.clone();
            bytes[at] ^= 1 << bit;
            told_by_the_caller.assert_damage(&bytes, Some(2), 1);
        }
    }
}

#[test]
fn swapped_frames_are_cut_or_damage() {
    for (synced_after, proven) in [(None, None), (None, Some(3)), (Some(4), None)] {
        let image = Image::new(9, synced_after);
        // Frames 1 and 8 are equally long.
        let (one, other) = (image.frames[1].clone(), image.frames[8].clone());
        assert_eq!(one.len(), other.len());
        let mut bytes = image.bytes.clone();
        bytes[one.clone()].copy_from_slice(&image.bytes[other.clone()]);
        bytes[other].copy_from_slice(&image.bytes[one]);
        if synced_after.or(proven).is_some() {
            image.assert_damage(&bytes, proven, 1);
        } else {
            image.assert_cut(&bytes, 1);
        }
    }
}

#[test]
fn recycled_bytes_of_another_segment_are_never_frames() {
    let (image, other) = (Image::new(4, None), Image::new(4, None));
    assert_eq!(image.frames, other.frames);
    for from in image.frames[1].start..image.bytes.len() {
        let mut bytes = image.bytes.clone();
        bytes[from..].copy_from_slice(&other.bytes[from..]);
        let next = image
            .frames
            .iter()
            .filter(|frame| bytes[..frame.end] == image.bytes[..frame.end])
            .count();
        let (_, report) = image.open(&bytes, None).unwrap();
        assert_eq!(report.next, FrameNo(next as u64), "from byte {from}");
    }
}

#[test]
fn frames_that_were_cut_never_come_back() {
    let image = Image::new(5, None);
    let mut bytes = image.bytes.clone();
    bytes[image.frames[2].start] ^= 1;
    let (mut writer, report) = image.open(&bytes, None).unwrap();
    assert_eq!(report.next, FrameNo(2));
    append(&mut writer, 1);
    // The disk brings the old frames 3 and 4 back where the next frames go.
    let path = file::path(image.dir.path(), FrameNo(2));
    let mut new = fs::read(&path).unwrap();
    new.extend_from_slice(&image.bytes[image.frames[3].start..]);
    drop(writer);
    fs::write(&path, new).unwrap();
    assert_eq!(open(image.dir.path(), LARGE).1.next, FrameNo(3));
}

#[test]
fn segment_that_lost_its_first_frame_is_replaced_and_followed() {
    let image = Image::new(2, None);
    let reader = SegmentReader::open(image.dir.path(), KIND).unwrap();
    let torn = &image.bytes[..image.frames[0].end - 1];
    fs::write(&image.path, torn).unwrap();
    let mut cursor = reader.cursor(FrameNo(0));
    assert_eq!(cursor.next().unwrap(), None);
    let (mut writer, _) = SegmentWriter::open(image.dir.path(), LARGE, None).unwrap();
    assert_eq!(cursor.next().unwrap(), None);
    append(&mut writer, 1);
    assert_eq!(cursor.next().unwrap().unwrap().payload, payload(0));
}

#[test]
fn every_flipped_byte_of_a_header_is_refused() {
    let image = Image::new(2, None);
    for at in 0..SEGMENT_HEADER_BYTES as usize {
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 1;
        let error = image.open(&bytes, None).unwrap_err();
        assert!(matches!(error, SegmentError::Foreign { .. }), "byte {at}: {error}");
    }
}

#[test]
fn sealed_segment_is_never_cut() {
    let dir = in_memory();
    let (mut writer, _) = open(dir.path(), SMALL);
    append(&mut writer, 30);
    let sealed = *writer.sealed().next().unwrap();
    drop(writer);
    let path = file::path(dir.path(), FrameNo(0));
    let bytes = fs::read(&path).unwrap();
    let reads = || {
        let reader = SegmentReader::open(dir.path(), KIND).unwrap();
        let by_cursor = reader.iter_from(FrameNo(0)).find_map(Result::err);
        let by_number = (0..sealed.end.0).find_map(|no| reader.frame(FrameNo(no)).err());
        [by_cursor, by_number]
    };
    for len in SEGMENT_HEADER_BYTES as usize..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = SegmentWriter::open(dir.path(), SMALL, None).unwrap_err();
        assert!(matches!(error, SegmentError::Damage { .. }), "{error}");
        assert!(
            reads().iter().all(|error| error.as_ref().is_some_and(SegmentError::is_damage)),
            "{len}"
        );
    }
    for at in SEGMENT_HEADER_BYTES as usize..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        fs::write(&path, damaged).unwrap();
        assert!(
            reads().iter().all(|error| error.as_ref().is_some_and(SegmentError::is_damage)),
            "{at}"
        );
    }
    fs::remove_file(&path).unwrap();
    let second = file::path(dir.path(), sealed.end);
    assert_eq!(open(dir.path(), SMALL).1.first, sealed.end);
    // A hole between segments is noticed.
    let third = SegmentReader::open(dir.path(), KIND).unwrap().segment_bases().unwrap()[1];
    fs::remove_file(file::path(dir.path(), third)).unwrap();
    assert!(second.exists());
    assert!(SegmentWriter::open(dir.path(), SMALL, None).unwrap_err().is_damage());
}

#[test]
fn damage_is_told_from_a_write_under_way_while_reading() {
    let image = Image::new(5, Some(3));
    let mut bytes = image.bytes.clone();
    bytes[image.frames[1].end - 1] ^= 1;
    fs::write(&image.path, &bytes).unwrap();
    let reader = SegmentReader::open(image.dir.path(), KIND).unwrap();
    let mut cursor = reader.cursor(FrameNo(0));
    assert!(cursor.next().unwrap().is_some());
    assert!(cursor.next().unwrap_err().is_damage());
    assert!(reader.frame(FrameNo(1)).unwrap_err().is_damage());
    assert_eq!(reader.frame(FrameNo(2)).unwrap(), Some(payload(2)));
}
