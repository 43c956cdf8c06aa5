//! Offsets that brokers call out of range: whether they are, and which lane's.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;

use crate::domain::position::{NextOffset, Offset};

use super::LogError;
use super::poll::{End, Poller};

/// How long brokers may say that offsets are out of range that are not, and when that is another time.
const DOUBT_FOR: Duration = Duration::from_secs(5);
const DOUBT_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long a question to the brokers may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

impl Poller {
    /// Names the lane, which librdkafka's error doesn't say. True: the record that was to be compared
    /// with the last one read is gone, so reading goes on without; or it is not known yet.
    pub(super) fn check_ranges(&mut self) -> Result<bool, End> {
        let mut is_explained = false;
        for lane in self.lanes.iter_mut() {
            let answer = self.consumer.client().fetch_watermarks(
                &self.topic,
                lane.partition(),
                REQUEST_WAIT,
            );
            let Ok((low, high)) = answer else {
                // Asked again when this comes again.
                is_explained = true;
                continue;
            };
            let (low, high) = (at_least_0(low), at_least_0(high));
            // librdkafka has read on: what counts is where this lane's next record would be.
            let next = lane.next;
            if next.0 < low || next.0 > high {
                return Err(LogError::OffsetOutOfRange {
                    topic: self.topic.clone(),
                    lane: lane.id,
                    next,
                    low: Offset(low),
                    high: NextOffset(high),
                }
                .into());
            }
            is_explained |= lane.forget_below(Offset(low));
        }
        Ok(is_explained)
    }

    pub(super) fn after_out_of_range(&mut self) -> Result<(), End> {
        if self.check_ranges()? {
            return self.assign();
        }
        let reason = self.reason(RDKafkaErrorCode::OffsetOutOfRange);
        let doubted_for = self.doubted_reset.map(|since| since.elapsed());
        match doubted_for.filter(|doubted_for| *doubted_for < DOUBT_FORGOTTEN_AFTER) {
            Some(doubted_for) if doubted_for >= DOUBT_FOR => {
                let topic = self.topic.clone();
                return Err(LogError::TopicChanged { topic, detail: reason }.into());
            }
            // Said by several lanes, or before the offsets were named again.
            Some(_) => {}
            // A replica that had not caught up may have answered; once more from the same place.
            None => {
                tracing::warn!(
                    topic = self.topic,
                    reason,
                    "an offset that exists was out of range, fetching anew"
                );
                self.doubted_reset = Some(Instant::now());
            }
        }
        self.lanes.doubt();
        self.assign()
    }
}

fn at_least_0(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
