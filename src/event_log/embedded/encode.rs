//! From records to what the committer takes: encoded by who appends, so that it has little to do.

use crate::domain::position::Lane;
use crate::event_log::{LogError, NewRecord};

use super::queue::LaneRecords;
use super::{EmbeddedLog, RECORD_BYTES_MAX, REQUEST_BYTES, codec};

impl EmbeddedLog {
    /// The records by lane, encoded, in portions that a frame takes.
    #[expect(clippy::type_complexity, reason = "the two halves of a request")]
    pub(super) fn encode(
        &self,
        records: &[NewRecord],
    ) -> Result<Vec<(Vec<LaneRecords>, Vec<Lane>)>, LogError> {
        let lanes_count = self.meta.partitions;
        let mut requests = Vec::new();
        let (mut lanes, mut order, mut bytes) = (Vec::<LaneRecords>::new(), Vec::new(), 0);
        for record in records {
            let record_bytes = codec::record_bytes(record);
            let has_long_name = record
                .headers
                .iter()
                .any(|(name, _)| name.len() > usize::from(u16::MAX));
            if record_bytes > RECORD_BYTES_MAX || has_long_name {
                let topic = self.meta.topic.clone();
                let bytes_max = RECORD_BYTES_MAX;
                return Err(LogError::RecordTooLarge {
                    topic,
                    bytes: record_bytes,
                    bytes_max,
                });
            }
            let lane = record
                .lane
                .unwrap_or_else(|| self.meta.partitioner.lane(&record.key, lanes_count));
            if lane.0 >= lanes_count {
                return Err(self.unknown_lane(lane));
            }
            let index = lanes
                .iter()
                .position(|records| records.lane == lane)
                .unwrap_or_else(|| {
                    lanes.push(LaneRecords {
                        lane,
                        count: 0,
                        bytes: Vec::new(),
                    });
                    lanes.len() - 1
                });
            if let Some(records) = lanes.get_mut(index) {
                records.count += 1;
                codec::encode_record(&mut records.bytes, record);
            }
            order.push(lane);
            bytes += record_bytes;
            if bytes >= REQUEST_BYTES {
                requests.push((std::mem::take(&mut lanes), std::mem::take(&mut order)));
                bytes = 0;
            }
        }
        if !order.is_empty() {
            requests.push((lanes, order));
        }
        Ok(requests)
    }
}
