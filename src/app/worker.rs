//! The stream's side of the process: open the store, reach the log, apply until told to stop.
//!
//! It runs on a thread of its own, because nearly everything it does blocks.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::apply::{ApplyError, ApplyOptions, Pipeline, Progress, Terms};
use crate::backup::remove_left;
use crate::config::Config;
use crate::domain::Class;
use crate::domain::base::BaseRule;
use crate::domain::founding::Founding;
use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, NextOffset, Offset};
use crate::event_log::{ConsumeBounds, Consumer, ControlAccess, EventLog, LogError};
use crate::ingest::{Adoption, Commands, Pause, Stamps, Stopped, purge};
use crate::store::{self, ControlGap, Opened, StoreError, Writer};
use crate::telemetry::{Metrics, fault};

use super::beginning::Beginning;
use super::error::WorkerError;
use super::founding::{self, FoundingError};
use super::partial;
use super::rules::keep_rules;
use super::setup::ApplySetup;
use super::start::{ControlStart, Start, control_offset, start_offsets};
use super::tasks::Tasks;
use super::watch::Watch;
use super::writes::writes;

/// The task's, and its thread's.
pub(super) const NAME: &str = "apply";
/// First and longest pause between two tries to reach the log.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How much of the log may wait between its thread and the applier.
const CONSUME_BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 16_384, bytes_max: 8 << 20 };

/// What one-shot runs do differently.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerOptions {
    /// Do without records that the log has dropped: the store becomes what the log goes on from.
    pub accepts_gap: bool,
    /// End once every lane has been caught up.
    pub until_caught_up: bool,
}

/// An open store, the log's identity where it had to be asked for it, and the rules of both.
type OpenedStore = (Writer, Option<LogIdentity>, Arc<Adoption>);

