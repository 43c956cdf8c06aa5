//! Reading frames: by number, or one after the other while they are being written, in this process
//! or another.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::io_error;
use super::file::{self, OpenSegment, SEGMENT_HEADER_BYTES};
use super::frame::{self, HEADER_BYTES};
use super::recover::is_proved_behind;
use super::window::{Place, Window};
use super::{FrameNo, SegmentError, SegmentKind};

/// How far apart remembered places of frames lie, in bytes.
const MARK_BYTES: u64 = 64 << 10;
/// Files kept open.
const OPEN_MAX: usize = 64;
/// What looking up a single frame reads at once.
const LOOKUP_BYTES: usize = 16 << 10;

/// Reads segments, never writes; clones share open files and remembered places.
///
/// It sees whole frames only, also such as are not synced yet: who needs more asks the writer.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    kind: SegmentKind,
    known: Mutex<Known>,
}

/// What was seen of the directory.
#[derive(Debug, Default)]
struct Known {
    bases: Vec<FrameNo>,
    open: BTreeMap<FrameNo, Arc<Opened>>,
}

/// An open segment and where some of its frames start.
#[derive(Debug)]
struct Opened {
    segment: OpenSegment,
    /// Ascending, `MARK_BYTES` apart at least, so that finding a frame reads little.
    marks: Mutex<Vec<(FrameNo, u64)>>,
}

/// What of a segment there is to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentExtent {
    /// Its first frame.
    pub base: FrameNo,
    /// Its file.
    pub path: PathBuf,
    /// Bytes up to the end of its last whole frame; they never change.
    pub bytes: u64,
}

/// Where a walk to a frame came to.
enum Walk {
    /// The frame starts here, or will.
    At(u64),
    /// The segment ends with this as its next frame, at this byte.
    Short(FrameNo, u64),
}

impl Opened {
    /// Walks over the headers to where frame `no` starts.
    fn walk(&self, no: FrameNo) -> Result<Walk, SegmentError> {
        let read = |error| io_error("read", &self.segment.path)(error);
        let mut marks = self.marks.lock();
        let before = marks.partition_point(|(mark, _)| *mark <= no);
        let start = before.checked_sub(1).and_then(|last| marks.get(last)).copied();
        let (mut next, mut at) = start.unwrap_or((self.segment.header.base, SEGMENT_HEADER_BYTES));
        let file_bytes = self.segment.bytes()?;
        let mut window = Window::reading(LOOKUP_BYTES);
        while next < no {
            let bytes = window.get(&self.segment.file, at, HEADER_BYTES).map_err(read)?;
            let Some(header) = frame::header(bytes).filter(|header| header.is_plausible(next))
            else {
                return Ok(Walk::Short(next, at));
            };
            let end = at + header.frame_bytes() as u64;
            if end > file_bytes {
                return Ok(Walk::Short(next, at));
            }
            (next, at) = (next.next(), end);
            let last = marks.last().map_or(SEGMENT_HEADER_BYTES, |(_, at)| *at);
            if at >= last + MARK_BYTES {
                marks.push((next, at));
            }
        }
        Ok(Walk::At(at))
    }

    fn damage(&self, frame: FrameNo, at: u64) -> SegmentError {
        let detail = "the frame was synced, and is not whole any more";
        SegmentError::Damage { path: self.segment.path.clone(), at, frame, detail }
    }

    /// Whether bytes in the last segment that are no frame are damage, not a write under way.
    fn is_proved_behind(&self, bad: FrameNo, at: u64) -> Result<bool, SegmentError> {
        let OpenSegment { path, file, header, .. } = &self.segment;
        if !is_proved_behind(&self.segment, bad, at, self.segment.bytes()?)? {
            return Ok(false);
        }
        // The frame may have become whole between the look that found it bad and the one behind it.
        let mut window = Window::reading(LOOKUP_BYTES);
        let place = window.frame(file, header.id, bad, at);
        let place = place.map_err(io_error("read", path))?;
        Ok(!matches!(place, Place::Frame(..)))
    }
}

