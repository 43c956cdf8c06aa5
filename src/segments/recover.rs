//! Opening: what the last run left, told apart into whole frames, a torn end, and damage.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::telemetry::fault;

use super::error::io_error;
use super::file::{self, OpenSegment, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::frame;
use super::window::{Place, Window};
use super::{FrameNo, SegmentError, SegmentInfo, SegmentOptions};

/// What opening found and mended.
pub(super) struct Recovered {
    /// Sealed segments, oldest first.
    pub(super) sealed: VecDeque<SegmentInfo>,
    /// The segment to append to.
    pub(super) active: OpenSegment,
    /// Its length.
    pub(super) bytes: u64,
    /// The next frame.
    pub(super) next: FrameNo,
    /// Bytes cut off the end.
    pub(super) truncated_bytes: u64,
}

/// Reads what stands in `dir`, cuts a torn end, and syncs all that is kept.
pub(super) fn recover(
    dir: &Path,
    options: SegmentOptions,
    proven: FrameNo,
) -> Result<Recovered, SegmentError> {
    file::remove_unfinished(dir)?;
    let (sealed, last) = open_chain(dir, options)?;
    let Some(last) = last else {
        if proven > FrameNo(0) {
            return Err(SegmentError::BeyondEnd { path: dir.to_owned(), proven, end: FrameNo(0) });
        }
        let active = file::create(dir, options.kind, SegmentHeader::new(FrameNo(0), 0, 0))?;
        return Ok(Recovered {
            sealed,
            active,
            bytes: SEGMENT_HEADER_BYTES,
            next: FrameNo(0),
            truncated_bytes: 0,
        });
    };
    let tail = scan(&last, proven)?;
    if proven > tail.next {
        return Err(SegmentError::BeyondEnd { path: dir.to_owned(), proven, end: tail.next });
    }
    redirty(&last, tail.unproven_from, tail.end)?;
    let mut recovered = Recovered {
        sealed,
        active: last,
        bytes: tail.end,
        next: tail.next,
        truncated_bytes: tail.file_bytes - tail.end,
    };
    if recovered.truncated_bytes > 0 {
        cut(dir, options, &mut recovered)?;
    } else {
        sync(&recovered.active)?;
        file::sync_dir(dir)?;
    }
    Ok(recovered)
}

/// Opens every segment far enough to see that each follows the one before it.
fn open_chain(
    dir: &Path,
    options: SegmentOptions,
) -> Result<(VecDeque<SegmentInfo>, Option<OpenSegment>), SegmentError> {
    let bases = file::list(dir)?;
    let mut sealed = VecDeque::with_capacity(bases.len());
    let mut last: Option<OpenSegment> = None;
    for base in bases {
        let Some(segment) = OpenSegment::open(dir, base, options.kind, true)? else {
            continue;
        };
        if let Some(before) = last.replace(segment) {
            let segment = last.as_ref().map(|segment| segment.header);
            let info = SegmentInfo::of(&before, base)?;
            let follows = segment.is_some_and(|header| {
                header.previous_id == before.header.id && header.previous_bytes == info.bytes
            });
            if !follows {
                return Err(SegmentError::Damage {
                    path: before.path,
                    at: info.bytes,
                    frame: base,
                    detail: "the sealed segment is not the one, or not as long, as the next one says",
                });
            }
            sealed.push_back(info);
        }
    }
    Ok((sealed, last))
}

/// The last segment's whole frames.
struct Tail {
    next: FrameNo,
    /// Where the whole frames end.
    end: u64,
    file_bytes: u64,
    /// Where frames start that nothing proves to be on disk.
    unproven_from: u64,
}

fn scan(segment: &OpenSegment, proven: FrameNo) -> Result<Tail, SegmentError> {
    let read = |error| io_error("read", &segment.path)(error);
    let file_bytes = segment.bytes()?;
    let mut window = Window::default();
    let mut proven = proven;
    let mut unproven = VecDeque::new();
    let (mut next, mut end) = (segment.header.base, SEGMENT_HEADER_BYTES);
    loop {
        match window.frame(&segment.file, segment.header.id, next, end).map_err(read)? {
            Place::Frame(header, _) => {
                proven = proven.max(header.synced_to);
                unproven.push_back((next, end));
                while unproven.front().is_some_and(|(no, _)| *no < proven) {
                    unproven.pop_front();
                }
                next = next.next();
                end += header.frame_bytes() as u64;
            }
            Place::End => break,
            Place::Bad => {
                refuse_damage(segment, proven, next, end, file_bytes)?;
                break;
            }
        }
    }
    let unproven_from = unproven.front().map_or(end, |(_, at)| *at);
    Ok(Tail { next, end, file_bytes, unproven_from })
}

/// Fails when the bad frame at `at` was once synced.
fn refuse_damage(
    segment: &OpenSegment,
    proven: FrameNo,
    bad: FrameNo,
    at: u64,
    file_bytes: u64,
) -> Result<(), SegmentError> {
    let damage =
        |detail| SegmentError::Damage { path: segment.path.clone(), at, frame: bad, detail };
    if bad < proven {
        return Err(damage("the frame was synced, and is not whole any more"));
    }
    if is_proved_behind(segment, bad, at, file_bytes)? {
        return Err(damage(
            "a later frame says that this one was synced, and it is not whole any more",
        ));
    }
    Ok(())
}

/// Whether a frame behind the bad one at `at` says that it was synced.
pub(super) fn is_proved_behind(
    segment: &OpenSegment,
    bad: FrameNo,
    at: u64,
    file_bytes: u64,
) -> Result<bool, SegmentError> {
    let behind = usize::try_from(file_bytes.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut window = Window::default();
    let bytes = window.get(&segment.file, at, behind).map_err(io_error("read", &segment.path))?;
    Ok(frame::proves_damage(bytes, segment.header.id, bad))
}

/// Writes unproven bytes over themselves, so that the coming fsync really writes them: after an
/// fsync that failed in the last run the kernel may hold them as clean.
fn redirty(segment: &OpenSegment, from: u64, to: u64) -> Result<(), SegmentError> {
    const STEP: usize = 1 << 20;
    let mut window = Window::default();
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).unwrap_or(STEP).min(STEP);
        let bytes = window.get(&segment.file, at, len).map_err(io_error("read", &segment.path))?;
        segment.file.write_all_at(bytes, at).map_err(io_error("rewrite", &segment.path))?;
        at += len as u64;
    }
    Ok(())
}

/// Cuts the torn end off and goes on in a segment with another id.
fn cut(dir: &Path, options: SegmentOptions, recovered: &mut Recovered) -> Result<(), SegmentError> {
    let segment = &recovered.active;
    segment.file.set_len(recovered.bytes).map_err(io_error("truncate", &segment.path))?;
    sync(segment)?;
    let header = segment.header;
    let next = if recovered.next == header.base {
        SegmentHeader::new(header.base, header.previous_id, header.previous_bytes)
    } else {
        recovered.sealed.push_back(SegmentInfo::of(segment, recovered.next)?);
        SegmentHeader::new(recovered.next, header.id, recovered.bytes)
    };
    recovered.active = file::create(dir, options.kind, next)?;
    recovered.bytes = SEGMENT_HEADER_BYTES;
    Ok(())
}

fn sync(segment: &OpenSegment) -> Result<(), SegmentError> {
    let path = &segment.path;
    let synced = fault::synced(&segment.file, || segment.file.sync_all());
    synced.map_err(|source| SegmentError::Io { what: "sync", path: path.clone(), source })
}
