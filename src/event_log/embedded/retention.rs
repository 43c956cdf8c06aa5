//! Giving disk back: whole segments, oldest first, and only what nobody needs any more.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::domain::position::{Lane, NextOffset};
use crate::event_log::LogError;
use crate::segments::FrameNo;

use super::EmbeddedLog;
use super::index::lane_at;

impl EmbeddedLog {
    /// Removes sealed segments that are too old or too many by the configured retention, as long as
    /// every record in them lies below `limit`: what a verified snapshot holds. A lane that is not
    /// in `limit` keeps everything. Returns the bytes given back.
    pub fn retain(
        &self,
        limit: &BTreeMap<Lane, NextOffset>,
        now: SystemTime,
    ) -> Result<u64, LogError> {
        let appender = self.appender()?;
        if appender.queue.is_closed() {
            return Err(self.closed());
        }
        let options = &appender.options;
        let bytes_max = options
            .retention_bytes
            .map(|bytes| bytes.saturating_mul(self.meta.founding.lanes.into()));
        let mut writer = appender.writer.lock();
        let mut bytes = writer.bytes();
        let mut keep = writer.first();
        for segment in writer.sealed() {
            let is_too_old = options.retention_age.is_some_and(|age| {
                now.duration_since(segment.modified).is_ok_and(|since| since > age)
            });
            let is_too_much = bytes_max.is_some_and(|max| bytes > max);
            if !(is_too_old || is_too_much) || !self.is_below(segment.end, limit)? {
                break;
            }
            bytes -= segment.bytes;
            keep = segment.end;
        }
        let removed = writer.trim_before(keep)?;
        drop(writer);
        if removed > 0 {
            self.durable.set_low(self.frames.low()?);
        }
        Ok(removed)
    }

    /// Whether everything before the segment that starts at `base` lies below `limit`.
    fn is_below(
        &self,
        base: FrameNo,
        limit: &BTreeMap<Lane, NextOffset>,
    ) -> Result<bool, LogError> {
        let Some(next) = self.frames.lanes_at(base)? else {
            return Ok(false);
        };
        let mut lanes = next.iter().enumerate();
        let contact_lanes = usize::from(self.meta.founding.lanes);
        Ok(lanes.all(|(place, next)| {
            let lane = lane_at(place, contact_lanes);
            let limit = limit.get(&lane).copied().unwrap_or_default();
            *next <= limit
        }))
    }
}