impl SegmentReader {
    /// A reader of the segments in `dir`, which may be empty or not there yet.
    pub fn open(dir: &Path, kind: SegmentKind) -> Result<Self, SegmentError> {
        let known = Known { bases: file::list(dir)?, open: BTreeMap::new() };
        Ok(Self {
            shared: Arc::new(Shared { dir: dir.to_owned(), kind, known: Mutex::new(known) }),
        })
    }

    /// The oldest frame there is, or will be.
    pub fn first(&self) -> Result<FrameNo, SegmentError> {
        Ok(self.list()?.first().copied().unwrap_or_default())
    }

    /// The frame after the last one.
    pub fn end(&self) -> Result<FrameNo, SegmentError> {
        let Some(last) = self.list()?.last().copied() else {
            return Ok(FrameNo(0));
        };
        match self.opened(last)? {
            None => Ok(last),
            Some(opened) => match opened.walk(FrameNo(u64::MAX))? {
                Walk::At(_) => Ok(FrameNo(u64::MAX)),
                Walk::Short(end, _) => Ok(end),
            },
        }
    }

    /// All segments, each up to its last whole frame and not beyond `to`.
    pub(super) fn extents(&self, to: FrameNo) -> Result<Vec<SegmentExtent>, SegmentError> {
        let bases = self.list()?;
        let mut extents = Vec::with_capacity(bases.len());
        for (number, base) in bases.iter().enumerate() {
            let Some(opened) = self.opened(*base)? else {
                continue;
            };
            // A sealed one has nothing else; how many bytes it has says the next one's header as well.
            let bytes = match bases.get(number + 1) {
                Some(_) => opened.segment.bytes()?,
                None => match opened.walk(to)? {
                    Walk::At(at) | Walk::Short(_, at) => at,
                },
            };
            extents.push(SegmentExtent { base: *base, path: opened.segment.path.clone(), bytes });
        }
        Ok(extents)
    }

    /// First frames of all segments, in order.
    pub fn segment_bases(&self) -> Result<Vec<FrameNo>, SegmentError> {
        self.list()
    }

    /// The payload of frame `no`; `None` when it is not there yet, or not any more.
    pub fn frame(&self, no: FrameNo) -> Result<Option<Vec<u8>>, SegmentError> {
        // What is known of the directory is mostly right; what it doesn't hold is looked for anew.
        let known = self.shared.known.lock().bases.clone();
        match self.frame_among(no, &known) {
            Ok(Some(payload)) => Ok(Some(payload)),
            Ok(None) | Err(_) => self.frame_among(no, &self.list()?),
        }
    }

    /// Bytes of a frame's payload, as they stand in the file; fewer where the payload ends. Whether they
    /// are what was written, the caller's own checksum tells. `None`: the frame is not there, or not whole.
    pub fn part(&self, no: FrameNo, within: Range<usize>) -> Result<Option<Vec<u8>>, SegmentError> {
        let known = self.shared.known.lock().bases.clone();
        let Some((opened, Walk::At(at), _)) = self.walked(no, &known)? else {
            return Ok(None);
        };
        let OpenSegment { path, file, .. } = &opened.segment;
        // What begins a payload is read with its header.
        let first = if within.start == 0 { within.end } else { 0 };
        let mut window = Window::reading(HEADER_BYTES + first);
        let start = window.get(file, at, HEADER_BYTES).map_err(io_error("read", path))?;
        let Some(header) = frame::header(start).filter(|header| header.is_plausible(no)) else {
            return Ok(None);
        };
        if at + header.frame_bytes() as u64 > opened.segment.bytes()? {
            return Ok(None);
        }
        // A length made up by damage must not make us allocate for it.
        let len = within.end.min(header.len as usize).saturating_sub(within.start);
        let at = at + (HEADER_BYTES + within.start) as u64;
        window.into_bytes(file, at, len).map(Some).map_err(io_error("read", path))
    }

    /// The segment that should hold frame `no`, where a walk to it came to, and whether it is sealed.
    fn walked(
        &self,
        no: FrameNo,
        bases: &[FrameNo],
    ) -> Result<Option<(Arc<Opened>, Walk, bool)>, SegmentError> {
        let Some((base, is_sealed)) = containing(bases, no) else {
            return Ok(None);
        };
        let Some(opened) = self.opened(base)? else {
            return Ok(None);
        };
        let walk = opened.walk(no)?;
        Ok(Some((opened, walk, is_sealed)))
    }

