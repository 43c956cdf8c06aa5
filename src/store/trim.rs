//! What of the journal may go.

use std::time::{Duration, SystemTime};

use crate::segments::{FrameNo, SegmentInfo};

/// How long history is kept beyond what safety asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: Option<u64>,
}

/// What may be trimmed: nothing from `below` on, and only what is past the retention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim {
    pub(super) below: FrameNo,
    pub(super) retention: Retention,
}

impl Trim {
    /// The first frame to keep, if whole segments may go.
    pub(crate) fn first_kept(&self, sealed: &[SegmentInfo], bytes: u64) -> Option<FrameNo> {
        let now = SystemTime::now();
        let (mut bytes, mut keep) = (bytes, None);
        for segment in sealed {
            let too_many = self.retention.bytes.is_some_and(|max| bytes > max);
            let too_old = self
                .retention
                .age
                .is_some_and(|max| now.duration_since(segment.modified).is_ok_and(|age| age > max));
            if segment.end > self.below || !(too_many || too_old) {
                break;
            }
            bytes = bytes.saturating_sub(segment.bytes);
            keep = Some(segment.end);
        }
        keep
    }
}
