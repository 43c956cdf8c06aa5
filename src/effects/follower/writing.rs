//! How far a follower is: reading its control entry, and writing it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Position};
use crate::event_log::{EventLog, LogError};
use crate::ingest::{ControlOutcome, ControlWrite, now_ms};

use super::engine::{Engine, EngineError};
use super::ledger::{self, Ledger};
use super::queue::Queue;
use super::reading::blocking;
use super::{Sink, Start};

/// How often it is written down what was delivered.
pub(super) const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often it is written down that nothing is owed.
const IDLE_WRITE_EVERY: Duration = Duration::from_secs(600);
/// Records that are passed at most before that is written down: the journal is kept for what is written,
/// and after a crash it must still reach back to there.
const IDLE_RECORDS_MAX: u64 = 10_000;
/// What lies between two such writings of all followers together.
const IDLE_WRITES_APART: Duration = Duration::from_secs(1);

impl<S: Sink> Engine<S> {
    /// What the control entry says, where it is not what is known.
    pub(super) fn learn(&mut self) {
        let entry = self.reader.control(&ledger::key(&self.row.name));
        let revision = Some(entry.as_ref().map_or(0, |entry| entry.revision));
        if self.revision == revision {
            return;
        }
        self.revision = revision;
        let log = self.log();
        let said = entry.and_then(|entry| serde_json::from_slice::<Ledger>(&entry.value).ok());
        let said = said.filter(|said| said.position(log).is_some());
        let founding = self.founding();
        self.is_over = said.as_ref().is_some_and(|said| said.founding > founding);
        let said = said.filter(|said| said.founding == founding);
        self.tell_needs(said.as_ref());
        match (&mut self.ledger, said) {
            (Some(own), Some(said)) if self.tenure.is_some() && own.epoch == said.epoch => {
                self.is_dirty |= !said.again.is_empty();
                said.again.iter().for_each(|owed| self.queue.owe(&owed.0, owed.place()));
                own.paused = said.paused;
            }
            (_, said) => self.adopt(said),
        }
    }

    fn tell_needs(&self, said: Option<&Ledger>) {
        let needs = said.and_then(|said| said.needs(self.log(), self.row.holds_journal));
        if let Some(need) = needs {
            self.reader.follower_needs(&self.row.name, need);
        }
    }

    /// Goes on from what is written down.
    pub(super) fn adopt(&mut self, said: Option<Ledger>) {
        (self.queue, self.changes) = (Queue::default(), None);
        (self.is_caught_up, self.is_dirty, self.is_sink_told) = (false, false, false);
        self.ledger = said;
        let log = self.log();
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        self.is_dirty = !ledger.again.is_empty();
        for owed in ledger.waiting.drain(..).chain(ledger.again.drain(..)) {
            self.queue.owe(&owed.0, owed.place());
        }
        self.read = ledger.position(log).unwrap_or_default();
        self.count = ledger.count;
    }

    /// A follower that was never heard of.
    pub(super) async fn begin(&mut self) -> Result<(), EngineError> {
        let position = match self.row.start {
            Start::Beginning if self.row.holds_journal => {
                Position::of_lanes(self.log(), BTreeMap::new())
            }
            Start::Beginning => {
                let reader = self.reader.clone();
                blocking(move || reader.earliest_position()).await?.0
            }
            Start::Contacts => self.reader.position(),
            Start::Now => {
                let mut end = end_of_log(self.around.log.clone(), self.log()).await?;
                if self.row.reads_control {
                    let next = self.reader.position().next_of(CONTROL_LANE);
                    end.next.insert(CONTROL_LANE, next);
                }
                end
            }
        };
        let mut ledger = Ledger::at(&position, self.row.reads_control);
        ledger.scanned = (self.row.start == Start::Contacts).then(String::new);
        self.adopt(Some(ledger));
        self.write().await
    }

    /// Whether the sink takes everything.
    pub(super) fn tell_trouble(&mut self) {
        let why = self.queue.trouble().map(str::to_owned);
        self.trouble(why.as_deref());
    }

    /// Why something is not delivered, or that all is.
    pub(super) fn trouble(&mut self, why: Option<&str>) {
        if !self.standing.set_trouble(why, now_ms()) {
            return;
        }
        // Whoever is asked shall know; who has it writes it.
        self.is_dirty |= self.tenure.is_some() && self.ledger.is_some();
        match why {
            Some(why) => tracing::warn!(follower = self.row.name, why, "deliveries wait"),
            None => tracing::info!(follower = self.row.name, "deliveries go on"),
        }
    }