    fn frame_among(&self, no: FrameNo, bases: &[FrameNo]) -> Result<Option<Vec<u8>>, SegmentError> {
        let Some((opened, walk, is_sealed)) = self.walked(no, bases)? else {
            return Ok(None);
        };
        let at = match walk {
            Walk::At(at) => at,
            Walk::Short(end, at) if is_sealed => return Err(opened.damage(end, at)),
            Walk::Short(..) => return Ok(None),
        };
        let segment = &opened.segment;
        let mut window = Window::reading(LOOKUP_BYTES);
        let place = window.frame(&segment.file, segment.header.id, no, at);
        match place.map_err(io_error("read", &segment.path))? {
            Place::Frame(_, payload) => Ok(Some(payload.to_vec())),
            Place::Bad if is_sealed || opened.is_proved_behind(no, at)? => {
                Err(opened.damage(no, at))
            }
            Place::End if is_sealed => Err(opened.damage(no, at)),
            Place::Bad | Place::End => Ok(None),
        }
    }

    /// Frames from `from` on, one after the other.
    pub fn cursor(&self, from: FrameNo) -> Cursor {
        Cursor { reader: self.clone(), opened: None, at: 0, next: from, window: Window::default() }
    }

    /// As [`SegmentReader::cursor`], each payload in a vector of its own, up to the present end.
    pub fn iter_from(
        &self,
        from: FrameNo,
    ) -> impl Iterator<Item = Result<(FrameNo, Vec<u8>), SegmentError>> + use<> {
        let mut cursor = self.cursor(from);
        std::iter::from_fn(move || {
            let frame = cursor.next().transpose()?;
            Some(frame.map(|frame| (frame.no, frame.payload.to_vec())))
        })
    }

    fn list(&self) -> Result<Vec<FrameNo>, SegmentError> {
        let bases = file::list(&self.shared.dir)?;
        self.shared.known.lock().bases.clone_from(&bases);
        Ok(bases)
    }

    fn opened(&self, base: FrameNo) -> Result<Option<Arc<Opened>>, SegmentError> {
        let Shared { dir, kind, known } = &*self.shared;
        let path = file::path(dir, base);
        let inode = match fs::metadata(&path) {
            Ok(metadata) => metadata.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                known.lock().open.remove(&base);
                return Ok(None);
            }
            Err(error) => return Err(io_error("stat", &path)(error)),
        };
        let mut known = known.lock();
        if let Some(opened) = known.open.get(&base).filter(|opened| opened.segment.inode == inode) {
            return Ok(Some(Arc::clone(opened)));
        }
        let Some(segment) = OpenSegment::open(dir, base, *kind, false)? else {
            return Ok(None);
        };
        if known.open.len() >= OPEN_MAX {
            known.open.pop_first();
        }
        let opened = Arc::new(Opened { segment, marks: Mutex::default() });
        known.open.insert(base, Arc::clone(&opened));
        Ok(Some(opened))
    }
}

/// The segment that holds frame `no`, and whether another follows it.
fn containing(bases: &[FrameNo], no: FrameNo) -> Option<(FrameNo, bool)> {
    let after = bases.partition_point(|base| *base <= no);
    let base = bases.get(after.checked_sub(1)?)?;
    Some((*base, after < bases.len()))
}

/// A frame as a [`Cursor`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number.
    pub no: FrameNo,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Reads frames in order, over segments' ends, and goes on when more have been written.
#[derive(Debug)]
pub struct Cursor {
    reader: SegmentReader,
    opened: Option<Arc<Opened>>,
    at: u64,
    next: FrameNo,
    window: Window,
}

impl Cursor {
    /// The frame that comes next.
    pub fn position(&self) -> FrameNo {
        self.next
    }

