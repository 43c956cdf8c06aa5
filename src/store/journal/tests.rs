//! Frames come back as they were staged, and no bytes make reading panic.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::event::EventKind;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::RecordKind;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::segments::{FrameNo, SegmentKind, SegmentOptions, SegmentWriter};
use crate::store::StoreError;
use crate::store::cache::ReadCache;
use crate::store::codec::{ChangeRef, Links};
use crate::store::cut::Cut;
use crate::store::digest::Digest;

fn meta(offset: u64) -> EntryMeta<'static> {
    EntryMeta {
        event_id: b"evt_1",
        kind: EventKind::Deleted,
        source: b"acme",
        event_time_us: Some(7),
        principal: Some(b"ada"),
        ..EntryMeta::at(Lane(3), Offset(offset), 1_700_000_000_000 - offset as i64)
    }
}

fn letter(value: &[u8]) -> DeadLetter<'_> {
    DeadLetter {
        reason: DeadLetterReason::MalformedJson,
        detail: "at byte 3",
        key: None,
        value: Some(value),
        headers: b"raw headers",
    }
}

fn away(value: &[u8]) -> AwayRecord<'_> {
    AwayRecord { contact_id: b"c-1", key: None, value: Some(value), headers: b"raw headers" }
}

/// An entry of a frame that stands in a journal, read with nothing of it kept, and with all.
fn entry_of(payload: &[u8], index: u16) -> Result<JournalEntry, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let options = SegmentOptions { kind: SegmentKind::Journal, segment_bytes_max: 1 << 20 };
    let (mut writer, _) = SegmentWriter::open(dir.path(), options, None).unwrap();
    for no in 0..8 {
        writer.append(if no == 7 { payload } else { b"another" }).unwrap();
    }
    let cache = Arc::new(ReadCache::new(1 << 20, Duration::from_secs(60)));
    let journal = Journal::cached(dir.path(), Arc::clone(&cache)).unwrap();
    let change = ChangeRef::new(FrameNo(7), index);
    let entry = journal.entry(change)?.unwrap();
    assert_eq!((cache.stats().hits, cache.stats().misses), (0, 2));
    let again = journal.entry(change)?.unwrap();
    assert_eq!((cache.stats().hits, cache.stats().misses), (2, 2));
    assert_eq!(again.view()?.attempt, entry.view()?.attempt);
    Ok(entry)
}

fn after() -> Cut {
    let last = LastRecord { offset: Offset(41), leader_epoch: Some(0), hash: 99 };
    let mut cut = Cut { next_frame: FrameNo(8), ..Cut::default() };
    cut.lanes.insert(Lane(3), LaneProgress { next: NextOffset(46), last: Some(last) });
    cut.lanes.insert(Lane(4), LaneProgress::at(NextOffset(0)));
    cut.counters.verdicts = [1, 2, 3, 4, 5, 6, 7, 8, 1 << 40];
    cut.counters.active = 12;
    cut.digest = Digest(u128::MAX - 1);
    cut.record_time_ms = 1_700_000_000_000;
    cut
}

fn frame() -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    let body = vec![b'x'; 30 << 10];
    let place = |index| ChangeRef::new(FrameNo(7), index);
    let applied = Verdict::Applied;
    builder.image(&meta(40), applied, place(0), Links::NONE, b"c-1", &body).unwrap();
    builder.image(&meta(41), applied, place(1), place(0).into(), b"c-1", b"short").unwrap();
    builder.settled(&meta(42), Verdict::Stale).unwrap();
    builder.dead_letter(&meta(43), &letter(&vec![b'v'; 200 << 10])).unwrap();
    builder.dead_letter(&meta(44), &letter(&body)).unwrap();
    builder.rehomed(&meta(45), &away(&vec![b'v'; 200 << 10])).unwrap();
    let mut payload = Vec::new();
    builder.finish(&after(), &mut payload);
    payload
}

