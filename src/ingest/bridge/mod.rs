//! The bridge: other topics' events, appended to the contact log.
//!
//! ```text
//! Inputs (a consumer group over all instances) ─► convert (pure) ─► contact log (acknowledged) ─► commit
//! ```
//!
//! At least once: offsets are committed when the records before them are acknowledged, so what was
//! appended just before a kill or a rebalance is appended again. It has the same id, clock and bytes
//! then, and changes nothing. Only events without a time need more: a contact remembers its last 16
//! such ids, so a portion ends before it holds one more of them.

mod convert;
mod facts;
mod misplaced;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::{BridgeConfig, InputConfig, KafkaConfig};
use crate::domain::Class;
use crate::domain::contact::rings::RING_LEN;
use crate::domain::decode::Decoder;
use crate::domain::headers::ORIGIN;
use crate::domain::position::{LogIdentity, LogKind};
use crate::event_log::kafka::inputs::{InputBatch, Inputs, InputsStatus, Reached, inspect_topic};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::telemetry::{BridgeOutcome, BridgeStep, Metrics, fault};

use super::now_ms;
use convert::{Bridged, Converter, reduce};
use facts::Facts;
pub use misplaced::Rehoming;

/// How long an empty input is waited at before it is looked whether to stop.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// First and longest pause between two tries.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Inputs that may wait to be looked at.
const INSPECTED_MAX: usize = 256;
/// Events without a time that a contact remembers.
const UNTIMED_MAX: usize = RING_LEN;

/// Appends what other topics hold to the contact log.
pub struct Bridge {
    /// The contact log.
    pub log: EventLog,
    /// The inputs' brokers.
    pub kafka: KafkaConfig,
    /// Which inputs.
    pub config: BridgeConfig,
    /// Understands events as applying will.
    pub decoder: Arc<Decoder>,
    /// Where the figures go.
    pub metrics: Arc<Metrics>,
}

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
        self.outcome = BridgeOutcome::Reduced;
        reduce(&mut self.record, is_too_large, now_ms)
    }
}

/// What is appended, and then committed, at once.
#[derive(Default)]
struct Portion {
    records: Vec<Pending>,
    reached: Reached,
    /// Records that are only counted, by their batch's place.
    returned: BTreeMap<usize, u64>,
    /// By contact, events without a time.
    untimed: BTreeMap<Vec<u8>, usize>,
}

/// The present member's standing.
type Shown = Arc<Mutex<Option<Arc<InputsStatus>>>>;

/// Why following the inputs ended.
enum End {
    Stopped,
    /// The consumer must be made anew.
    Lost(LogError),
    /// The contact log can't go on.
    Failed(LogError),
}

impl Bridge {
    /// Runs until told to stop, once the contact log is known. Blocks the calling thread.
    ///
    /// # Errors
    /// Settings that librdkafka doesn't take, and a contact log that has failed for good.
    pub fn run(&self, runtime: &Handle, stop: &CancellationToken) -> Result<(), LogError> {
        let mut pause = Pause::default();
        let identity = loop {
            match self.log.identity() {
                Ok(identity) => break identity,
                Err(error) if error.class() == Class::Retry => {}
                Err(error) => return Err(error),
            }
            if !pause.wait(runtime, stop) {
                return Ok(());
            }
        };
        let group = group(&self.config, &identity);
        let is_kafka = identity.kind == LogKind::Kafka;
        let converter = Converter {
            decoder: Arc::clone(&self.decoder),
            lanes: identity.lanes,
            own_topic: is_kafka.then_some(identity.topic),
        };
        tracing::info!(group, "bridging other topics");
        let shown = Shown::default();
        self.show(&shown);
        loop {
            let inputs = Inputs::new(&self.kafka, &self.config, &group)?;
            *shown.lock() = Some(inputs.status());
            let error = match self.follow(inputs, &converter, runtime, stop) {
                End::Stopped => return Ok(()),
                End::Failed(error) => return Err(error),
                End::Lost(error) => error,
            };
            self.metrics.bridge.failed(BridgeStep::Read);
            tracing::warn!(%error, "the bridge joins its group anew");
            if !pause.wait(runtime, stop) {
                return Ok(());
            }
        }
    }

