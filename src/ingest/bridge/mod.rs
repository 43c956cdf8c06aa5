//! The bridge: other topics' events, appended to the contact log.
//!
//! ```text
//! Inputs (a consumer group over all instances) ─► convert (pure) ─► whose ─► contact log (acknowledged) ─► commit
//! ```
//!
//! At least once: offsets are committed when the records before them are acknowledged, so what was
//! appended just before a kill or a rebalance is appended again. It has the same id, clock and bytes
//! then, and changes nothing. Only events without a time need more: a contact remembers its last 16
//! such ids, so a portion ends before it holds one more of them.
//!
//! A record whose schema the registry has not given yet stops its partition alone, which is paused and read
//! again from there.

mod again;
#[cfg(test)]
mod avro_tests;
mod convert;
mod facts;
mod portion;
mod readable;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::{BridgeConfig, InputConfig, KafkaConfig};
use crate::domain::Class;
use crate::domain::decode::Decoder;
use crate::domain::position::{LogIdentity, LogKind};
use crate::event_log::kafka::inputs::{Inputs, InputsStatus, inspect_topic};
use crate::event_log::{EventLog, LogError};
use crate::schema_registry::SchemaRegistry;
use crate::telemetry::{BridgeStep, Metrics, fault};

use super::{Pause, PresentRules, whose};
pub use again::{BridgeAgain, BridgeAgainError};
pub use convert::reduce;
use convert::{Bridged, Converter};
use facts::Facts;
use portion::{Portion, Way};
use waiting::Waiting;

/// How long an empty input is waited at before it is looked whether to stop.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// Inputs that may wait to be looked at.
const INSPECTED_MAX: usize = 256;

/// Appends what other topics hold to the contact log.
pub struct Bridge {
    /// The contact log.
    pub log: EventLog,
    /// The inputs' brokers.
    pub kafka: KafkaConfig,
    /// Which inputs.
    pub config: BridgeConfig,
    /// Understands events as applying will.
    pub rules: PresentRules,
    /// Says what Avro records hold; none: they are dead letters.
    pub registry: Option<Arc<SchemaRegistry>>,
    /// Where the figures go.
    pub metrics: Arc<Metrics>,
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
            rules: self.rules.clone(),
            lanes: self.log.founding()?.lanes,
            own_topic: is_kafka.then_some(identity.topic),
            bytes_max: self.config.batch_bytes_max,
            registry: self.registry.clone(),
            asked_since_ms: None,
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
        let mut waiting = Waiting::new(self.registry.as_deref());
        while !stop.is_cancelled() {
            let next = waiting.go_on(&mut inputs).and_then(|()| inputs.next(STOP_LOOK));
            let batches = match next {
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
            let way = Way { bridge: self, inputs: &mut inputs, batches: &batches, runtime, stop };
            if let Err(end) = self.bridge(way, converter, &mut waiting) {
                return end;
            }
        }
        End::Stopped
    }

    /// Appends and commits what was read, a portion at a time.
    fn bridge(
        &self,
        mut way: Way<'_>,
        converter: &Converter,
        waiting: &mut Waiting<'_>,
    ) -> Result<(), End> {
        let unknown = InputConfig::default();
        let mut portion = Portion::default();
        let batches = way.batches;
        for (place, batch) in batches.iter().enumerate() {
            let topic = &batch.from.topic;
            let input = self.config.input(topic).unwrap_or(&unknown);
            for record in &batch.records.records {
                let all = match converter.convert(input, topic, &batch.records, record) {
                    Ok(all) => all,
                    Err(schema) => {
                        let awaited = (schema, record.offset, record.timestamp_ms);
                        waiting.add(way.inputs, batch, awaited).map_err(End::Lost)?;
                        break;
                    }
                };
                for mut bridged in all {
                    self.find_contact(input, &mut bridged, (way.runtime, way.stop))?;
                    if portion.is_full_for(&bridged, self.config.batch_bytes_max) {
                        way.settle(&mut portion)?;
                    }
                    portion.add(place, bridged);
                }
                portion.reach(&batch.from, record.offset.next());
            }
        }
        way.settle(&mut portion)
    }

    /// Gives a record the contact that is meant by the id in it; waits while nobody can say.
    fn find_contact(
        &self,
        input: &InputConfig,
        bridged: &mut Bridged,
        (runtime, stop): (&Handle, &CancellationToken),
    ) -> Result<(), End> {
        let (Some(record), Some(kind)) = (&mut bridged.record, bridged.named) else {
            return Ok(());
        };
        let source = input.source.as_deref().unwrap_or_default();
        let mut pause = Pause::default();
        while let Err(error) = whose::find(&self.rules, source, record, kind) {
            if pause.is_first() {
                tracing::warn!(%error, "the bridge waits for the store");
            }
            if !pause.wait(runtime, stop) {
                return Err(End::Stopped);
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
            let figures = topics
                .iter()
                .map(|(topic, at)| (topic.as_str(), [at.partitions, at.lag, at.waiting]));
            metrics.bridge.set_topics(figures);
            metrics.bridge.set_member(status.rebalances(), status.trouble().is_none());
        });
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
            let (rules, stop) = (bridge.rules.clone(), stop.clone());
            let look = move || {
                for topic in added.iter().take_while(|_| !stop.is_cancelled()) {
                    inspect(&kafka, &config, &rules.decoder(), &topic);
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
