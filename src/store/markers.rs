//! What a marker on the log does to the rules in force, staged with a batch.

use std::sync::Arc;

use crate::domain::event::EventKind;
use crate::domain::position::Lane;
use crate::domain::record::{Record, RecordKind};
use crate::domain::rules::{InForce, LaneRules};
use crate::domain::verdict::Verdict;

use super::journal::{EntryMeta, RulesChange};
use super::{StoreError, Writer};

impl Writer {
    /// Commits what holds in every lane before its first marker, on a store that has read nothing.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub fn begin_with(&mut self, founding: u64, rules: InForce) -> Result<(), StoreError> {
        let change = RulesChange::beginning(founding, &rules);
        self.frame.rules(&meta(Lane(0), &rules), &change)?;
        self.staged.rules = Arc::new(LaneRules::beginning_with(founding, rules));
        self.commit().map(|_committed| ())
    }

    /// Stages what a marker does in its lane.
    pub fn marker(&mut self, lane: Lane, in_force: InForce) -> Result<(), StoreError> {
        self.frame.rules(&meta(lane, &in_force), &RulesChange::marker(&in_force))?;
        Arc::make_mut(&mut self.staged.rules).take(lane, in_force);
        Ok(())
    }

    /// Stages a marker that changes nothing; `is_restated`: it says what holds.
    pub fn marker_settled(
        &mut self,
        lane: Lane,
        record: &Record,
        is_restated: bool,
    ) -> Result<(), StoreError> {
        let of_record = EntryMeta::of_record(lane, record);
        let meta = EntryMeta { record_kind: RecordKind::Marker, ..of_record };
        let verdict = if is_restated { Verdict::Unchanged } else { Verdict::Stale };
        self.frame.settled(&meta, verdict)?;
        if is_restated {
            let rules = Arc::make_mut(&mut self.staged.rules);
            rules.restate(lane, record.offset, record.timestamp_ms);
        }
        Ok(())
    }
}

fn meta(lane: Lane, at: &InForce) -> EntryMeta<'_> {
    EntryMeta {
        lane,
        offset: at.offset,
        record_time_ms: at.record_time_ms,
        record_kind: RecordKind::Marker,
        event_id: &[],
        kind: EventKind::Updated,
        source: &[],
        event_time_us: None,
        principal: at.principal.as_deref().map(str::as_bytes),
        request_id: None,
        attempt: None,
    }
}
