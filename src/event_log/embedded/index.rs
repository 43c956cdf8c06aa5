//! Finding offsets: by the lanes frame that starts each segment, then by reading on.

use std::collections::BTreeMap;

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset};
use crate::event_log::{LogError, StoredRecord};
use crate::segments::{Cursor, FrameNo, SegmentReader};

use super::codec::{self, LogFrame};

/// Where a lane stands in lists of all lanes: the contacts' first, by number, then the control lane.
pub(super) fn place_of(lane: Lane, contact_lanes: usize) -> Option<usize> {
    if lane == CONTROL_LANE {
        return Some(contact_lanes);
    }
    Some(usize::from(lane.0)).filter(|place| *place < contact_lanes)
}

/// The lane at a place.
pub(super) fn lane_at(place: usize, contact_lanes: usize) -> Lane {
    if place < contact_lanes { Lane(place as u16) } else { CONTROL_LANE }
}

/// The frames of one log.
#[derive(Clone, Debug)]
pub(super) struct LogFrames {
    pub(super) reader: SegmentReader,
    pub(super) topic: String,
    /// Without the control lane.
    pub(super) lanes: u16,
}

/// A place in the log and the lanes' ends there.
#[derive(Debug)]
pub(super) struct LogEnd {
    /// Stands where the next frame will be.
    cursor: Cursor,
    /// Each lane's next offset at the cursor.
    pub(super) next: Vec<NextOffset>,
}

impl LogFrames {
    pub(super) fn corrupt(&self, frame: FrameNo, detail: &'static str) -> LogError {
        LogError::CorruptFrame { topic: self.topic.clone(), frame: frame.0, detail }
    }

    /// The lanes' next offsets where the segment at `base` starts; `None` while it is empty.
    pub(super) fn lanes_at(&self, base: FrameNo) -> Result<Option<Vec<NextOffset>>, LogError> {
        let Some(payload) = self.reader.frame(base)? else {
            return Ok(None);
        };
        match codec::decode(&payload) {
            Ok(LogFrame::Lanes(next)) => match self.all_lanes(next) {
                Some(next) => Ok(Some(next)),
                None => Err(self.corrupt(base, "it has another number of lanes")),
            },
            Ok(LogFrame::Records(_)) => {
                Err(self.corrupt(base, "a segment must start with every lane's offset"))
            }
            Err(detail) => Err(self.corrupt(base, detail)),
        }
    }

    /// A lanes frame's offsets; before there was a control lane it was not among them.
    fn all_lanes(&self, mut next: Vec<NextOffset>) -> Option<Vec<NextOffset>> {
        let contact_lanes = usize::from(self.lanes);
        if next.len() == contact_lanes {
            next.push(NextOffset(0));
        }
        (next.len() == contact_lanes + 1).then_some(next)
    }

    fn zero(&self) -> Vec<NextOffset> {
        vec![NextOffset(0); usize::from(self.lanes) + 1]
    }

    fn place_of(&self, lane: Lane) -> Option<usize> {
        place_of(lane, usize::from(self.lanes))
    }

    /// Each lane's oldest record.
    pub(super) fn low(&self) -> Result<Vec<Offset>, LogError> {
        let base = self.reader.first()?;
        let low = self.lanes_at(base)?;
        let low = low.unwrap_or_else(|| self.zero());
        Ok(low.into_iter().map(|next| Offset(next.0)).collect())
    }

    /// The present end, found by reading the last segment that holds anything.
    pub(super) fn end(&self) -> Result<LogEnd, LogError> {
        let mut end = LogEnd { cursor: self.reader.cursor(FrameNo(0)), next: self.zero() };
        for base in self.reader.segment_bases()?.into_iter().rev() {
            end.cursor = self.reader.cursor(base);
            if self.lanes_at(base)?.is_some() {
                break;
            }
        }
        self.advance(&mut end)?;
        Ok(end)
    }

    /// Moves an end over what has been written since; returns the next frame.
    pub(super) fn advance(&self, end: &mut LogEnd) -> Result<FrameNo, LogError> {
        while let Some(frame) = end.cursor.next()? {
            let no = frame.no;
            match codec::decode(frame.payload).map_err(|detail| self.corrupt(no, detail))? {
                LogFrame::Lanes(next) => {
                    let next = self.all_lanes(next);
                    end.next =
                        next.ok_or_else(|| self.corrupt(no, "it has another number of lanes"))?;
                }
                LogFrame::Records(sections) => {
                    for section in sections {
                        let place = self.place_of(section.lane);
                        let lane = place.and_then(|place| end.next.get_mut(place));
                        let lane =
                            lane.ok_or_else(|| self.corrupt(no, "it names a lane there isn't"))?;
                        *lane = section.next();
                    }
                }
            }
        }
        Ok(end.cursor.position())
    }

    /// Where to start so that nothing from `from` on is missed.
    pub(super) fn start(&self, from: &BTreeMap<Lane, NextOffset>) -> Result<FrameNo, LogError> {
        let bases = self.reader.segment_bases()?;
        for base in bases.iter().rev() {
            let Some(next) = self.lanes_at(*base)? else {
                continue;
            };
            let is_before = |(lane, from): (&Lane, &NextOffset)| {
                let next = self.place_of(*lane).and_then(|place| next.get(place));
                next.is_none_or(|next| next <= from)
            };
            if from.iter().all(is_before) {
                return Ok(*base);
            }
        }
        Ok(bases.first().copied().unwrap_or_default())
    }

    /// One record by its place.
    pub(super) fn record(
        &self,
        lane: Lane,
        offset: Offset,
    ) -> Result<Option<StoredRecord>, LogError> {
        let from = BTreeMap::from([(lane, NextOffset(offset.0))]);
        let mut cursor = self.reader.cursor(self.start(&from)?);
        while let Some(frame) = cursor.next()? {
            let no = frame.no;
            let corrupt = |detail| self.corrupt(no, detail);
            let LogFrame::Records(sections) = codec::decode(frame.payload).map_err(corrupt)? else {
                continue;
            };
            for section in sections.iter().filter(|section| section.lane == lane) {
                if section.base > offset {
                    return Ok(None);
                }
                if section.next() <= NextOffset(offset.0) {
                    continue;
                }
                for record in section.records() {
                    let (at, record) = record.map_err(corrupt)?;
                    if at == offset {
                        let (key, value) = record.parts();
                        let [key, value] = [key, value].map(|part| part.map(<[u8]>::to_vec));
                        return Ok(Some(StoredRecord {
                            timestamp_ms: record.timestamp_ms,
                            key,
                            value,
                        }));
                    }
                }
            }
        }
        Ok(None)
    }
}