    pub(super) async fn write_if_due(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        let since = now.saturating_duration_since(self.written);
        if self.tenure.is_none() {
            return Ok(());
        }
        if self.is_dirty {
            return if since >= WRITE_EVERY { self.write().await } else { Ok(()) };
        }
        let known = self.ledger.as_ref().and_then(|ledger| ledger.position(self.log()));
        let passed = known.map_or(0, |known| records_between(&known, &self.read));
        if is_idle_due(since, passed) && self.may_write_idle(now) {
            return self.write().await;
        }
        Ok(())
    }

    fn may_write_idle(&self, now: Instant) -> bool {
        let mut last = self.around.idle_written.lock();
        let is_apart =
            last.is_none_or(|last| now.saturating_duration_since(last) >= IDLE_WRITES_APART);
        if is_apart {
            *last = Some(now);
        }
        is_apart
    }

    /// Writes down how far it is, and takes up what was ordered at the same time.
    pub(super) async fn write(&mut self) -> Result<(), EngineError> {
        if !self.is_held() {
            self.let_go();
            return Ok(());
        }
        let Some(mut ledger) = self.ledger.clone() else {
            return Ok(());
        };
        let settled = self.sink.settle(&self.read).await.map_err(EngineError::Refused)?;
        ledger.set_position(&settled, self.row.reads_control);
        (ledger.count, ledger.founding) = (self.count, self.founding());
        ledger.waiting = self.queue.owed().map(|(key, at)| ledger::Owed::new(key, at)).collect();
        ledger.trouble = self.standing.trouble();
        if self.around.log.is_control_refused() {
            self.tell_needs(Some(&ledger));
            self.is_dirty = false;
            return Ok(());
        }
        let value = serde_json::to_vec(&ledger);
        let write = ControlWrite {
            key: ledger::key(&self.row.name),
            expected_revision: Some(self.revision.unwrap_or(0)),
            value: Some(value.map_err(|error| EngineError::Refused(error.to_string()))?),
            ..ControlWrite::default()
        };
        match self.around.control.put(write).await? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                self.tell_needs(Some(&ledger));
                ledger.waiting = Vec::new();
                (self.revision, self.ledger) = (Some(revision), Some(ledger));
                (self.is_dirty, self.written) = (settled != self.read, self.now());
                Ok(())
            }
            // Somebody has ordered something: it is written over that.
            ControlOutcome::Conflict { .. } => {
                self.learn();
                Ok(())
            }
            ControlOutcome::Refused { detail, .. } => Err(EngineError::Refused(detail)),
        }
    }
}

/// Whether it is time to write down that nothing is owed of some records.
fn is_idle_due(since: Duration, passed: u64) -> bool {
    let after = if passed >= IDLE_RECORDS_MAX { WRITE_EVERY } else { IDLE_WRITE_EVERY };
    passed > 0 && since >= after
}

/// Contacts' records that one position has seen and an earlier one has not.
pub(super) fn records_between(earlier: &Position, later: &Position) -> u64 {
    let lanes = later.next.iter().filter(|(lane, _)| **lane != CONTROL_LANE);
    lanes.map(|(lane, next)| next.0.saturating_sub(earlier.next_of(*lane).0)).sum()
}

/// Not where this store stands: it may yet have to come to what is long past.
async fn end_of_log(log: EventLog, id: u64) -> Result<Position, EngineError> {
    let asked = tokio::task::spawn_blocking(move || {
        let lanes = (0..log.lanes()?).map(Lane);
        let ends = lanes.map(|lane| Ok((lane, NextOffset(log.watermarks(lane)?.high.0))));
        Ok::<_, LogError>(Position::of_lanes(id, ends.collect::<Result<_, LogError>>()?))
    });
    let ends = asked.await.map_err(|error| EngineError::EndUnknown(error.to_string()))?;
    Ok(ends?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_follower_writes_seldom_but_before_it_is_far_behind() {
        assert!(!is_idle_due(IDLE_WRITE_EVERY * 2, 0));
        assert!(!is_idle_due(IDLE_WRITE_EVERY / 2, IDLE_RECORDS_MAX - 1));
        assert!(is_idle_due(IDLE_WRITE_EVERY, 1));
        assert!(is_idle_due(WRITE_EVERY, IDLE_RECORDS_MAX));
    }

    #[test]
    fn control_records_are_not_counted() {
        let position = |next: &[(Lane, u64)]| {
            let next = next.iter().map(|(lane, next)| (*lane, NextOffset(*next)));
            Position::of_lanes(7, next.collect::<BTreeMap<_, _>>())
        };
        let earlier = position(&[(Lane(0), 10), (CONTROL_LANE, 1)]);
        let later = position(&[(Lane(0), 15), (Lane(1), 3), (CONTROL_LANE, 900)]);
        assert_eq!(records_between(&earlier, &later), 8);
    }
}