#[test]
fn frames_come_back() {
    let frame = Frame::parse(FrameNo(7), frame()).unwrap();
    assert_eq!(frame.head.after, after());
    let mut seen = Vec::new();
    frame
        .for_each(&mut Vec::new(), |entry| {
            assert_eq!(entry.record_time_ms, 1_700_000_000_000 - entry.offset.0 as i64);
            assert_eq!((entry.lane, entry.change.frame()), (Lane(3), FrameNo(7)));
            assert_eq!(entry.source, b"acme");
            match &entry.outcome {
                Outcome::Applied(applied) => {
                    assert_eq!((applied.id, applied.kind), (&b"c-1"[..], EventKind::Deleted));
                    assert_eq!((applied.event_id, applied.source), (&b"evt_1"[..], &b"acme"[..]));
                    assert_eq!((applied.principal, applied.request_id), (Some(&b"ada"[..]), None));
                    assert_eq!(applied.event_time_us, Some(7));
                    seen.push((
                        entry.verdict,
                        applied.body.len(),
                        applied.previous.image.is_some(),
                    ));
                }
                Outcome::DeadLettered(letter) => {
                    assert_eq!((letter.detail, letter.key), ("at byte 3", None));
                    assert_eq!(letter.headers, b"raw headers");
                    let kept = letter.value.map_or(0, <[u8]>::len);
                    seen.push((entry.verdict, kept, letter.value_len > kept as u64));
                }
                Outcome::Rehomed(rehomed) => {
                    let value = rehomed.record.value.unwrap();
                    assert_eq!((rehomed.event_id, rehomed.event_time_us), (&b"evt_1"[..], Some(7)));
                    assert_eq!(rehomed.record, away(value));
                    seen.push((entry.verdict, value.len(), false));
                }
                Outcome::Noted(_) | Outcome::Control(_) | Outcome::Rules(_) | Outcome::Settled => {
                    seen.push((entry.verdict, 0, false));
                }
            }
            Ok(())
        })
        .unwrap();
    let expected = [
        (Verdict::Applied, 30 << 10, false),
        (Verdict::Applied, 5, true),
        (Verdict::Stale, 0, false),
        (Verdict::DeadLettered, VALUE_HEAD, true),
        (Verdict::DeadLettered, 30 << 10, false),
        (Verdict::Rehomed, 200 << 10, false),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn only_a_backlogs_frames_are_left_as_large_as_they_are() {
    let body = [b'x'; 1000];
    let stored = |count: usize| {
        let mut builder = FrameBuilder::new();
        for offset in 0..count {
            let this = ChangeRef::new(FrameNo(7), offset as u16);
            let meta = meta(offset as u64);
            builder.image(&meta, Verdict::Applied, this, Links::NONE, b"c-1", &body).unwrap();
        }
        let mut payload = Vec::new();
        builder.finish(&after(), &mut payload);
        let len = payload.len();
        let entry = entry_of(&payload, count as u16 - 1).unwrap();
        let Outcome::Applied(applied) = entry.view().unwrap().outcome else { panic!() };
        assert_eq!(applied.body, body);
        len
    };
    assert!(stored(400) < 20_000);
    assert!(stored(600) > 600_000);
}

#[test]
fn one_entry_is_found_without_the_others() {
    let entry = entry_of(&frame(), 1).unwrap();
    let entry = entry.view().unwrap();
    let Outcome::Applied(applied) = entry.outcome else { panic!("{entry:?}") };
    assert_eq!(applied.previous, ChangeRef::new(FrameNo(7), 0).into());
    assert_eq!(applied.joined, b"c-1\0short");
    entry_of(&frame(), 6).unwrap_err();
}

#[test]
fn an_image_without_a_change_leads_past_itself_to_the_change_before() {
    let mut builder = FrameBuilder::new();
    let change = ChangeRef::new(FrameNo(3), 9);
    let before = Links { image: ChangeRef::new(FrameNo(6), 1), change };
    let this = ChangeRef::new(FrameNo(7), 0);
    for verdict in [Verdict::Unchanged, Verdict::Stale, Verdict::Applied] {
        builder.clear();
        builder.image(&meta(40), verdict, this, before, b"c-1", b"body").unwrap();
        let mut payload = Vec::new();
        builder.finish(&after(), &mut payload);
        let entry = entry_of(&payload, 0).unwrap();
        let entry = entry.view().unwrap();
        assert_eq!((entry.verdict, entry.record_kind), (verdict, RecordKind::Contact));
        let (image, is_change) = match entry.outcome {
            Outcome::Applied(image) => (image, true),
            Outcome::Noted(image) => (image, false),
            Outcome::Control(_)
            | Outcome::DeadLettered(_)
            | Outcome::Rehomed(_)
            | Outcome::Rules(_)
            | Outcome::Settled => {
                panic!("{entry:?}")
            }
        };
        assert_eq!((image.previous, image.body), (before, b"body".as_slice()));
        let change = if is_change { this } else { change };
        assert_eq!(
            (is_change, image.links(&entry)),
            (verdict == Verdict::Applied, Links { image: this, change })
        );
    }
}

/// Whatever byte of a frame was changed, an entry is as it was written, or is refused.
#[test]
fn one_entry_of_a_damaged_frame_is_never_another() {
    let mut builder = FrameBuilder::new();
    builder
        .image(
            &meta(40),
            Verdict::Applied,
            ChangeRef::new(FrameNo(7), 0),
            Links::NONE,
            b"c-1",
            b"body",
        )
        .unwrap();
    builder.settled(&meta(41), Verdict::Stale).unwrap();
    let mut good = Vec::new();
    builder.finish(&after(), &mut good);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        if let Ok(entry) = entry_of(&bad, 0)
            && let Ok(Outcome::Applied(applied)) = entry.view().map(|entry| entry.outcome)
        {
            assert_eq!((applied.id, applied.body), (&b"c-1"[..], &b"body"[..]), "byte {at}");
        }
    }
}

#[test]
fn damaged_payloads_are_errors_never_panics() {
    let good = frame();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..2_000 {
        let mut bad = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bad.len().min(4_000));
            bad[at] = random.u8(..);
        }
        bad.truncate(random.usize(..=bad.len()));
        if let Ok(frame) = Frame::parse(FrameNo(7), bad) {
            let _ = frame.for_each(&mut Vec::new(), |_| Ok(()));
        }
    }
    let mut newer = good;
    newer[0] = FORMAT + 1;
    assert!(matches!(
        Frame::parse(FrameNo(7), newer),
        Err(crate::store::StoreError::UnknownFormat { .. })
    ));
}

#[test]
fn numbers_that_can_not_be_are_errors_never_overflows() {
    let no = FrameNo(7);
    let sealed = |head: &[u8]| {
        let mut payload = Vec::new();
        blocks::seal_head(no, FORMAT, head, &mut payload);
        Frame::parse(no, payload)
    };
    let mut empty = Vec::new();
    FrameBuilder::new().finish(&after(), &mut empty);
    let head = blocks::sealed_head(no, &empty).unwrap();
    sealed(head).unwrap();
    // A block that claims all the entries there can be.
    let mut block = head.to_vec();
    for number in [u64::MAX, 1, u64::MAX] {
        varint::put(&mut block, number);
    }
    block.extend_from_slice(&[0; 4]);
    sealed(&block).unwrap_err();
    // Two times, one lane: its number, next offset, that there is a last record, how far back.
    let mut lane = vec![0, 0, 1, 0, 9, 1, 1];
    varint::put_signed(&mut lane, i64::MIN);
    lane.extend_from_slice(head);
    sealed(&lane).unwrap_err();
}
