//! A lane's records with what each one says, by the rules that hold where it stands.

use std::sync::Arc;

use crate::domain::decode::{Decoder, Reject};
use crate::domain::event::Event;
use crate::domain::founding::Founding;
use crate::domain::position::{CONTROL_LANE, NextOffset};
use crate::domain::record::{Record, RecordBatch};
use crate::domain::rules::{InForce, LaneRules, Marker, RuleSet, Ruling};
use crate::domain::verdict::DeadLetterReason;
use crate::store::{EntryMeta, Writer};
use crate::telemetry::fault;

use super::control::{self, DecodedControl};
use super::{ApplyError, Impassable, Planner};

/// A lane's records with what each one says, or why it says nothing.
#[derive(Debug)]
pub struct DecodedBatch {
    /// The records; events point into its arena.
    pub batch: RecordBatch,
    /// One a record, in order; of a contact's lane. In a marker's place stands nothing of use.
    pub events: Vec<Result<Event, Reject>>,
    /// The same of the control lane.
    pub(super) controls: Vec<DecodedControl>,
    /// What holds before the first of them; of a contact's lane.
    pub(super) rules: Option<Arc<RuleSet>>,
    /// Of those rules.
    pub(super) founding: u64,
    /// Records that other rules may hold from, in order.
    pub(super) markers: Vec<PlacedMarker>,
}

/// A marker among a batch's records.
#[derive(Debug)]
pub(super) struct PlacedMarker {
    /// Which record it is.
    pub(super) index: usize,
    pub(super) ruling: MarkerRuling,
}

/// What becomes of a marker.
#[derive(Debug)]
pub(super) enum MarkerRuling {
    Applied(InForce),
    Unchanged,
    Stale,
    Invalid(Reject),
}

impl DecodedBatch {
    /// Decodes every record of a batch, moving the lane's rules on; `homes`: what the log was founded
    /// with; `events` is an empty vector to be used. A marker that can't be passed cuts the batch off before it.
    ///
    /// # Errors
    /// Where nothing was founded yet.
    pub fn decode(
        lanes: &mut LaneRules,
        homes: Founding,
        mut batch: RecordBatch,
        mut events: Vec<Result<Event, Reject>>,
    ) -> Result<(Self, Option<Impassable>), ApplyError> {
        let lane = batch.lane;
        if lane == CONTROL_LANE {
            let (controls, markers) = (control::decode(&batch), Vec::new());
            let founding = lanes.founding();
            return Ok((Self { batch, events, controls, rules: None, founding, markers }, None));
        }
        let rules = lanes.of(lane).map(|at| Arc::clone(&at.rules)).ok_or(ApplyError::NoRules)?;
        let (mut markers, mut impassable) = (Vec::new(), None);
        let mut decoder = mistaken(rules.decoder());
        for index in 0..batch.records.len() {
            let record = batch.records.get(index).filter(|record| Marker::is_one(&batch, record));
            let Some(record) = record.copied() else {
                events.push(decoder.decode(&mut batch, index));
                continue;
            };
            match rule(lanes, homes, &batch, &record) {
                Ok(ruling) => {
                    if let MarkerRuling::Applied(in_force) = &ruling
                        && !fault::bug("rules_of_the_batch")
                    {
                        decoder = mistaken(in_force.rules.decoder());
                    }
                    markers.push(PlacedMarker { index, ruling });
                    let in_place = Reject::new(DeadLetterReason::InvalidMarker, String::new());
                    events.push(Err(in_place));
                }
                Err(stop) => {
                    batch.records.truncate(index);
                    batch.next = NextOffset(record.offset.0);
                    impassable = Some(stop);
                    break;
                }
            }
        }
        let (controls, rules, founding) = (Vec::new(), Some(rules), lanes.founding());
        Ok((Self { batch, events, controls, rules, founding, markers }, impassable))
    }
}

/// The decoder, with the deliberate mistake that the tests must notice where that is asked for.
#[cfg(debug_assertions)]
fn mistaken(decoder: &Arc<Decoder>) -> Arc<Decoder> {
    if fault::bug("clock_from_record_timestamp") {
        return Arc::new((**decoder).clone().with_seeded_bug_clock_from_record(true));
    }
    Arc::clone(decoder)
}

#[cfg(not(debug_assertions))]
fn mistaken(decoder: &Arc<Decoder>) -> Arc<Decoder> {
    Arc::clone(decoder)
}

/// What a marker does, and the lane's rules after it.
fn rule(
    lanes: &mut LaneRules,
    homes: Founding,
    batch: &RecordBatch,
    record: &Record,
) -> Result<MarkerRuling, Impassable> {
    let (lane, offset) = (batch.lane, record.offset);
    let impassable = |why: String| Err(Impassable { lane, offset, why });
    let marker = match Marker::read(batch, record) {
        Ok(marker) => marker,
        Err(reject) => return Ok(MarkerRuling::Invalid(reject)),
    };
    Ok(match lanes.judge(lane, &marker) {
        Ok(Ruling::Applied(_)) if marker.homes != homes => {
            return impassable(format!(
                "two foundings: this instance applies the log under {homes}, the marker there says {}; \
                 find out which one holds, and rebuild the stores of the other",
                marker.homes
            ));
        }
        Ok(Ruling::Applied(rules)) => {
            let in_force = InForce {
                number: marker.number,
                rules,
                offset,
                record_time_ms: record.timestamp_ms,
                principal: marker.principal,
            };
            lanes.take(lane, in_force.clone());
            MarkerRuling::Applied(in_force)
        }
        Ok(Ruling::Unchanged) => {
            lanes.restate(lane, offset, record.timestamp_ms);
            MarkerRuling::Unchanged
        }
        Ok(Ruling::Stale) => MarkerRuling::Stale,
        Ok(Ruling::UnknownVersion(version)) => {
            return impassable(format!(
                "the rules that hold there are of APPLY_VERSION {version}, which this program does \
                 not know; start a newer contactd"
            ));
        }
        Ok(Ruling::NewerFounding(founding)) => {
            return impassable(format!(
                "the log was founded anew there (founding {founding}); run `contactd store rebuild`"
            ));
        }
        Err(error) => {
            let reject = Reject::new(DeadLetterReason::InvalidMarker, error.to_string());
            MarkerRuling::Invalid(reject)
        }
    })
}

impl Planner {
    /// Stages what a marker does.
    pub(super) fn plan_marker(
        &mut self,
        writer: &mut Writer,
        batch: &RecordBatch,
        record: &Record,
        ruling: &MarkerRuling,
    ) -> Result<(), ApplyError> {
        let lane = batch.lane;
        match ruling {
            MarkerRuling::Applied(in_force) => writer.marker(lane, in_force.clone())?,
            MarkerRuling::Unchanged => writer.marker_settled(lane, record, true)?,
            MarkerRuling::Stale => writer.marker_settled(lane, record, false)?,
            MarkerRuling::Invalid(Reject { reason, detail, .. }) => {
                let meta = EntryMeta::of_record(lane, record);
                self.dead_letter(writer, &meta, batch, record, *reason, detail)?;
            }
        }
        Ok(())
    }
}
