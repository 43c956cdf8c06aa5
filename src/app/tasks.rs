//! The table of tasks that runs: each has a name, the stage of draining in which it is told to end, and
//! is waited for. One that ends before that ends the process, by its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::telemetry::fault;

use super::error::WorkerError;

/// When a task is told to end; the next stage follows when all of one have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What brings new work, and answers.
    Front,
    /// What works for others, and writes down how far it is.
    Behind,
    /// Applying, which takes in what those wrote down.
    Apply,
}

/// In their order.
pub(super) const STAGES: [Stage; 3] = [Stage::Front, Stage::Behind, Stage::Apply];

/// What a task comes back with.
pub(super) trait Ended {
    fn ended(self) -> anyhow::Result<()>;
}

impl Ended for () {
    fn ended(self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> Ended for Result<(), E> {
    fn ended(self) -> anyhow::Result<()> {
        Ok(self?)
    }
}

/// The tasks of the process; clones are the same.
#[derive(Clone)]
pub(super) struct Tasks {
    stops: Arc<[CancellationToken; STAGES.len()]>,
    running: Arc<Mutex<Running>>,
    runtime: Handle,
}

#[derive(Default)]
struct Running {
    set: JoinSet<anyhow::Result<()>>,
    entries: HashMap<Id, Entry>,
}

#[derive(Clone)]
struct Entry {
    name: &'static str,
    stage: Stage,
    stop: CancellationToken,
}

impl Tasks {
    /// None yet, on the present runtime.
    pub(super) fn new() -> Self {
        Self {
            stops: Arc::new(STAGES.map(|_| CancellationToken::new())),
            running: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// Told to end with a stage.
    pub(super) fn stop(&self, stage: Stage) -> CancellationToken {
        let [front, behind, apply] = &*self.stops;
        let stop = match stage {
            Stage::Front => front,
            Stage::Behind => behind,
            Stage::Apply => apply,
        };
        stop.clone()
    }

    /// Starts a task of a stage.
    pub(super) fn start<F: Future<Output: Ended> + Send + 'static>(
        &self,
        name: &'static str,
        stage: Stage,
        task: impl FnOnce(CancellationToken) -> F,
    ) {
        let stop = self.stop(stage);
        let task = task(stop.clone());
        self.add(Entry { name, stage, stop }, async move {
            fault::panic_if_armed(name);
            task.await.ended()
        });
    }

    /// Starts a task that another one tells to end, by dropping it.
    pub(super) fn start_within<F: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: F,
    ) {
        let entry = Entry { name, stage: Stage::Apply, stop: stop.clone() };
        let stop = stop.clone();
        self.add(entry, async move {
            fault::panic_if_armed(name);
            stop.run_until_cancelled(task).await;
            Ok(())
        });
    }

    /// Starts a task that blocks, on a thread of its name.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start_thread<T: Ended>(
        &self,
        name: &'static str,
        stage: Stage,
        task: impl FnOnce(CancellationToken) -> T + Send + 'static,
    ) -> anyhow::Result<()> {
        let stop = self.stop(stage);
        let (ended, end) = oneshot::channel();
        let (told, runtime) = (stop.clone(), self.runtime.clone());
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let _within = runtime.enter();
            fault::panic_if_armed(name);
            let _ = ended.send(task(told).ended());
        });
        thread.with_context(|| format!("can't start the thread {name}"))?;
        self.add(Entry { name, stage, stop }, async {
            end.await.unwrap_or_else(|_| Err(anyhow!("its thread panicked")))
        });
        Ok(())
    }

    fn add(&self, entry: Entry, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let mut running = self.running.lock();
        let id = running.set.spawn_on(task, &self.runtime).id();
        running.entries.insert(id, entry);
    }

    /// The next task that ends; none: all have.
    async fn next(&self) -> Option<(Entry, anyhow::Result<()>)> {
        std::future::poll_fn(|context| {
            let mut running = self.running.lock();
            let ended = std::task::ready!(running.set.poll_join_next_with_id(context));
            let (id, result) = match ended {
                None => return std::task::Poll::Ready(None),
                Some(Ok(ended)) => ended,
                Some(Err(error)) => (error.id(), Err(anyhow::Error::new(error))),
            };
            std::task::Poll::Ready(running.entries.remove(&id).map(|entry| (entry, result)))
        })
        .await
    }

    /// The first task that ends although nobody told it to, and with what.
    pub(super) async fn first_early(&self) -> (&'static str, anyhow::Result<()>) {
        while let Some((entry, result)) = self.next().await {
            if result.is_err() || !entry.stop.is_cancelled() {
                return (entry.name, result);
            }
        }
        ("all", Ok(()))
    }

    /// Tells every task to end.
    pub(super) fn stop_all(&self) {
        for stop in &*self.stops {
            stop.cancel();
        }
    }

    /// Tells a stage to end and waits for its tasks, up to a limit; the first error of one.
    pub(super) async fn drain(&self, stage: Stage, limit: Duration) -> anyhow::Result<()> {
        self.stop(stage).cancel();
        let deadline = Instant::now() + limit;
        let mut first = Ok(());
        while self.has(stage) {
            let Ok(ended) = timeout_at(deadline, self.next()).await else {
                tracing::warn!("ending without waiting longer for {}", self.names(stage));
                break;
            };
            if let Some((entry, Err(error))) = ended {
                let error = failed(entry.name, error);
                if first.is_ok() {
                    first = Err(error);
                } else {
                    tracing::error!("{error:#}");
                }
            }
        }
        first
    }

    fn has(&self, stage: Stage) -> bool {
        self.running.lock().entries.values().any(|entry| entry.stage == stage)
    }

    fn names(&self, stage: Stage) -> String {
        let running = self.running.lock();
        let names = running.entries.values().filter(|entry| entry.stage == stage);
        names.map(|entry| entry.name).collect::<Vec<_>>().join(", ")
    }
}

/// A task's own error, with its name. Applying is what the process is for: its errors stand for themselves.
pub(super) fn failed(name: &str, error: anyhow::Error) -> anyhow::Error {
    if error.is::<WorkerError>() {
        return error;
    }
    error.context(format!("the task {name} failed"))
}
