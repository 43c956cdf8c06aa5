//! What of the journal may go.

use std::time::{Duration, SystemTime};

use crate::segments::{FrameNo, SegmentInfo};

/// How long history is kept beyond what safety asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: Option<u64>,
    /// Bytes that are never passed for a follower that is behind; none: it is waited for.
    pub(crate) bytes_max: Option<u64>,
}

/// What may be trimmed: nothing from `below` on, and only what is past the retention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim {
    pub(super) below: FrameNo,
    /// What followers need from here on is kept too, within `Retention::bytes_max`.
    pub(super) held_from: FrameNo,
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
            let has_room = self.retention.bytes_max.is_none_or(|max| bytes <= max);
            let is_held = segment.end > self.held_from && has_room;
            if segment.end > self.below || is_held || !(too_many || too_old) {
                break;
            }
            bytes = bytes.saturating_sub(segment.bytes);
            keep = Some(segment.end);
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<SegmentInfo> {
        let segment = |number: u64| SegmentInfo {
            base: FrameNo(number * 10),
            end: FrameNo(number * 10 + 10),
            bytes: 100,
            modified: SystemTime::UNIX_EPOCH,
        };
        (0..5).map(segment).collect()
    }

    #[test]
    fn what_followers_need_is_kept_up_to_the_limit() {
        let kept = |held_from: u64, bytes_max| {
            let retention = Retention { age: None, bytes: Some(100), bytes_max };
            let (below, held_from) = (FrameNo(40), FrameNo(held_from));
            Trim { below, held_from, retention }.first_kept(&segments(), 500).map(|no| no.0)
        };
        assert_eq!(kept(u64::MAX, None), Some(40), "nobody needs anything");
        assert_eq!(kept(15, None), Some(10), "frame 15 is waited for");
        assert_eq!(kept(15, Some(300)), Some(20), "but not beyond the limit");
        assert_eq!(kept(15, Some(500)), Some(10));
    }
}
