//! Reading a part of one lane, for who looks for something in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::domain::position::{Lane, NextOffset};
use crate::domain::record::RecordBatch;

use super::{ConsumeBounds, Delivery, EventLog, LogError};

/// How much of the lane is read at a time.
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 4_096, bytes_max: 4 << 20 };
/// How long one look for more lasts.
const LOOK: Duration = Duration::from_millis(100);

/// Why no more of a lane was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUntil {
    /// It was read as far as was asked for.
    There,
    /// Nothing more of it can be read now; behind an open transaction there may be more.
    CaughtUp,
    /// It was told to stop, or nothing came for too long.
    GivenUp,
}

/// What of a lane is to be read.
#[derive(Clone, Copy, Debug)]
pub struct LanePart {
    /// The lane.
    pub lane: Lane,
    /// From there on.
    pub from: NextOffset,
    /// Up to there; none: up to what can be read now.
    pub to: Option<NextOffset>,
    /// How long nothing may come; none: for ever.
    pub patience: Option<Duration>,
}

impl EventLog {
    /// Shows what a part of a lane holds, in order.
    ///
    /// # Errors
    /// As of [`EventLog::consume`] and [`super::Consumer::next`].
    pub fn read_part(
        &self,
        part: LanePart,
        stop: &CancellationToken,
        mut each: impl FnMut(&RecordBatch),
    ) -> Result<ReadUntil, LogError> {
        let LanePart { lane, from, to, patience } = part;
        let mut consumer = self.consume(&BTreeMap::from([(lane, from)]), BOUNDS)?;
        let mut heard = Instant::now();
        let is_patient =
            |heard: Instant| patience.is_none_or(|patience| heard.elapsed() < patience);
        while !stop.is_cancelled() && is_patient(heard) {
            match consumer.next(LOOK)? {
                Some(Delivery::Batch(batch)) if batch.lane == lane => {
                    heard = Instant::now();
                    each(&batch);
                    if to.is_some_and(|to| to <= batch.next) {
                        return Ok(ReadUntil::There);
                    }
                    consumer.recycle(batch);
                }
                Some(Delivery::CaughtUp(at)) if at == lane => return Ok(ReadUntil::CaughtUp),
                // Lanes that were added since come by themselves.
                Some(Delivery::Batch(_) | Delivery::CaughtUp(_)) | None => {}
            }
        }
        Ok(ReadUntil::GivenUp)
    }
}