    /// The next frame; `None` when it is not there yet.
    ///
    /// # Errors
    /// `Trimmed` when retention was faster; `Damage` when what stands there was a frame once.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows the cursor's buffer")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, SegmentError> {
        let len = loop {
            let Some(opened) = self.opened.clone() else {
                if self.enter()? {
                    continue;
                }
                return Ok(None);
            };
            if let Some(len) = self.look(&opened)? {
                break len;
            }
            if !self.follow(&opened)? {
                return Ok(None);
            }
        };
        let Some(opened) = &self.opened else {
            return Ok(None);
        };
        let payload = self.window.get(&opened.segment.file, self.at + HEADER_BYTES as u64, len);
        let payload = payload.map_err(io_error("read", &opened.segment.path))?;
        let no = self.next;
        self.next = no.next();
        self.at += (HEADER_BYTES + len) as u64;
        Ok(Some(Frame { no, payload }))
    }

    /// The payload's length when a whole frame stands at the cursor.
    fn look(&mut self, opened: &Opened) -> Result<Option<usize>, SegmentError> {
        let OpenSegment { path, file, header, .. } = &opened.segment;
        let place = self.window.frame(file, header.id, self.next, self.at);
        match place.map_err(io_error("read", path))? {
            Place::Frame(_, payload) => Ok(Some(payload.len())),
            Place::End | Place::Bad => {
                self.window.clear();
                Ok(None)
            }
        }
    }

    /// Opens the segment that holds the next frame; false: there is none yet.
    fn enter(&mut self) -> Result<bool, SegmentError> {
        let bases = self.reader.list()?;
        let Some((base, is_sealed)) = containing(&bases, self.next) else {
            return match bases.first() {
                None => Ok(false),
                Some(first) => Err(SegmentError::Trimmed {
                    path: self.reader.shared.dir.clone(),
                    frame: self.next,
                    first: *first,
                }),
            };
        };
        let Some(opened) = self.reader.opened(base)? else {
            return Ok(false);
        };
        match opened.walk(self.next)? {
            Walk::At(at) => self.at = at,
            Walk::Short(end, at) if is_sealed => return Err(opened.damage(end, at)),
            Walk::Short(..) => return Ok(false),
        }
        self.window.clear();
        self.opened = Some(opened);
        Ok(true)
    }

    /// Where no whole frame stands: goes to the next segment, or waits, or finds damage. False: the
    /// frame is not there yet.
    fn follow(&mut self, opened: &Opened) -> Result<bool, SegmentError> {
        let base = opened.segment.header.base;
        let bases = self.reader.list()?;
        let later = bases.iter().find(|other| **other > base);
        let file_bytes = opened.segment.bytes()?;
        let Some(later) = later else {
            if file_bytes > self.at && opened.is_proved_behind(self.next, self.at)? {
                return Err(opened.damage(self.next, self.at));
            }
            // An empty segment whose torn end was cut is replaced by one of the same name.
            if self.next == base {
                self.opened = None;
                return Ok(self.enter()? && self.has_more()?);
            }
            return Ok(false);
        };
        // Sealed, and perhaps only since the last look at its end.
        if self.look(opened)?.is_some() {
            return Ok(true);
        }
        if file_bytes != self.at || *later != self.next {
            return Err(opened.damage(self.next, self.at));
        }
        self.opened = None;
        self.enter()
    }

    fn has_more(&mut self) -> Result<bool, SegmentError> {
        match self.opened.clone() {
            Some(opened) => Ok(self.look(&opened)?.is_some()),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SegmentOptions, SegmentWriter};
    use super::*;

    #[test]
    fn frame_that_became_whole_meanwhile_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let kind = SegmentKind::Journal;
        let options = SegmentOptions { kind, segment_bytes_max: 1 << 20 };
        let (mut writer, _) = SegmentWriter::open(dir.path(), options, None).unwrap();
        let at = writer.bytes();
        writer.append(b"found unfinished a moment ago").unwrap();
        writer.sync().unwrap();
        writer.append(b"says that the first was synced").unwrap();
        let reader = SegmentReader::open(dir.path(), kind).unwrap();
        let opened = reader.opened(FrameNo(0)).unwrap().unwrap();
        assert!(!opened.is_proved_behind(FrameNo(0), at).unwrap());
    }
}
