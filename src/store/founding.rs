//! What contacts' homes and judging follow from, as the writer is told: the founding, the log's base
//! and the markers of the rules in force.

use std::sync::Arc;

use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::position::Lane;
use crate::domain::record::{Record, RecordKind};
use crate::domain::rules::{InForce, LaneRules};
use crate::domain::verdict::Verdict;

use super::journal::{EntryMeta, RulesChange};
use super::{StoreError, Writer, identity};

impl Writer {
    /// What contacts' homes follow from here: as the store was told first, or as the control entries
    /// that it holds say.
    pub fn founding(&self) -> Result<Option<Founding>, StoreError> {
        let told = identity::founding(&self.shared.path)?;
        let on_log = self.founding_entry();
        match (&told, &on_log) {
            (Some(told), Some(on_log)) if told != on_log => Err(StoreError::AnotherFounding {
                path: self.shared.path.clone(),
                stored: told.to_string(),
                given: on_log.to_string(),
            }),
            (Some(_) | None, Some(_) | None) => Ok(told.or(on_log)),
        }
    }

    /// The founding that the control entries tell of.
    pub fn founding_entry(&self) -> Option<Founding> {
        let entry = self.controls().get(FOUNDING_KEY).filter(|entry| !entry.is_removed());
        entry.and_then(|entry| Founding::parse(&entry.value).ok())
    }

    /// Contacts' homes follow from this, here and from now on.
    ///
    /// # Errors
    /// [`StoreError::AnotherFounding`] when they followed from another one.
    pub fn settle_founding(&self, given: &Founding) -> Result<(), StoreError> {
        identity::settle_founding(&self.shared.path, given)
    }

    /// Id of the log's base, where it has one, and whether this store comes from it.
    pub fn base(&self) -> Result<Option<(String, bool)>, StoreError> {
        identity::base(&self.shared.path)
    }

    /// The log has this base from now on.
    pub fn settle_base(&self, id: &str, is_ours: bool) -> Result<(), StoreError> {
        identity::settle_base(&self.shared.path, id, is_ours)
    }

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
        record_kind: RecordKind::Marker,
        principal: at.principal.as_deref().map(str::as_bytes),
        ..EntryMeta::at(lane, at.offset, at.record_time_ms)
    }
}
