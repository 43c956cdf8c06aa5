//! The control lane's part of decoding and planning: one branch a batch, none a contact's event.

use std::sync::Arc;

use crate::domain::base::{BASE_KEY, Base};
use crate::domain::control::{ControlLimits, ControlRecord, Decision, RecordAt, UNSETTLED_KEY};
use crate::domain::decode::Reject;
use crate::domain::event::EventKind;
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::record::{Record, RecordBatch, RecordKind};
use crate::domain::verdict::Verdict;
use crate::store::{ControlGap, DeadLetter, EntryMeta, Writer};

use super::{ApplyError, Planner, SetAside};

/// What a control record says, or why it says nothing.
pub(super) type DecodedControl = Result<ControlRecord, Reject>;

/// Decodes every record of the control lane's batch.
pub(super) fn decode(batch: &RecordBatch) -> Vec<DecodedControl> {
    let records = batch.records.iter();
    records.map(|record| ControlRecord::decode(batch.key(record), batch.value(record))).collect()
}

impl Planner {
    /// Stages what a control record does, given what the batch has done before it.
    pub(super) fn plan_control(
        &mut self,
        writer: &mut Writer,
        batch: &RecordBatch,
        record: &Record,
        decoded: &DecodedControl,
    ) -> Result<(), ApplyError> {
        let time_ms = u64::try_from(record.timestamp_ms).unwrap_or(0);
        let at = RecordAt { offset: record.offset, time_ms };
        if let Some(gap) = writer.control_gap() {
            let meta = meta(batch, record, decoded.as_ref().ok());
            let mut decision = Decision::unsettled(at);
            if gap == ControlGap::All {
                decision.expired.extend(writer.controls().iter().map(|(key, _)| Arc::clone(key)));
            }
            return Ok(writer.control(&meta, UNSETTLED_KEY, &decision)?);
        }
        let rejected = match decoded {
            Ok(control) => {
                let limits = ControlLimits::default();
                match writer.controls().decide(control, at, &limits) {
                    Ok(decision) => {
                        self.check_founding(control, decision.verdict)?;
                        self.check_base(control, decision.verdict)?;
                        let meta = meta(batch, record, Some(control));
                        return Ok(writer.control(&meta, &control.key, &decision)?);
                    }
                    Err(reject) => reject,
                }
            }
            Err(reject) => reject.clone(),
        };
        let meta = meta(batch, record, decoded.as_ref().ok());
        let letter = DeadLetter::of_record(batch, record, rejected.reason, &rejected.detail);
        writer.control_dead_letter(&meta, &letter)?;
        let (lane, offset) = (batch.lane, record.offset);
        self.set_aside(SetAside { lane, offset, reason: rejected.reason });
        Ok(())
    }

    /// The log's base is the one that this store comes from.
    fn check_base(&self, control: &ControlRecord, verdict: Verdict) -> Result<(), ApplyError> {
        let is_given = control.key == BASE_KEY && verdict == Verdict::Applied;
        let value = control.value.as_deref().filter(|_| is_given);
        match value.and_then(Base::parse) {
            Some(base) if self.terms().base.refuses(&base.id) => {
                Err(ApplyError::AnotherBase { id: base.id })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The log's founding is the one that contacts are applied under here, where they are applied.
    fn check_founding(&self, control: &ControlRecord, verdict: Verdict) -> Result<(), ApplyError> {
        let is_given = control.key == FOUNDING_KEY && verdict == Verdict::Applied;
        let value = control.value.as_deref().filter(|_| is_given);
        let Some(there) = value.and_then(|value| Founding::parse(value).ok()) else {
            return Ok(());
        };
        let here = self.terms().founding;
        if there == here { Ok(()) } else { Err(ApplyError::TwoFoundings { here, there }) }
    }
}

fn meta<'a>(
    batch: &RecordBatch,
    record: &Record,
    control: Option<&'a ControlRecord>,
) -> EntryMeta<'a> {
    EntryMeta {
        lane: batch.lane,
        offset: record.offset,
        record_time_ms: record.timestamp_ms,
        record_kind: RecordKind::Control,
        event_id: control.map_or(&[], |at| at.id.as_bytes()),
        kind: EventKind::Updated,
        source: &[],
        event_time_us: None,
        principal: control.and_then(|at| at.principal.as_deref()).map(str::as_bytes),
        request_id: control.and_then(|at| at.request_id.as_deref()).map(str::as_bytes),
        attempt: None,
    }
}
