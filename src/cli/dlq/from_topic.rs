//! `dlq redrive --from-topic`: records that others dead-lettered, back onto the contact log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{ApplySetup, open_registry, topic_as_log};
use crate::config::Config;
use crate::domain::decode::Decoder;
use crate::domain::founding::Founding;
use crate::domain::headers::{COMMAND, DECODE_PROBLEM, OURS_PREFIX, REDRIVE_HOPS, redrive_hops};
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::{NamedValues, Record, RecordBatch, header_refs, owned_headers};
use crate::domain::verdict::DeadLetterReason;
use crate::effects::dead_letters::{VALUE_LENGTH, redriven};
use crate::event_log::kafka::KafkaLog;
use crate::event_log::{ConsumeBounds, Consumer, Delivery, EventLog, NewRecord};
use crate::ingest::{BridgeAgain, BridgeAgainError, now_ms};
use crate::schema_registry::RegistryError;
use crate::telemetry::Metrics;

use super::arguments::RedriveArgs;
use crate::cli::exit::Failure;
use crate::cli::offline::open_log_to_append;
use crate::cli::progress;

/// How much of the topic is read at once.
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 1024, bytes_max: 4 << 20 };
/// How long the topic may give nothing before it is looked again.
const WAIT: Duration = Duration::from_millis(200);
/// Records that are appended together.
const RECORDS_AT_ONCE: usize = 200;
/// How long the brokers may say nothing at all.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is done, or would be.
#[derive(Default)]
struct Report {
    records: u64,
    appended: u64,
    refused: BTreeMap<&'static str, u64>,
    left_out: BTreeMap<&'static str, u64>,
}

