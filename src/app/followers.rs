//! Which followers this instance runs: one line each.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::acme::{Acme, AcmeSync};
use crate::config::Config;
use crate::domain::sources::Ids;
use crate::effects::Joining;
use crate::effects::dead_letters::Publisher;
use crate::effects::follower::{Engine, Followers, Row, Sink, Surroundings};
use crate::effects::publish::{ChangePublisher, StatePublisher};
#[cfg(feature = "rabbitmq")]
use crate::effects::rabbitmq::{Notifier, Server};
use crate::effects::rehoming::Rehoming;
use crate::effects::simulator::{AfterWrites, Simulator};
use crate::effects::subscriptions::FanOut;
use crate::event_log::{EventLog, LogError};
use crate::ingest::{Control, Lease, Merging};
use crate::store::{REHOMING, Reader};
use crate::telemetry::{FollowerFigures, Metrics};

use super::dead_letters::publisher;
use super::publish::Published;
#[cfg(feature = "rabbitmq")]
use super::publish::open_rabbitmq;

/// A follower's loop, until it is told to stop.
type Run = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// The followers, once the log is followed.
#[derive(Clone)]
pub(super) struct FollowerTasks {
    config: Arc<Config>,
    /// Whether it ends when all is applied: then nothing is appended to the contact log.
    is_one_shot: bool,
    published: Published,
    #[cfg(feature = "rabbitmq")]
    rabbitmq: Option<Arc<Server>>,
    begun: CancellationToken,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl FollowerTasks {
    /// # Errors
    /// Where nothing could ever be sent.
    pub(super) fn new(
        config: &Arc<Config>,
        log: &EventLog,
        is_one_shot: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config: Arc::clone(config),
            is_one_shot,
            published: Published::open(config, log)?,
            #[cfg(feature = "rabbitmq")]
            rabbitmq: open_rabbitmq(config)?,
            begun: CancellationToken::new(),
            runs: Arc::default(),
        })
    }

    /// The log is there: topics that others follow are made where they are missing. Blocks.
    ///
    /// # Errors
    /// A topic that would lose what is published to it.
    pub(super) fn prepare(&self) -> Result<(), LogError> {
        self.published.prepare()
    }

    /// The store is open: the followers, which [`FollowerTasks::run`] has from now on.
    pub(super) fn open(
        &self,
        log: &EventLog,
        roles: (&Arc<Control>, &Arc<Lease>),
        merging: &Arc<Merging>,
        (simulator, acme): (Option<&Arc<Simulator>>, Option<&Arc<Acme>>),
        fan_out: &FanOut,
        metrics: &Arc<Metrics>,
    ) -> Arc<Followers> {
        let (control, lease) = (Arc::clone(roles.0), Arc::clone(roles.1));
        let reader = control.reader().clone();
        let followers = Arc::new(Followers::new(Surroundings::new(log.clone(), control, lease)));
        if let Some(simulator) = simulator.filter(|_| self.config.simulator.fire_on_writes) {
            let sink = AfterWrites::new(Arc::clone(simulator), reader.clone());
            self.add(&followers, AfterWrites::row(simulator), sink);
        }
        let sources = self.config.sources.iter();
        if sources.clone().any(|(_, table)| table.text.ids == Ids::Own) {
            let by_email = sources.filter(|(_, table)| table.matches_email);
            let by_email = by_email.map(|(name, _)| name.clone()).collect();
            let sink = Joining::new(reader.clone(), Arc::clone(merging), by_email);
            self.add(&followers, Joining::row(), sink);
        }
        if let Some(publisher) = publisher(&self.config, log, metrics) {
            self.add(&followers, Publisher::row(), publisher);
        }
        self.add_notifiers(&followers, &reader, metrics);
        if let Some(acme) = acme.filter(|_| self.config.acme.sync) {
            let row = AcmeSync::row(self.config.acme.rate);
            self.add(&followers, row, AcmeSync::new(Arc::clone(acme)));
        }
        if self.config.subscriptions.max > 0 {
            let engine = followers.add(FanOut::row(), fan_out.clone());
            if !self.is_one_shot {
                self.run_later(engine);
                let fan_out = fan_out.clone();
                self.runs.lock().push(Box::new(|_stop| fan_out.run().boxed()));
            }
        }
        if self.config.bridge.rehome {
            let topic = self.config.kafka.topic.clone();
            let engine = followers.add(Rehoming::row(), Rehoming::new(log.clone(), topic, reader));
            if !self.is_one_shot {
                self.run_later(engine);
            }
        }
        followers.are_all();
        let (scraped, rehomes) = (Arc::downgrade(&followers), self.config.bridge.rehome);
        metrics.on_scrape(move |metrics| {
            let Some(followers) = scraped.upgrade() else {
                return;
            };
            followers.measure(metrics);
            if !rehomes && let Some(owed) = away_from_home(&followers) {
                let figures = FollowerFigures { owed, ..FollowerFigures::default() };
                metrics.followers.set(REHOMING, &figures);
            }
        });
        followers
    }

    fn add_notifiers(&self, followers: &Followers, reader: &Reader, metrics: &Metrics) {
        if let Some(sink) = self.published.state_sink(reader) {
            self.add(followers, StatePublisher::row(), sink);
        }
        if let Some(sink) = self.published.change_sink(reader) {
            self.add(followers, ChangePublisher::row(), sink);
        }
        #[cfg(feature = "rabbitmq")]
        if let Some(server) = self.rabbitmq.clone() {
            let sink = Notifier::new(server, reader.clone(), metrics.followers.rabbitmq.clone());
            self.add(followers, Notifier::row(), sink);
        }
        #[cfg(not(feature = "rabbitmq"))]
        let _ = metrics;
    }

    fn add(&self, followers: &Followers, row: Row, sink: impl Sink) {
        self.run_later(followers.add(row, sink));
    }

    fn run_later(&self, engine: Engine<impl Sink>) {
        self.runs.lock().push(Box::new(|stop| engine.run(stop).boxed()));
    }

    /// The control topic was looked at: before, a role that is taken may be written into one that was
    /// made anew.
    pub(super) fn begin(&self) {
        self.begun.cancel();
    }

    /// Runs all of them, from then on until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.begun.cancelled()).await.is_none() {
            return;
        }
        #[cfg(feature = "rabbitmq")]
        if let Some(server) = &self.rabbitmq {
            let _ = stop.run_until_cancelled(server.greet()).await;
        }
        let runs = std::mem::take(&mut *self.runs.lock());
        join_all(runs.into_iter().map(|run| run(stop.clone()))).await;
        stop.cancelled().await;
    }
}

/// What is worth knowing of bringing records home, if anything is.
///
/// # Errors
/// What must be done before this instance is whole.
pub(super) fn rehoming(followers: &Followers) -> Result<Option<String>, String> {
    let Ok(shown) = followers.show(REHOMING) else {
        let owed = away_from_home(followers).filter(|owed| *owed > 0);
        return Ok(
            owed.map(|owed| format!("{}, and not here: bridge.rehome is false", to_bring(owed)))
        );
    };
    let why = shown.trouble.map(|(why, _since)| why);
    if shown.is_kept_from {
        return Err(why.unwrap_or_default());
    }
    let owed = match shown.owed {
        0 => return Ok(why),
        owed => to_bring(owed),
    };
    Ok(Some(match why {
        Some(why) => format!("{owed}, and wait: {why}"),
        None => owed,
    }))
}

fn to_bring(owed: u64) -> String {
    format!("{owed} records are to be brought to their home partition")
}

/// How many records wait for an instance that may bring them home, which this one may not.
fn away_from_home(followers: &Followers) -> Option<u64> {
    followers.owed_elsewhere(REHOMING, |cut| Some(cut.rehomed()))
}
