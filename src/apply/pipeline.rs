//! The two stages and the channel between them, run until told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::decode::Reject;
use crate::domain::event::Event;
use crate::domain::position::{CONTROL_LANE, Lane};
use crate::domain::rules::LaneRules;
use crate::domain::verdict::Verdict;
use crate::event_log::{Consumer, Delivery};
use crate::store::{CommitTimes, Counters, Writer};
use crate::telemetry::{LaneMetrics, Metrics, RecordDeadLettered, fault};

use super::strays::{self, Strays};
use super::{ApplyError, DecodedBatch, Impassable, Planner, SetAside, Terms};

/// How long a stage waits before it looks again whether it should stop.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// How long the applier waits after the disk was full, before it tries the same commit again.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(500);
/// Decoded groups that may wait for the applier.
const DECODED_GROUPS_MAX: usize = 2;

/// How much one commit may take together.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions {
    /// Records a commit at most.
    pub batch_records_max: usize,
    /// Record bytes a commit at most.
    pub batch_bytes_max: usize,
}

/// How far applying has come, for readiness and the watchdog.
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    /// Why a commit is waiting to be tried again.
    paused: Mutex<Option<String>>,
    has_impassable: AtomicBool,
    impassable: Mutex<BTreeMap<Lane, Impassable>>,
}

impl Progress {
    /// Records committed since the start.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// The first marker that this program can't go on behind, if there is one.
    pub fn impassable(&self) -> Option<Impassable> {
        self.impassable.lock().values().next().cloned()
    }

    /// Why a commit is waiting to be tried again.
    pub fn paused(&self) -> Option<String> {
        self.paused.lock().clone()
    }
}

const PANICKED: ApplyError = ApplyError::Panicked { stage: "decode" };

/// Emptied vectors of events kept for their memory.
const SPARES_MAX: usize = 32;

type Events = Vec<Result<Event, Reject>>;

/// A group of lane batches that one commit takes together.
#[derive(Default)]
struct Group {
    lanes: Vec<DecodedBatch>,
    records: usize,
    decode_seconds: f64,
}

/// Reads a consumer, decodes, and commits to the store.
pub struct Pipeline {
    /// What the log says of itself.
    pub terms: Terms,
    /// Bounds of one commit.
    pub options: ApplyOptions,
    /// Where the figures go.
    pub metrics: Arc<Metrics>,
    /// The topic's own figures.
    pub lanes: LaneMetrics,
    /// The control topic's own.
    pub control_lane: LaneMetrics,
    /// The topic, for log lines.
    pub topic: String,
    /// The control topic, for log lines.
    pub control_topic: String,
    /// How far it has come.
    pub progress: Arc<Progress>,
    /// End once every lane has been caught up.
    pub until_caught_up: bool,
}

impl Pipeline {
    /// Runs on the calling thread, with the decoding on one more, until `stop` is cancelled (after
    /// the batch in hand) or something can't go on. The consumer is told to end, and not waited for.
    pub fn run(
        &self,
        consumer: &mut Consumer,
        writer: &mut Writer,
        stop: &CancellationToken,
    ) -> Result<(), ApplyError> {
        let (to_plan, decoded) = sync_channel(DECODED_GROUPS_MAX);
        // Room for every group that there can be: what is given back never waits.
        let (give_back, spent) = sync_channel(DECODED_GROUPS_MAX + 2);
        let reading = &mut *consumer;
        let mut rules = writer.rules().clone();
        // Whichever stage ends first, the other must not wait for it.
        let stages = stop.child_token();
        let ended = std::thread::scope(|scope| {
            let decode_stop = stages.clone();
            let decoding =
                std::thread::Builder::new().name("decode".into()).spawn_scoped(scope, move || {
                    self.decode_stage(reading, &mut rules, &to_plan, &spent, &decode_stop)
                });
            let planned = self.plan_stage(writer, &decoded, &give_back, &stages);
            stages.cancel();
            drop(decoded);
            let decoding = match decoding {
                Ok(thread) => thread.join().unwrap_or(Err(PANICKED)),
                Err(_) => Err(PANICKED),
            };
            planned.and(decoding)
        });
        consumer.leave();
        ended
    }