/// Reads the topic up to its present end.
pub(super) fn redrive(config: &Config, topic: &str, args: &RedriveArgs) -> anyhow::Result<Value> {
    if !config.follows_kafka() {
        let text = "no brokers are configured (KAFKA_BROKERS), so there is no topic to read";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    if topic == config.kafka.topic {
        let text = "this is the contact log itself: its records would come back for ever";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    let source = KafkaLog::open(&topic_as_log(config, topic.to_owned()))?;
    let mut until = BTreeMap::new();
    let mut from = BTreeMap::new();
    for lane in (0..source.lanes()?).map(Lane) {
        let marks = source.watermarks(lane)?;
        if marks.low.0 < marks.high.0 {
            from.insert(lane, NextOffset(marks.low.0));
            until.insert(lane, marks.high);
        }
    }
    let target = open_log_to_append(config)?;
    let founding = target.founding()?;
    let setup = ApplySetup::new(config)?;
    let mut redrive = Redrive {
        is_own: config.dead_letters.topic.as_deref() == Some(topic),
        decoder: Arc::clone(&setup.decoder),
        again: open_registry(config, &setup.present, &Arc::new(Metrics::new()?))?,
        hops_max: config.dead_letters.redrive_hops_max,
        target,
        founding,
        limit: args.which.limit.unwrap_or(u64::MAX),
        rate: args.rate,
        applies: args.apply,
        report: Report::default(),
        waiting: Vec::new(),
        started: Instant::now(),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    if !from.is_empty() {
        let mut consumer = source.consume(&from, BOUNDS)?;
        redrive.read(&mut consumer, &until)?;
    }
    redrive.send()?;
    redrive.target.shutdown()?;
    let Report { records, appended, refused, left_out } = redrive.report;
    Ok(json!({
        "topic": topic, "to": config.kafka.topic, "applied": args.apply, "records": records,
        "appended": appended, "refused": refused, "leftOut": left_out,
    }))
}

struct Redrive {
    /// Whether it is contactd's own topic of dead letters, which it alone writes.
    is_own: bool,
    decoder: Arc<Decoder>,
    /// Decodes what could not be decoded when it was bridged.
    again: BridgeAgain,
    hops_max: u8,
    target: EventLog,
    founding: Founding,
    limit: u64,
    rate: Option<u32>,
    /// Else it is only said what would be done.
    applies: bool,
    report: Report,
    waiting: Vec<NewRecord>,
    started: Instant,
    runtime: tokio::runtime::Runtime,
}

/// Why a record is not appended.
enum Left {
    Out(&'static str),
    Refused(DeadLetterReason),
}

impl Redrive {
    fn read(
        &mut self,
        consumer: &mut Consumer,
        until: &BTreeMap<Lane, NextOffset>,
    ) -> anyhow::Result<()> {
        let total = until.values().map(|next| next.0).sum();
        let bar = progress::bar(Some(total), "reading");
        let mut open: BTreeSet<Lane> = until.keys().copied().collect();
        let mut heard = Instant::now();
        while !open.is_empty() && self.report.appended < self.limit {
            let Some(delivery) = consumer.next(WAIT)? else {
                if heard.elapsed() > SILENCE_MAX {
                    let why = consumer.status().trouble().unwrap_or_default();
                    let text = format!("the brokers give nothing any more: {why}");
                    return Err(Failure::Unreachable(text).into());
                }
                continue;
            };
            heard = Instant::now();
            match delivery {
                // A record of a transaction's marker is none: the end is told apart.
                Delivery::CaughtUp(lane) => {
                    open.remove(&lane);
                }
                Delivery::Batch(batch) => {
                    let end = until.get(&batch.lane).copied().unwrap_or_default();
                    self.take(&batch, end)?;
                    if batch.next >= end {
                        open.remove(&batch.lane);
                    }
                    bar.inc(batch.records.len() as u64);
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn take(&mut self, batch: &RecordBatch, end: NextOffset) -> anyhow::Result<()> {
        for index in 0..batch.records.len() {
            let Some(record) = batch.records.get(index).copied() else {
                break;
            };
            if record.offset.0 >= end.0 || self.report.appended >= self.limit {
                break;
            }
            self.report.records += 1;
            match self.record(batch, &record) {
                Ok(made) => self.keep(made, record.timestamp_ms)?,
                Err(why) => *self.report.left_out.entry(why).or_default() += 1,
            }
            if self.waiting.len() >= self.at_once() {
                self.send()?;
            }
        }
        Ok(())
    }

    fn at_once(&self) -> usize {
        let part =
            self.rate.map_or(usize::MAX, |rate| usize::try_from(rate / 5).unwrap_or(usize::MAX));
        part.clamp(1, RECORDS_AT_ONCE)
    }

    /// A record's headers without what only we may say of it: in another's topic anybody may have said
    /// it. How often it was redriven is for its own good.
    fn headers(&self, batch: &RecordBatch, record: &Record) -> NamedValues {
        let is_kept =
            |name: &str| self.is_own || name == REDRIVE_HOPS || !name.starts_with(OURS_PREFIX);
        owned_headers(batch.headers(record).filter(|(name, _)| is_kept(name)))
    }

    /// A record without what others added; or why it is left out.
    fn record(&self, batch: &RecordBatch, record: &Record) -> Result<NewRecord, &'static str> {
        let given = self.headers(batch, record);
        let headers = || header_refs(&given);
        let said: Vec<String> = batch.headers(record).map(|(name, _)| name.to_owned()).collect();
        let has = |wanted: &str| said.iter().any(|name| name == wanted);
        if redrive_hops(headers()) >= self.hops_max {
            return Err("redriven too often");
        }
        if has(COMMAND) {
            // Whoever may write to this topic might not be who may give commands.
            return Err("a command of contactd's API; redrive it there");
        }
        if record.value.is_none() && has(VALUE_LENGTH) {
            return Err("its value was too large to be published");
        }
        let key = batch.key(record);
        let value = batch.value(record).map(<[u8]>::to_vec);
        let now_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        Ok(redriven(key, value, headers(), now_ms))
    }

    /// As it goes onto the contact log, in its contact's partition; what would be refused there is counted.
    fn keep(&mut self, record: NewRecord, time_ms: i64) -> anyhow::Result<()> {
        let records = match self.decoded(record, time_ms)? {
            Ok(records) => records,
            Err(Left::Out(why)) => {
                *self.report.left_out.entry(why).or_default() += 1;
                return Ok(());
            }
            Err(Left::Refused(reason)) => {
                *self.report.refused.entry(reason.as_str()).or_default() += 1;
                return Ok(());
            }
        };
        for mut made in records {
            let mut decoded = RecordBatch::new(Lane(0));
            let key = Some(made.key.as_slice()).filter(|key| !key.is_empty());
            let headers = header_refs(&made.headers);
            decoded.push(Offset(0), time_ms, key, made.value.as_deref(), headers);
            match self.decoder.decode(&mut decoded, 0) {
                Ok(event) => {
                    let contact = event.contact_id.of(&decoded.arena);
                    made.lane = Some(self.founding.home(contact));
                    if made.key.is_empty() {
                        // Connect often writes no key; the contact log needs the contact's id there.
                        made.key = contact.to_vec();
                    }
                    self.report.appended += 1;
                    self.waiting.push(made);
                }
                Err(reject) => {
                    *self.report.refused.entry(reject.reason.as_str()).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// What could not be decoded when another topic brought it, decoded now; all else as it is.
    fn decoded(
        &self,
        record: NewRecord,
        time_ms: i64,
    ) -> anyhow::Result<Result<Vec<NewRecord>, Left>> {
        let Some(registry) = self.again.registry.as_ref().filter(|_| self.is_own) else {
            return Ok(Ok(vec![record]));
        };
        if !record.headers.iter().any(|(name, _)| name == DECODE_PROBLEM) {
            return Ok(Ok(vec![record]));
        }
        let ordered_ms = now_ms();
        loop {
            let id = match self.again.records(&self.target, record.clone(), time_ms, ordered_ms) {
                Ok(records) => return Ok(Ok(records)),
                Err(BridgeAgainError::Schema(id)) => id,
                Err(BridgeAgainError::Whose(_)) => {
                    let why = "only a running instance knows whose it is; redrive it there";
                    return Ok(Err(Left::Out(why)));
                }
                Err(error @ BridgeAgainError::Log(_)) => return Err(error.into()),
            };
            match self.runtime.block_on(registry.learn(id)) {
                Ok(()) => {}
                Err(RegistryError::Unknown(_)) => {
                    return Ok(Err(Left::Refused(DeadLetterReason::SchemaUnknown)));
                }
                Err(error) => {
                    let text =
                        format!("the schema registry does not say what schema {id} is: {error}");
                    return Err(Failure::Unreachable(text).into());
                }
            }
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let records = std::mem::take(&mut self.waiting);
        if !self.applies || records.is_empty() {
            return Ok(());
        }
        self.runtime.block_on(self.target.append(records))?;
        if let Some(rate) = self.rate {
            let due = Duration::from_secs_f64(self.report.appended as f64 / f64::from(rate));
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
        Ok(())
    }
}