    fn follow(
        &self,
        mut inputs: Inputs,
        converter: &Converter,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> End {
        let mut inspection = Inspection::default();
        while !stop.is_cancelled() {
            let batches = match inputs.next(STOP_LOOK) {
                Ok(batches) => batches,
                Err(error) => return End::Lost(error),
            };
            for topic in inputs.take_new_topics() {
                self.metrics.bridge.begin(&topic);
                inspection.add(self, topic, stop);
            }
            if batches.is_empty() {
                continue;
            }
            fault::point("bridge_polled");
            if let Err(end) = self.bridge(&mut inputs, &batches, converter, runtime, stop) {
                return end;
            }
        }
        End::Stopped
    }

    /// Appends and commits what was read, a portion at a time.
    fn bridge(
        &self,
        inputs: &mut Inputs,
        batches: &[InputBatch],
        converter: &Converter,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        let unknown = InputConfig::default();
        let mut portion = Portion::default();
        for (place, batch) in batches.iter().enumerate() {
            let input = self.config.input(&batch.from.topic).unwrap_or(&unknown);
            for record in &batch.records.records {
                let bridged = converter.convert(input, &batch.from.topic, &batch.records, record);
                if portion.is_full_for(&bridged) {
                    self.settle(inputs, batches, &mut portion, runtime, stop)?;
                }
                portion.add(place, bridged);
                portion.reached.insert(batch.from.clone(), record.offset.next());
            }
        }
        self.settle(inputs, batches, &mut portion, runtime, stop)
    }

    fn settle(
        &self,
        inputs: &mut Inputs,
        batches: &[InputBatch],
        portion: &mut Portion,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        let Portion { records, reached, returned, untimed: _ } = std::mem::take(portion);
        if reached.is_empty() {
            return Ok(());
        }
        let mut way = Way { bridge: self, inputs, batches, runtime, stop };
        // The deliberate mistake that the tests must notice.
        if fault::bug("bridge_commits_first") {
            way.commit(reached.clone())?;
            fault::point("bridge_committed");
        }
        way.append(records)?;
        fault::point("bridge_appended");
        way.commit(reached)?;
        fault::point("bridge_committed");
        for (place, count) in returned {
            if let Some(batch) = batches.get(place) {
                self.metrics.bridge.count(&batch.from.topic, BridgeOutcome::Returned, count);
            }
        }
        Ok(())
    }

    /// Shows at every scrape how the member stands that there is then.
    fn show(&self, shown: &Shown) {
        let shown = Arc::clone(shown);
        self.metrics.on_scrape(move |metrics| {
            let Some(status) = shown.lock().clone() else { return };
            let topics = status.topics();
            let topics = topics.iter().map(|(topic, at)| (topic.as_str(), at.partitions, at.lag));
            metrics.bridge.set_topics(topics);
            metrics.bridge.set_member(status.rebalances(), status.trouble().is_none());
        });
    }
}

impl Portion {
    /// Whether one more such event of its contact would be one too many.
    fn is_full_for(&self, bridged: &Bridged) -> bool {
        let Some(record) = bridged.record.as_ref().filter(|_| bridged.is_untimed) else {
            return false;
        };
        // The deliberate mistake that the tests must notice.
        if fault::bug("bridge_forgets_repeats") {
            return false;
        }
        self.untimed.get(&record.key).is_some_and(|count| *count >= UNTIMED_MAX)
    }