    /// Gathers what the consumer has ready and decodes it: little when caught up, up to the bounds
    /// when behind.
    fn decode_stage(
        &self,
        consumer: &mut Consumer,
        rules: &mut LaneRules,
        to_plan: &SyncSender<Group>,
        spent: &Receiver<Group>,
        stop: &CancellationToken,
    ) -> Result<(), ApplyError> {
        let mut spares: Vec<Events> = Vec::new();
        while !stop.is_cancelled() {
            for decoded in spent.try_iter().flat_map(|group| group.lanes) {
                recycle(decoded, consumer, &mut spares);
            }
            let Some(group) = self.gather(consumer, rules, &mut spares)? else {
                if self.until_caught_up && consumer.status().is_caught_up() {
                    let end = self.progress.impassable().map(ApplyError::Impassable);
                    return end.map_or(Ok(()), Err);
                }
                spares.clear();
                continue;
            };
            fault::point("polled");
            if to_plan.send(group).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn gather(
        &self,
        consumer: &mut Consumer,
        rules: &mut LaneRules,
        spares: &mut Vec<Events>,
    ) -> Result<Option<Group>, ApplyError> {
        let mut group = Group::default();
        let mut wait = STOP_LOOK;
        let mut bytes = 0;
        while group.records < self.options.batch_records_max && bytes < self.options.batch_bytes_max
        {
            match consumer.next(wait)? {
                // Read again by the program that can judge it.
                Some(Delivery::Batch(batch)) if self.is_impassable(batch.lane) => {
                    consumer.recycle(batch);
                }
                Some(Delivery::Batch(batch)) => {
                    bytes += batch.bytes();
                    group.records += batch.records.len();
                    let started = Instant::now();
                    let events = spares.pop().unwrap_or_default();
                    let homes = self.terms.founding;
                    let (decoded, stop) = DecodedBatch::decode(rules, homes, batch, events)?;
                    if let Some(stop) = stop {
                        self.stop_before(stop);
                    }
                    group.lanes.push(decoded);
                    group.decode_seconds += started.elapsed().as_secs_f64();
                }
                Some(Delivery::CaughtUp(_)) => {}
                None => break,
            }
            wait = Duration::ZERO;
        }
        Ok((group.records > 0).then_some(group))
    }

    fn is_impassable(&self, lane: Lane) -> bool {
        self.progress.has_impassable.load(Ordering::Relaxed)
            && self.progress.impassable.lock().contains_key(&lane)
    }

    fn stop_before(&self, marker: Impassable) {
        tracing::error!(%marker, "a marker of the log's rules can't be passed");
        self.progress.impassable.lock().insert(marker.lane, marker);
        self.progress.has_impassable.store(true, Ordering::Relaxed);
    }

    fn plan_stage(
        &self,
        writer: &mut Writer,
        decoded: &Receiver<Group>,
        give_back: &SyncSender<Group>,
        stop: &CancellationToken,
    ) -> Result<(), ApplyError> {
        let mut planner = Planner::new(self.terms.clone());
        let mut strays = Strays::default();
        // Ends when the decode stage has ended and all it sent is committed.
        while let Ok(group) = decoded.recv() {
            let started = Instant::now();
            let before = writer.committed().counters;
            let controls = writer.committed().control.verdicts;
            for lane in &group.lanes {
                planner.plan(writer, lane)?;
            }
            fault::point("planned");
            let planned = Instant::now();
            let Some(times) = self.commit(writer, stop)? else {
                return Ok(());
            };
            self.progress.records.fetch_add(group.records as u64, Ordering::Relaxed);
            self.observe(&group, planned - started, times);
            self.count(&group, &before, &writer.committed().counters);
            self.look_for_strays(&group, &mut strays);
            let committed = writer.committed().control.verdicts;
            self.metrics.control.add_verdicts(&controls, &committed);
            for SetAside { lane, offset, reason } in planner.take_set_aside() {
                let (topic, lane) = match lane {
                    CONTROL_LANE => (&self.control_topic, Lane(0)),
                    lane => (&self.topic, lane),
                };
                RecordDeadLettered { topic, lane, offset, reason }.emit(&self.metrics);
            }
            // Not taken: the decode stage has ended.
            let _ = give_back.try_send(group);
        }
        Ok(())
    }

    /// Commits what is staged, waiting while the disk is full or no file can be made. None: told to stop while waiting;
    /// the batch was not committed and is read again at the next start.
    fn commit(
        &self,
        writer: &mut Writer,
        stop: &CancellationToken,
    ) -> Result<Option<CommitTimes>, ApplyError> {
        let mut was_paused = false;
        loop {
            let error = match writer.commit() {
                Ok(committed) => {
                    if was_paused {
                        *self.progress.paused.lock() = None;
                        tracing::info!("applying goes on");
                    }
                    return Ok(Some(committed.times));
                }
                Err(error) => error,
            };
            if error.class() != Class::Retry {
                return Err(error.into());
            }
            *self.progress.paused.lock() = Some(error.to_string());
            if !std::mem::replace(&mut was_paused, true) {
                tracing::warn!(%error, "applying is paused");
            }
            self.metrics.retried(if error.is_no_space() { "disk_full" } else { "file_not_made" });
            if stop.is_cancelled() {
                return Ok(None);
            }
            std::thread::park_timeout(FULL_DISK_PAUSE);
        }
    }

    /// What is counted is what was journalled.
    fn count(&self, group: &Group, before: &Counters, after: &Counters) {
        let mut verdicts = [0; Verdict::ALL.len()];
        for (verdict, count) in Verdict::ALL.iter().zip(&mut verdicts) {
            *count = after.verdict(*verdict) - before.verdict(*verdict);
        }
        self.metrics.add_verdicts(&verdicts);
        for decoded in &group.lanes {
            let DecodedBatch { batch, .. } = decoded;
            let count = batch.records.len() as u64;
            match batch.lane {
                CONTROL_LANE => self.control_lane.journalled(Lane(0), count),
                lane => self.lanes.journalled(lane, count),
            }
        }
    }

    /// One warning, when most keys lie by another partitioner than the founding's.
    fn look_for_strays(&self, group: &Group, strays: &mut Strays) {
        let founding = &self.terms.founding;
        for decoded in group.lanes.iter().filter(|decoded| decoded.batch.lane != CONTROL_LANE) {
            let Some(found) = strays.note(&decoded.batch, founding) else { continue };
            tracing::warn!(
                topic = self.topic,
                found = %found,
                founding = %founding,
                set = strays::settings(founding.partitioner),
                "most keys lie by another partitioner than the log was founded with: each such record \
                 is brought to its home partition, at the cost of a second one. Set the producers'"
            );
        }
    }

    fn observe(&self, group: &Group, plan: Duration, times: CommitTimes) {
        let metrics = &self.metrics;
        metrics.batch_records.observe(group.records as f64);
        metrics.stage_decode.observe(group.decode_seconds);
        metrics.stage_plan.observe(plan.as_secs_f64());
        metrics.stage_encode.observe((times.waited + times.encode).as_secs_f64());
        metrics.stage_journal.observe(times.append.as_secs_f64());
        metrics.stage_memory.observe(times.memory.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for decoded in group.lanes.iter().filter(|decoded| decoded.batch.lane != CONTROL_LANE) {
            if let Some(oldest) = decoded.batch.records.first() {
                let age = now.as_secs_f64() - oldest.timestamp_ms as f64 / 1e3;
                metrics.end_to_end.observe(age.max(0.0));
            }
        }
    }
}

/// Keeps the memory of a batch that was applied: fresh memory costs more than filling it.
fn recycle(decoded: DecodedBatch, consumer: &Consumer, spares: &mut Vec<Events>) {
    let DecodedBatch { batch, mut events, .. } = decoded;
    consumer.recycle(batch);
    events.clear();
    if spares.len() < SPARES_MAX {
        spares.push(events);
    }
}
