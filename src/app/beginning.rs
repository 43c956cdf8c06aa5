//! By which rules a log begins: found on it, else proposed.
//!
//! The first marker of the newest founding in lane 0 says it for every lane, so of two instances that
//! propose one wins, and every instance that ever starts from nothing finds the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset};
use crate::domain::rules::{InForce, LaneRules, Marker, RuleSet, Ruling};
use crate::event_log::{ConsumeBounds, Delivery, EventLog, Watermarks};
use crate::ingest::marker_record;
use crate::store::Writer;

use super::WorkerError;

/// The first founding's number.
pub(super) const FIRST_FOUNDING: u64 = 1;
/// Whose first marker counts for all.
const DECIDES: Lane = Lane(0);
/// How much of the lane is read at a time.
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 4_096, bytes_max: 4 << 20 };
/// How long one look for more lasts.
const LOOK: Duration = Duration::from_millis(100);

/// How a log comes by the rules that it begins with.
pub(super) struct Beginning<'a> {
    pub(super) log: &'a EventLog,
    pub(super) identity: &'a LogIdentity,
    /// What is proposed where the log has none.
    pub(super) own: &'a Arc<RuleSet>,
    pub(super) runtime: &'a Handle,
    pub(super) stop: &'a CancellationToken,
}

impl Beginning<'_> {
    /// Lets a store that has read nothing begin as its log does. `from`: where it is to read on; a lane
    /// whose beginning the log has dropped is read from its first marker on, since by which rules
    /// what stands before was judged nobody can tell.
    ///
    /// # Errors
    /// Of class Retry while the log can't be read, or lacks rules and can't be written.
    pub(super) fn of(
        &self,
        writer: &mut Writer,
        from: &mut BTreeMap<Lane, NextOffset>,
    ) -> Result<(), WorkerError> {
        if writer.rules().beginning().is_some() {
            return Ok(());
        }
        let Watermarks { low, high } = self.log.watermarks(DECIDES)?;
        let is_empty = low.0 == high.0;
        let found = if is_empty { None } else { self.founded(NextOffset(low.0))? };
        let (founding, found) = match found {
            Some(found) => {
                for (lane, next) in from.iter_mut().filter(|(_, next)| next.0 > 0) {
                    *next = self.first_marker(*lane, *next)?;
                }
                found
            }
            None => self.propose()?,
        };
        let fingerprint = found.rules.fingerprint();
        tracing::info!(founding, number = found.number, %fingerprint, "the log's rules");
        Ok(writer.begin_with(founding, found)?)
    }

    /// Appends this instance's rules to every lane; of lane 0 the first one counts, whoever's it is.
    fn propose(&self) -> Result<(u64, InForce), WorkerError> {
        let high = self.log.watermarks(DECIDES)?.high;
        let append = |lanes: std::ops::Range<u16>| {
            let lanes =
                lanes.map(|lane| marker_record(Lane(lane), 0, FIRST_FOUNDING, self.own, None));
            let appended = self.runtime.block_on(self.log.append(lanes.collect()));
            appended.map_err(|error| self.unfounded(error.to_string()))
        };
        let acks = append(0..1)?;
        let found = match acks.first() {
            // Nothing stands between what was seen and it.
            Some(ack) if ack.offset.0 == high.0 => {
                let own = InForce::at_founding(Arc::clone(self.own));
                Some((FIRST_FOUNDING, InForce { offset: ack.offset, ..own }))
            }
            Some(_) | None => self.founded(high)?,
        };
        let found = found.ok_or_else(|| self.unfounded("what was appended is not there"))?;
        if found.1.rules.fingerprint() == self.own.fingerprint() {
            append(1..self.log.lanes()?)?;
        }
        Ok(found)
    }

    /// The newest founding in the lane from an offset on, and its first marker; none: there is none up
    /// to the lane's present end.
    fn founded(&self, from: NextOffset) -> Result<Option<(u64, InForce)>, WorkerError> {
        let mut consumer = self.log.consume(&BTreeMap::from([(DECIDES, from)]), BOUNDS)?;
        let mut newest: Option<(u64, InForce)> = None;
        while !self.stop.is_cancelled() {
            let batch = match consumer.next(LOOK)? {
                Some(Delivery::Batch(batch)) => batch,
                Some(Delivery::CaughtUp(_)) => return Ok(newest),
                None => continue,
            };
            for record in batch.records.iter().filter(|record| Marker::is_one(&batch, record)) {
                let Ok(marker) = Marker::read(&batch, record) else {
                    continue;
                };
                let known = newest.as_ref().map_or(FIRST_FOUNDING - 1, |(founding, _)| *founding);
                if marker.founding <= known {
                    continue;
                }
                let nothing = LaneRules::new(marker.founding, None, BTreeMap::new());
                match nothing.judge(DECIDES, &marker) {
                    Ok(Ruling::Applied(rules)) => {
                        let in_force = InForce {
                            number: marker.number,
                            rules,
                            offset: record.offset,
                            record_time_ms: record.timestamp_ms,
                            principal: marker.principal,
                        };
                        newest = Some((marker.founding, in_force));
                    }
                    Ok(Ruling::UnknownVersion(version)) => {
                        return Err(self.unknown(record.offset, version));
                    }
                    Ok(Ruling::Unchanged | Ruling::Stale | Ruling::NewerFounding(_)) | Err(_) => {}
                }
            }
            consumer.recycle(batch);
        }
        Err(self.unfounded("it was not read to its end"))
    }

    /// Where a lane's first marker from an offset on stands, else the lane's present end.
    fn first_marker(&self, lane: Lane, from: NextOffset) -> Result<NextOffset, WorkerError> {
        let mut consumer = self.log.consume(&BTreeMap::from([(lane, from)]), BOUNDS)?;
        let mut end = from;
        while !self.stop.is_cancelled() {
            let batch = match consumer.next(LOOK)? {
                Some(Delivery::Batch(batch)) => batch,
                Some(Delivery::CaughtUp(_)) => return Ok(end),
                None => continue,
            };
            let mut markers = batch.records.iter().filter(|at| Marker::is_one(&batch, at));
            if let Some(marker) = markers.next() {
                return Ok(NextOffset(marker.offset.0));
            }
            end = batch.next;
            consumer.recycle(batch);
        }
        Err(self.unfounded("it was not read to its end"))
    }

    fn unfounded(&self, why: impl Into<String>) -> WorkerError {
        WorkerError::Unfounded { topic: self.identity.topic.clone(), why: why.into() }
    }

    fn unknown(&self, offset: Offset, version: u64) -> WorkerError {
        self.unfounded(format!(
            "the rules at partition {DECIDES} offset {offset} are of APPLY_VERSION {version}, which \
             this program does not know; start a newer contactd"
        ))
    }
}