/// Everything that the stream's side needs.
pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    pub(super) log: EventLog,
    pub(super) setup: ApplySetup,
    pub(super) options: WorkerOptions,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watch: Watch,
    /// How this instance writes, once its store is open.
    pub(super) commands: OnceLock<Commands>,
    /// Where what waits for others runs.
    pub(super) runtime: Handle,
    /// Where what goes along with applying is started.
    pub(super) tasks: Tasks,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Runs until `stop` is cancelled, all is caught up (where asked for), or something can't go on.
    pub(super) fn run(self) -> Result<(), WorkerError> {
        self.refuse_half_restored()?;
        let Some((mut writer, identity, rules)) = self.open_store()? else {
            return Ok(());
        };
        let followed = self.follow(&mut writer, identity, &rules);
        // What was applied is worth a checkpoint, whatever ended the run.
        let next = writer.next_offsets();
        let closed = writer.close();
        // The consumer's thread, which takes 100 ms to hear that it should end, had all that time.
        drop(followed?);
        closed?;
        if let Some(commands) = self.commands.get() {
            commands.end();
        }
        if let Err(error) = self.log.commit(&next) {
            tracing::debug!(%error, "the last offsets were not committed to the log");
        }
        Ok(())
    }

    /// The store, and the log's identity where the log had to be asked for it. A store that is there
    /// is opened whether or not the log answers, so that reads are answered.
    fn open_store(&self) -> Result<Option<OpenedStore>, WorkerError> {
        let options = self.config.store.clone();
        let progress = |progress| self.watch.opening(&progress);
        let open = |identity| store::open(options.clone(), identity, &progress);
        let (opened, identity) = match open(None) {
            Err(StoreError::NoStore { .. }) => {
                self.watch.new_store_waits();
                let Some(identity) = self.wait_for(|| Ok(self.log.identity()?))? else {
                    return Ok(None);
                };
                (open(Some(&identity))?, Some(identity))
            }
            opened => (opened?, None),
        };
        let Opened { mut writer, reader, report } = opened;
        remove_left(&self.config.store.path)?;
        let took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
        let (contacts, frames_redone) = (report.contacts, report.frames_redone);
        let (cut_bytes, refilled) = (report.journal_truncated_bytes, report.refilled.as_deref());
        tracing::info!(contacts, frames_redone, cut_bytes, refilled, took_ms, "store open");
        let commands = self.commands.get_or_init(|| {
            let stamps = Stamps::in_directory(&self.config.store.path);
            let (intake, rules) = (Arc::clone(&self.watch.intake), self.setup.present.clone());
            Commands::new(intake, reader.clone(), rules, stamps)
        });
        self.catch_up_restored(&mut writer)?;
        let writes = writes(&self.config, commands.clone(), &reader);
        self.setup.present.store_opened(reader.clone());
        let own = Arc::clone(&self.setup.rules);
        let rules = Arc::new(Adoption::new(self.log.clone(), reader.clone(), own));
        self.watch.backups.open(writer.pinning());
        self.watch.store_open(reader, &self.log, commands, writes, &rules);
        Ok(Some((writer, identity, rules)))
    }

    /// Applies until the end. The consumer is given back ending, still to be waited for.
    fn follow(
        &self,
        writer: &mut Writer,
        known: Option<LogIdentity>,
        rules: &Arc<Adoption>,
    ) -> Result<Option<Consumer>, WorkerError> {
        let (mut partial, mut proposed) = (None, None);
        loop {
            let consuming =
                self.wait_for(|| self.consume(writer, known.clone(), &mut partial, &mut proposed))?;
            let Some(mut following) = consuming else {
                return Ok(None);
            };
            if let Some(why) = &partial {
                self.watch.partial(why);
            }
            self.watch.followers.prepare()?;
            let Err(error) = self.apply(writer, &mut following, rules, partial.is_some()) else {
                return Ok(Some(following.consumer));
            };
            // What was staged is not committed, and is none of a partial store's.
            writer.abandon()?;
            partial = Some(match (partial, error) {
                (None, ApplyError::Log(error)) if self.is_gap(&error) => {
                    format!(
                        "the store is partial: {error}: the log has dropped records that it never read; \
                             restore it from an instance that has them, or, where there is none, start \
                             one instance with --accept-gap --sole"
                    )
                }
                (None, ApplyError::AnotherBase { id }) if !self.options.until_caught_up => {
                    writer.settle_base(&id, false)?;
                    partial::another(&id)
                }
                (_, error) => return Err(error.into()),
            });
        }
    }

    /// A run that ends by itself does not wait for what somebody has to say or do first.
    fn is_in_vain(&self, error: &WorkerError) -> bool {
        let is_lasting = match error {
            WorkerError::Founding(error) => !matches!(error, FoundingError::Log(_)),
            WorkerError::Unfounded { is_lasting, .. } => *is_lasting,
            WorkerError::Log(_)
            | WorkerError::Apply(_)
            | WorkerError::Store(_)
            | WorkerError::NotCaughtUp { .. }
            | WorkerError::Backup(_) => false,
        };
        is_lasting && self.options.until_caught_up
    }

    /// Whether the contacts' log has gone on without the store.
    fn is_gap(&self, error: &LogError) -> bool {
        let LogError::OffsetOutOfRange { lane, next, low, .. } = error else {
            return false;
        };
        *lane != CONTROL_LANE && next.0 < low.0 && !self.options.until_caught_up
    }

    fn apply(
        &self,
        writer: &mut Writer,
        following: &mut Following,
        rules: &Arc<Adoption>,
        is_partial: bool,
    ) -> Result<(), ApplyError> {
        let Following { identity, founding, base, consumer } = following;
        let stop = self.stop.child_token();
        let _ends_them = stop.clone().drop_guard();
        let commits =
            commit_offsets(self.log.clone(), writer.after_checkpoint(), self.watch.clone());
        self.tasks.start_within("commits", &stop, commits);
        let retention = retain(self.log.clone(), writer.after_snapshot());
        self.tasks.start_within("retention", &stop, retention);
        let progress = Arc::new(Progress::default());
        let passing = Arc::clone(&progress);
        let stopped = move || passing.impassable().map(|marker| marker.to_string());
        rules.following((!is_partial).then(|| (consumer.status(), Arc::new(stopped) as Stopped)));
        if !is_partial {
            self.purge(&stop);
            self.keep_rules(rules, consumer, &stop);
        }
        self.watch.following(
            &self.log,
            identity,
            founding,
            consumer.status(),
            Arc::clone(&progress),
            is_partial,
        );
        let terms = Terms { founding: *founding, base: base.clone() };
        let pipeline = self.pipeline(terms, identity, progress, self.options.until_caught_up);
        pipeline.run(consumer, writer, &self.stop)
    }

    pub(super) fn pipeline(
        &self,
        terms: Terms,
        identity: &LogIdentity,
        progress: Arc<Progress>,
        until_caught_up: bool,
    ) -> Pipeline {
        Pipeline {
            lanes: self.metrics.lanes(&identity.topic, terms.founding.lanes),
            terms,
            options: ApplyOptions {
                batch_records_max: self.config.apply.batch_records_max,
                batch_bytes_max: self.config.apply.batch_bytes_max,
            },
            control_lane: self.metrics.lanes(&self.config.kafka.control_topic, 1),
            metrics: Arc::clone(&self.metrics),
            topic: identity.topic.clone(),
            control_topic: self.config.kafka.control_topic.clone(),
            progress,
            until_caught_up,
        }
    }

    /// Keeps the rules on the log. A run that ends at the log's end adds nothing to it.
    fn keep_rules(&self, rules: &Arc<Adoption>, consumer: &Consumer, stop: &CancellationToken) {
        if self.options.until_caught_up {
            return;
        }
        let by_itself = self.config.adopts_by_itself();
        if by_itself {
            self.watch.rules_unsettled();
        } else {
            self.watch.rules_settled(rules);
        }
        let (watch, lanes) = (self.watch.clone(), consumer.status());
        let keeping = keep_rules(Arc::clone(rules), lanes, by_itself, watch, stop.clone());
        self.tasks.start_within("rules", stop, keeping);
    }

    /// Erases what was deleted long ago, where that is configured.
    fn purge(&self, stop: &CancellationToken) {
        if let (Some(deleted_for), Some(commands)) =
            (self.config.store.purge_deleted_after, self.commands.get())
        {
            self.tasks.start_within("purging", stop, purge(commands.clone(), deleted_for));
        }
    }

    /// Checks that the log is the store's, and begins to read where the store stands; `partial`: why
    /// only control records are read.
    pub(super) fn consume(
        &self,
        writer: &mut Writer,
        known: Option<LogIdentity>,
        partial: &mut Option<String>,
        proposed: &mut Option<Offset>,
    ) -> Result<Following, WorkerError> {
        let identity = match known {
            Some(identity) => identity,
            None => self.log.identity()?,
        };
        writer.require_log(&identity)?;
        let kafka = &self.config.kafka;
        let (runtime, stop) = (&self.runtime, &self.stop);
        let founding = founding::settle(&self.log, kafka, writer.founding()?, runtime, stop)?;
        self.log.found(&founding);
        let accepts_gap = self.options.accepts_gap;
        let (mut from, ends) = match start_offsets(&self.log, writer.lanes(), accepts_gap)? {
            _ if partial.is_some() => Default::default(),
            Start::From { from, ends } => (from, ends),
            Start::Partial(gap) if self.options.until_caught_up => return Err(gap.into()),
            Start::Partial(gap) => {
                *partial = Some(gap.to_string());
                Default::default()
            }
        };
        let (log, own) = (&self.log, &self.setup.rules);
        let beginning =
            Beginning { log, identity: &identity, founding: &founding, own, runtime, stop };
        let is_new = partial.is_none() && writer.rules().beginning().is_none();
        let beginning = if is_new { Some(beginning.find(proposed)?) } else { None };
        writer.settle_founding(&founding)?;
        if let Some((number, rules)) = beginning {
            writer.begin_with(number, rules)?;
        }
        let control = self.control_start(writer)?;
        let base = match partial::base(writer)? {
            _ if partial.is_some() => BaseRule::Any,
            Err(_) | Ok(_) if accepts_gap && self.accept_gaps(writer, &from)? => {
                partial::base(writer)?.unwrap_or_default()
            }
            Ok(base) => base,
            Err(another) => {
                *partial = Some(another);
                from = BTreeMap::new();
                BaseRule::Any
            }
        };
        from.extend(control.map(|next| (CONTROL_LANE, next)));
        for (lane, read) in writer.lanes() {
            if let Some(last) = read.last {
                self.log.expect_last(*lane, last.offset, last.hash);
            }
        }
        let consumer = self.log.consume(&from, self.consume_bounds())?;
        // Early, because the first commit is the slow one: the group's coordinator must be found.
        if let Err(error) = self.log.commit(&from) {
            tracing::debug!(%error, "the first offsets were not committed to the log");
        }
        // A command says where its lane ended before: the first ones must not go by where the store
        // stands, which may be far behind.
        for (lane, end) in ends {
            if let Some(status) = consumer.status().lane(lane) {
                status.high.fetch_max(end.0, Ordering::AcqRel);
            }
        }
        Ok(Following { identity, founding, base, consumer })
    }

    /// Whether there were some.
    fn accept_gaps(
        &self,
        writer: &mut Writer,
        from: &BTreeMap<Lane, NextOffset>,
    ) -> Result<bool, WorkerError> {
        match self.watch.reader.get() {
            Some(reader) => partial::accept_gaps(&self.log, writer, reader, from, &self.runtime),
            None => Ok(false),
        }
    }

    /// Where the control lane goes on; none where there is none for us, which stops no contact.
    fn control_start(&self, writer: &mut Writer) -> Result<Option<NextOffset>, WorkerError> {
        let topic = &self.config.kafka.control_topic;
        let why = match self.log.prepare_control()? {
            ControlAccess::Ready => match control_offset(&self.log, writer.lanes()) {
                // The embedded log is one: what is wrong with a lane is wrong with all.
                Err(WorkerError::Store(error)) if self.watch.is_kafka && error.is_about_data() => {
                    format!(
                        "topic {topic}: {error}; `contactd topics adopt-control` fills one anew"
                    )
                }
                start => return start.map(|start| Some(self.begin_control(writer, start))),
            },
            ControlAccess::Refused(why) => why,
        };
        self.log.refuse_control(&why);
        self.watch.control_refused(&why);
        Ok(None)
    }

    fn begin_control(&self, writer: &mut Writer, start: ControlStart) -> NextOffset {
        match start {
            ControlStart::At(next) => next,
            // Nobody else could restate what an embedded log has dropped.
            ControlStart::BehindGap(next) if !self.watch.is_kafka => next,
            ControlStart::BehindGap(next) => {
                let topic = &self.config.kafka.control_topic;
                tracing::warn!(topic, %next, "control records are gone: entries wait to be restated");
                writer.begin_control_gap(ControlGap::Records);
                next
            }
            ControlStart::Anew(next) => {
                writer.begin_control_gap(ControlGap::All);
                next
            }
        }
    }

    /// Small commits need small batches: the log gives a lane a part of the bounds at a time.
    fn consume_bounds(&self) -> ConsumeBounds {
        let apply = &self.config.apply;
        ConsumeBounds {
            records_max: CONSUME_BOUNDS.records_max.min(apply.batch_records_max.saturating_mul(8)),
            bytes_max: CONSUME_BOUNDS.bytes_max.min(apply.batch_bytes_max.saturating_mul(8)),
        }
    }

    /// Tries until it works; what waiting can't heal is an error. None: told to stop before.
    pub(super) fn wait_for<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, WorkerError>,
    ) -> Result<Option<T>, WorkerError> {
        let mut pause = Pause::between(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        while !self.stop.is_cancelled() {
            match attempt() {
                Ok(done) => return Ok(Some(done)),
                Err(error) if error.class() == Class::Retry && !self.is_in_vain(&error) => {
                    self.watch.waiting_for_log(&error);
                }
                Err(error) => return Err(error),
            }
            if !pause.wait(&self.runtime, &self.stop) {
                break;
            }
        }
        Ok(None)
    }
}

