//! From records to what the committer takes: encoded by who appends, so that it has little to do.

use crate::domain::position::Lane;
use crate::event_log::{LogError, NewRecord};

use super::index::place_of;
use super::queue::{LaneRecords, Portion};
use super::{EmbeddedLog, RECORD_BYTES_MAX, codec};

/// Bytes of records that are handed to the committer at once.
const PORTION_BYTES: usize = 1 << 20;

impl EmbeddedLog {
    /// The records by lane, encoded, in portions of a frame's size.
    pub(super) fn encode(&self, records: &[NewRecord]) -> Result<Vec<Portion>, LogError> {
        let mut portions = Vec::new();
        let (mut portion, mut bytes) = (Portion::default(), 0);
        for record in records {
            let record_bytes = self.check_size(record)?;
            let lane = self.lane_of(record)?;
            portion.push(lane, |out| codec::encode_record(out, record));
            bytes += record_bytes;
            if bytes >= PORTION_BYTES {
                portions.push(std::mem::take(&mut portion));
                bytes = 0;
            }
        }
        if !portion.order.is_empty() {
            portions.push(portion);
        }
        Ok(portions)
    }

    fn check_size(&self, record: &NewRecord) -> Result<usize, LogError> {
        let bytes = codec::record_bytes(record);
        let mut names = record.headers.iter().map(|(name, _)| name.len());
        if bytes <= RECORD_BYTES_MAX && names.all(|name| name <= usize::from(u16::MAX)) {
            return Ok(bytes);
        }
        let topic = self.meta.topic.clone();
        let bytes_max = RECORD_BYTES_MAX;
        Err(LogError::RecordTooLarge { topic, bytes, bytes_max })
    }

    fn lane_of(&self, record: &NewRecord) -> Result<Lane, LogError> {
        let lanes = self.meta.founding.lanes;
        let home = || self.meta.founding.home(&record.key);
        let lane = record.lane.unwrap_or_else(home);
        let place = place_of(lane, usize::from(lanes));
        if place.is_some() { Ok(lane) } else { Err(self.unknown_lane(lane)) }
    }
}

impl Portion {
    fn push(&mut self, lane: Lane, encode: impl FnOnce(&mut Vec<u8>)) {
        let is_lane = |records: &LaneRecords| records.lane == lane;
        let index = self.lanes.iter().position(is_lane).unwrap_or_else(|| {
            self.lanes.push(LaneRecords { lane, count: 0, bytes: Vec::new() });
            self.lanes.len() - 1
        });
        if let Some(records) = self.lanes.get_mut(index) {
            records.count += 1;
            encode(&mut records.bytes);
        }
        self.order.push(lane);
    }
}
