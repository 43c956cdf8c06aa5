//! Which followers this instance runs: one line each.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::acme::{Acme, AcmeSync};
use crate::config::Config;
use crate::effects::dead_letters::Publisher;
use crate::effects::follower::{Followers, Row, Sink, Surroundings};
use crate::effects::simulator::{AfterWrites, Simulator};
use crate::event_log::EventLog;
use crate::ingest::{Control, Lease};
use crate::telemetry::Metrics;

use super::dead_letters::publisher;

/// A follower's loop, until it is told to stop.
type Run = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// The followers, once the log is followed.
#[derive(Clone)]
pub(super) struct FollowerTasks {
    config: Arc<Config>,
    begun: CancellationToken,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl FollowerTasks {
    pub(super) fn new(config: &Arc<Config>) -> Self {
        Self { config: Arc::clone(config), begun: CancellationToken::new(), runs: Arc::default() }
    }

    /// The store is open: the followers, which [`FollowerTasks::run`] has from now on.
    pub(super) fn open(
        &self,
        log: &EventLog,
        roles: (&Arc<Control>, &Arc<Lease>),
        (simulator, acme): (Option<&Arc<Simulator>>, Option<&Arc<Acme>>),
        metrics: &Arc<Metrics>,
    ) -> Arc<Followers> {
        let (control, lease) = (Arc::clone(roles.0), Arc::clone(roles.1));
        let followers = Arc::new(Followers::new(Surroundings::new(log.clone(), control, lease)));
        if let Some(simulator) = simulator.filter(|_| self.config.simulator.fire_on_writes) {
            let sink = AfterWrites::new(Arc::clone(simulator));
            self.add(&followers, sink.row(), sink);
        }
        if let Some(publisher) = publisher(&self.config, log, metrics) {
            self.add(&followers, Publisher::row(), publisher);
        }
        if let Some(acme) = acme.filter(|_| self.config.acme.sync) {
            let row = AcmeSync::row(self.config.acme.rate);
            self.add(&followers, row, AcmeSync::new(Arc::clone(acme)));
        }
        followers.are_all();
        let scraped = Arc::downgrade(&followers);
        metrics.on_scrape(move |metrics| {
            if let Some(followers) = scraped.upgrade() {
                followers.measure(metrics);
            }
        });
        followers
    }

    fn add(&self, followers: &Followers, row: Row, sink: impl Sink) {
        let engine = followers.add(row, sink);
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
        let runs = std::mem::take(&mut *self.runs.lock());
        join_all(runs.into_iter().map(|run| run(stop.clone()))).await;
        stop.cancelled().await;
    }
}