    fn add(&mut self, batch: usize, bridged: Bridged) {
        let Bridged { record, outcome, is_untimed } = bridged;
        let Some(record) = record else {
            *self.returned.entry(batch).or_default() += 1;
            return;
        };
        if is_untimed {
            *self.untimed.entry(record.key.clone()).or_default() += 1;
        }
        self.records.push(Pending { record, outcome, batch });
    }
}

/// What appending and committing one portion needs.
struct Way<'a> {
    bridge: &'a Bridge,
    inputs: &'a mut Inputs,
    batches: &'a [InputBatch],
    runtime: &'a Handle,
    stop: &'a CancellationToken,
}

impl Way<'_> {
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
            records.retain(|pending| {
                self.batches.get(pending.batch).is_some_and(|batch| self.inputs.owns(batch))
            });
        }
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
        let origin = origin.map(|(_, origin)| String::from_utf8_lossy(origin).into_owned());
        let detail = format!("of {}: {error}", origin.unwrap_or_default());
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
            let (inputs, batches) = (&self.inputs, self.batches);
            reached.retain(|from, _| {
                let mut of_partition = batches.iter().filter(|batch| batch.from == *from);
                of_partition.any(|batch| inputs.owns(batch))
            });
        }
        Ok(())
    }

    fn wait(&mut self, pause: &mut Pause) -> Result<(), End> {
        let until = Instant::now() + pause.next();
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

/// Grows, with jitter, so that instances that lost one broker don't come back in step.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(RETRY_PAUSE_MIN)
    }
}

impl Pause {
    fn is_first(&self) -> bool {
        self.0 == RETRY_PAUSE_MIN
    }

    fn next(&mut self) -> Duration {
        let jittered = self.0.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(RETRY_PAUSE_MAX);
        jittered
    }

    /// False: told to stop.
    fn wait(&mut self, runtime: &Handle, stop: &CancellationToken) -> bool {
        let pause = tokio::time::sleep(self.next());
        runtime.block_on(async { stop.run_until_cancelled(pause).await }).is_some()
    }
}

/// Looks at inputs on a thread of its own, one after the other: it takes seconds each. Nobody waits
/// for its end, which is the bridge's.
#[derive(Default)]
struct Inspection {
    topics: Option<SyncSender<String>>,
}

impl Inspection {
    fn add(&mut self, bridge: &Bridge, topic: String, stop: &CancellationToken) {
        let topics = self.topics.get_or_insert_with(|| {
            let (add, added) = sync_channel::<String>(INSPECTED_MAX);
            let (kafka, config) = (bridge.kafka.clone(), bridge.config.clone());
            let (decoder, stop) = (Arc::clone(&bridge.decoder), stop.clone());
            let look = move || {
                for topic in added.iter().take_while(|_| !stop.is_cancelled()) {
                    inspect(&kafka, &config, &decoder, &topic);
                }
            };
            let thread = std::thread::Builder::new().name("bridge-look".to_owned());
            // Without it nothing is missing but some lines of the log.
            drop(thread.spawn(look));
            add
        });
        let _ = topics.try_send(topic);
    }
}

fn inspect(kafka: &KafkaConfig, config: &BridgeConfig, decoder: &Decoder, name: &str) {
    let Some(input) = config.input(name) else {
        return;
    };
    match inspect_topic(kafka, name) {
        Ok(mut topic) => {
            let facts = Facts::of(&mut topic.samples, topic.partitions, decoder);
            facts.log(name, &topic, input);
        }
        Err(error) => {
            tracing::warn!(topic = name, %error, "an input of the bridge can't be looked at")
        }
    }
}

/// An embedded log is one instance's own, and must not take partitions from a group of others.
fn group(config: &BridgeConfig, identity: &LogIdentity) -> String {
    match (&config.group, identity.kind) {
        (Some(group), _) => group.clone(),
        (None, LogKind::Kafka) => format!("contactd.bridge.{}", identity.topic),
        (None, LogKind::Embedded) => {
            format!("contactd.bridge.{}.{}", identity.topic, identity.cluster)
        }
    }
}