/// What is followed.
pub(super) struct Following {
    pub(super) identity: LogIdentity,
    pub(super) founding: Founding,
    pub(super) base: BaseRule,
    pub(super) consumer: Consumer,
}

type NextOffsets = tokio::sync::watch::Receiver<Arc<BTreeMap<Lane, NextOffset>>>;

/// Tells the log after each checkpoint how far the store has come; for lag tools only.
async fn commit_offsets(log: EventLog, mut checkpointed: NextOffsets, watch: Watch) {
    while checkpointed.changed().await.is_ok() {
        watch.checkpointed();
        let next = Arc::clone(&checkpointed.borrow_and_update());
        let log = log.clone();
        let started = Instant::now();
        match tokio::task::spawn_blocking(move || log.commit(&next)).await {
            Ok(Ok(())) => {
                watch.metrics.commit_duration.observe(started.elapsed().as_secs_f64());
                fault::point("kafka_committed");
            }
            Ok(Err(error)) => tracing::debug!(%error, "offsets not committed to the log"),
            Err(_) => return,
        }
    }
}

/// Lets the log give up what each snapshot holds, as its retention says.
async fn retain(log: EventLog, mut snapshotted: NextOffsets) {
    while snapshotted.changed().await.is_ok() {
        let held = Arc::clone(&snapshotted.borrow_and_update());
        let log = log.clone();
        match tokio::task::spawn_blocking(move || log.retain(&held)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the log's retention was not carried out"),
            Err(_) => return,
        }
    }
}
