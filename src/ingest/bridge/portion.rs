//! What is appended and committed at once, until it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::contact::rings::REPEATS_MIN;
use crate::domain::headers::ORIGIN;
use crate::domain::position::NextOffset;
use crate::event_log::kafka::inputs::{InputBatch, InputPartition, Inputs, Reached};
use crate::event_log::{LogError, NewRecord};
use crate::ingest::now_ms;
use crate::telemetry::{BridgeOutcome, BridgeStep, fault};

use super::convert::{Bridged, bytes_of, reduce};
use super::{Bridge, End, Pause, STOP_LOOK};

/// Events without a time that a contact remembers.
pub(super) const UNTIMED_MAX: usize = REPEATS_MIN;

/// A record on its way.
struct Pending {
    record: NewRecord,
    outcome: BridgeOutcome,
    /// Its batch's place.
    batch: usize,
}

impl Pending {
    /// Makes it what the log may take; false: there is no more to give up.
    fn reduce(&mut self, error: &LogError) -> bool {
        let is_too_large = matches!(error, LogError::RecordTooLarge { .. });
        let now_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let is_reduced = reduce(&mut self.record, is_too_large, now_ms);
        if is_reduced {
            self.outcome = BridgeOutcome::Reduced;
        }
        is_reduced
    }
}

/// What is appended, and then committed, at once.
#[derive(Default)]
pub(super) struct Portion {
    records: Vec<Pending>,
    /// Of the records' values and headers: one that is read may become many.
    bytes: usize,
    reached: Reached,
    /// Records that are only counted, by their batch's place.
    counted: BTreeMap<(usize, u8), u64>,
    /// By contact, events without a time.
    untimed: BTreeMap<Vec<u8>, usize>,
}

impl Portion {
    /// All of the partition before this is in it, or was settled before.
    pub(super) fn reach(&mut self, from: &InputPartition, next: NextOffset) {
        self.reached.insert(from.clone(), next);
    }

    /// Whether its records have so many bytes, or one more such event of its contact would be one too many.
    pub(super) fn is_full_for(&self, bridged: &Bridged, bytes_max: usize) -> bool {
        if self.bytes >= bytes_max {
            return true;
        }
        let Some(record) = bridged.record.as_ref().filter(|_| bridged.is_untimed) else {
            return false;
        };
        // The deliberate mistake that the tests must notice.
        if fault::bug("bridge_forgets_repeats") {
            return false;
        }
        self.untimed.get(&record.key).is_some_and(|count| *count >= UNTIMED_MAX)
    }

    /// One more; `batch`: its batch's place.
    pub(super) fn add(&mut self, batch: usize, bridged: Bridged) {
        let Bridged { record, outcome, is_untimed, .. } = bridged;
        let Some(record) = record else {
            *self.counted.entry((batch, outcome as u8)).or_default() += 1;
            return;
        };
        if is_untimed {
            *self.untimed.entry(record.key.clone()).or_default() += 1;
        }
        self.bytes += record.value.as_ref().map_or(0, Vec::len) + bytes_of(&record.headers);
        self.records.push(Pending { record, outcome, batch });
    }
}

/// What appending and committing one portion needs.
pub(super) struct Way<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) inputs: &'a mut Inputs,
    pub(super) batches: &'a [InputBatch],
    pub(super) runtime: &'a Handle,
    pub(super) stop: &'a CancellationToken,
}

impl Way<'_> {
    /// Appends and commits a portion, which is empty then.
    pub(super) fn settle(&mut self, portion: &mut Portion) -> Result<(), End> {
        let Portion { mut records, mut reached, counted, .. } = std::mem::take(portion);
        if reached.is_empty() && records.is_empty() {
            return Ok(());
        }
        if self.inputs.is_poll_due() {
            self.inputs.hold(Duration::ZERO).map_err(End::Lost)?;
        }
        self.drop_lost(&mut records);
        // The deliberate mistake that the tests must notice.
        if fault::bug("bridge_commits_first") {
            self.commit(reached.clone())?;
            fault::point("bridge_committed");
        }
        self.append(records)?;
        fault::point("bridge_appended");
        // What was taken away meanwhile is not appended, whoever has the partition now.
        self.keep_owned(&mut reached);
        self.commit(reached)?;
        fault::point("bridge_committed");
        self.count_all(&counted);
        Ok(())
    }

    /// Until all are acknowledged, or belong to somebody else.
    fn append(&mut self, mut records: Vec<Pending>) -> Result<(), End> {
        let mut pause = Pause::default();
        loop {
            let Some(error) = self.try_append(&mut records)? else {
                return Ok(());
            };
            if records.is_empty() {
                return Ok(());
            }
            match error.class() {
                Class::Poison => continue,
                Class::Fatal if !matches!(error, LogError::Refused { .. }) => {
                    return Err(self.failed(error));
                }
                Class::Fatal | Class::Retry => {}
            }
            self.bridge.metrics.bridge.failed(BridgeStep::Append);
            if pause.is_first() {
                tracing::warn!(%error, "the bridge waits for the contact log");
            }
            self.wait(&mut pause)?;
            self.drop_lost(&mut records);
        }
    }

    /// Leaves out what its partition's new owner appends.
    fn drop_lost(&self, records: &mut Vec<Pending>) {
        let batches = self.batches.iter();
        let owned: Vec<bool> = batches.map(|batch| self.inputs.owns(batch)).collect();
        records.retain(|pending| owned.get(pending.batch).copied().unwrap_or(false));
    }

    /// Leaves those that are not appended, and says why: a refusal that was answered by making the
    /// record smaller only where there is nothing worse. Not given up in the middle, but at the end:
    /// while it is under way no partition changes hands.
    fn try_append(&self, records: &mut Vec<Pending>) -> Result<Option<LogError>, End> {
        let appended = records.iter().map(|pending| pending.record.clone()).collect();
        let append = self.stop.run_until_cancelled(self.bridge.log.append_each(appended));
        let outcomes = match self.runtime.block_on(append) {
            None => return Err(End::Stopped),
            Some(Err(error)) => return Ok(Some(error)),
            Some(Ok(outcomes)) => outcomes,
        };
        let mut worst: Option<LogError> = None;
        let (mut left, mut done) = (Vec::new(), Vec::new());
        for (mut pending, outcome) in records.drain(..).zip(outcomes) {
            let Err(error) = outcome else {
                done.push(pending);
                continue;
            };
            let is_answered = error.class() == Class::Poison && pending.reduce(&error);
            let error = if is_answered { error } else { self.lasting(error, &pending) };
            if worst.as_ref().is_none_or(|worst| gravity(&error) > gravity(worst)) {
                worst = Some(error);
            }
            left.push(pending);
        }
        self.count(&done);
        *records = left;
        Ok(worst)
    }

    /// A record that nothing makes acceptable holds its input up, rather than being lost.
    fn lasting(&self, error: LogError, pending: &Pending) -> LogError {
        let topic = match &error {
            LogError::RecordTooLarge { topic, .. } | LogError::RecordRefused { topic, .. } => topic,
            _ => return error,
        };
        let origin = pending.record.headers.iter().find(|(name, _)| name == ORIGIN);
        let origin = origin.and_then(|(_, origin)| origin.as_deref()).unwrap_or_default();
        let detail = format!("of {}: {error}", String::from_utf8_lossy(origin));
        LogError::NotAcknowledged { topic: topic.clone(), detail }
    }

    fn failed(&self, error: LogError) -> End {
        // The log may be closed because all ends.
        if self.stop.is_cancelled() { End::Stopped } else { End::Failed(error) }
    }

    fn count(&self, records: &[Pending]) {
        let mut counts: BTreeMap<(usize, u8), u64> = BTreeMap::new();
        for pending in records {
            *counts.entry((pending.batch, pending.outcome as u8)).or_default() += 1;
        }
        self.count_all(&counts);
    }

    fn count_all(&self, counts: &BTreeMap<(usize, u8), u64>) {
        for outcome in BridgeOutcome::ALL {
            for (place, batch) in self.batches.iter().enumerate() {
                if let Some(count) = counts.get(&(place, outcome as u8)) {
                    self.bridge.metrics.bridge.count(&batch.from.topic, outcome, *count);
                }
            }
        }
    }

    /// Until the coordinator has confirmed it, or the partitions belong to somebody else: nothing
    /// more is appended before, so that little is appended twice.
    fn commit(&mut self, mut reached: Reached) -> Result<(), End> {
        let mut pause = Pause::default();
        while let Err(error) = self.inputs.commit(&reached) {
            self.bridge.metrics.bridge.failed(BridgeStep::Commit);
            tracing::debug!(%error, "the bridge waits for its group");
            self.wait(&mut pause)?;
            self.keep_owned(&mut reached);
        }
        Ok(())
    }

    fn keep_owned(&self, reached: &mut Reached) {
        reached.retain(|from, _| {
            let mut of_partition = self.batches.iter().filter(|batch| batch.from == *from);
            of_partition.any(|batch| self.inputs.owns(batch))
        });
    }

    fn wait(&mut self, pause: &mut Pause) -> Result<(), End> {
        let until = Instant::now() + pause.take();
        loop {
            if self.stop.is_cancelled() {
                return Err(End::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            self.inputs.hold(left.min(STOP_LOOK)).map_err(End::Lost)?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }
}

fn gravity(error: &LogError) -> u8 {
    match error.class() {
        Class::Poison => 0,
        Class::Retry => 1,
        Class::Fatal => 2,
    }
}
