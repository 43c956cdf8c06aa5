//! The backups of a running instance: on time, on demand, and handed out. One at a time.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::BackupConfig;
use crate::ingest::now_ms;
use crate::store::Pinning;
use crate::telemetry::BackupMetrics;

use super::kept::Shelf;
use super::sink::Archive;
use super::{BackupError, KeptBackup, Manifest, Pace, Place, Sink, hold, pack};

/// The longest pause behind one that failed.
const TRY_AGAIN: Duration = Duration::from_secs(300);
/// Before it is looked whether another one has ended.
const BUSY: Duration = Duration::from_secs(1);
/// Parts of a stream that wait for its reader, and bytes of one.
const PARTS_MAX: usize = 4;
const PART_BYTES: usize = 256 << 10;

/// Makes backups while the store is in use.
pub struct Backups {
    config: BackupConfig,
    /// Where they are kept; none: nowhere.
    shelf: Option<Shelf>,
    place: Place,
    metrics: BackupMetrics,
    pinning: OnceLock<Pinning>,
    one: Arc<Semaphore>,
    /// The store was opened.
    opened: Notify,
    ordered: Notify,
    last: Mutex<Option<LastRun>>,
    /// Told when the process ends.
    stop: CancellationToken,
}

/// How the last one ended that was to be kept here.
#[derive(Clone, Debug)]
pub struct LastRun {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Its name, or why there is none.
    pub outcome: Result<String, String>,
}

/// A backup on its way to who asked for it.
pub struct Stream(mpsc::Receiver<Vec<u8>>);

impl Stream {
    /// The next part; none: that was all.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}

impl Backups {
    /// None can be made before the store is open.
    ///
    /// # Errors
    /// Where there is no such place to keep them.
    pub fn new(
        config: BackupConfig,
        place: Place,
        metrics: BackupMetrics,
    ) -> Result<Self, BackupError> {
        Ok(Self {
            shelf: Shelf::open(&config)?,
            config,
            place,
            metrics,
            pinning: OnceLock::new(),
            one: Arc::new(Semaphore::new(1)),
            opened: Notify::new(),
            ordered: Notify::new(),
            last: Mutex::new(None),
            stop: CancellationToken::new(),
        })
    }

    /// The store is open. Only the first call counts.
    pub fn open(&self, pinning: Pinning) {
        let _ = self.pinning.set(pinning);
        self.opened.notify_one();
    }

    /// Asks for one to be made now, and kept.
    ///
    /// # Errors
    /// Where there is nowhere to keep it, or one is being made.
    pub fn order(&self) -> Result<(), BackupError> {
        self.shelf()?;
        if self.pinning.get().is_none() {
            return Err(BackupError::NotOpen);
        }
        if self.is_busy() {
            return Err(BackupError::UnderWay);
        }
        self.ordered.notify_one();
        Ok(())
    }

    /// Whether one is being made, or handed out.
    pub fn is_busy(&self) -> bool {
        self.one.available_permits() == 0
    }

    /// How the last one ended since the start.
    pub fn last(&self) -> Option<LastRun> {
        self.last.lock().clone()
    }

    /// What readiness says of them.
    pub fn note(&self) -> Option<String> {
        let last = self.last()?;
        last.outcome.err().map(|why| format!("the last backup failed: {why}"))
    }

    /// Those that are kept, newest first. Waits for the disk, or for storage elsewhere.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn kept(&self) -> Result<Vec<KeptBackup>, BackupError> {
        self.shelf.as_ref().map_or(Ok(Vec::new()), Shelf::list)
    }

    fn shelf(&self) -> Result<&Shelf, BackupError> {
        self.shelf.as_ref().ok_or(BackupError::NoPath)
    }

    /// When the newest of before was made, in ms since 1970.
    async fn newest_before(self: &Arc<Self>) -> Option<u64> {
        let looking = Arc::clone(self);
        let look = move || looking.shelf.as_ref().and_then(Shelf::newest_ms);
        let newest_ms = tokio::task::spawn_blocking(look).await.ok().flatten()?;
        self.metrics.kept_before(newest_ms);
        Some(newest_ms)
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, BackupError> {
        Arc::clone(&self.one).try_acquire_owned().map_err(|_| BackupError::UnderWay)
    }

    /// Makes those that are due, and those that were ordered, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _ends = self.stop.clone().drop_guard();
        let begin = async {
            let before = self.newest_before().await;
            self.opened.notified().await;
            before
        };
        let Some(before) = stop.run_until_cancelled(begin).await else {
            return;
        };
        let mut is_ordered = false;
        loop {
            let wait = self.wait(before);
            if is_ordered || wait.is_zero() {
                match stop.run_until_cancelled(self.make_one()).await {
                    None => return,
                    Some(was_tried) => is_ordered &= !was_tried,
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.ordered.notified() => is_ordered = true,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Until the next is due; none is where nothing is scheduled.
    fn wait(&self, newest_before: Option<u64>) -> Duration {
        const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
        let (Some(every), Some(_)) = (self.config.every, &self.shelf) else {
            return NEVER;
        };
        let since = |ms: u64| Duration::from_millis(now_ms().saturating_sub(ms));
        match self.last() {
            Some(LastRun { at_ms, outcome: Err(_) }) => {
                every.min(TRY_AGAIN).saturating_sub(since(at_ms))
            }
            Some(LastRun { at_ms, outcome: Ok(_) }) => every.saturating_sub(since(at_ms)),
            None => newest_before.map_or(Duration::ZERO, |ms| every.saturating_sub(since(ms))),
        }
    }

    /// Whether it was tried: another one may be under way.
    async fn make_one(self: &Arc<Self>) -> bool {
        let making = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || making.make()).await;
        let made = made.unwrap_or(Err(BackupError::GivenUp));
        if matches!(made, Err(BackupError::UnderWay)) {
            tokio::time::sleep(BUSY).await;
            return false;
        }
        let outcome = match made {
            Ok(backup) => Ok(backup.name),
            Err(error) => {
                tracing::error!(%error, "no backup was made");
                self.metrics.failed();
                Err(error.to_string())
            }
        };
        *self.last.lock() = Some(LastRun { at_ms: now_ms(), outcome });
        true
    }

    fn make(&self) -> Result<KeptBackup, BackupError> {
        let (shelf, _permit) = (self.shelf()?, self.permit()?);
        let pinning = self.pinning.get().ok_or(BackupError::NotOpen)?;
        let started = Instant::now();
        let held = hold(&self.place, pinning)?;
        let backup = shelf.add(&held, &mut self.pace())?;
        drop(held);
        let bytes = backup.manifest.as_ref().map_or(0, Manifest::bytes);
        let seconds = started.elapsed().as_secs_f64();
        self.metrics.made(now_ms(), bytes, seconds);
        tracing::info!(name = backup.name, bytes, seconds, "backup made");
        // That it is there counts; one too many does no harm.
        if let Err(error) = shelf.retain(self.config.keep) {
            tracing::warn!(%error, "old backups were not removed now");
        }
        Ok(backup)
    }

    fn pace(&self) -> Pace {
        Pace::of(Some(self.config.bytes_per_second), self.stop.clone())
    }

    /// Hands one out, as an archive. What goes wrong on the way stands in it.
    ///
    /// # Errors
    /// Where the store is not open, or one is being made.
    pub fn stream(self: &Arc<Self>, principal: &str) -> Result<Stream, BackupError> {
        let pinning = self.pinning.get().cloned().ok_or(BackupError::NotOpen)?;
        let permit = self.permit()?;
        let (parts, stream) = mpsc::channel(PARTS_MAX);
        let (sending, principal) = (Arc::clone(self), principal.to_owned());
        drop(tokio::task::spawn_blocking(move || {
            let sink = Sink::archive(Box::new(Parts { parts, part: Vec::new() }));
            sending.send(&pinning, sink, &principal);
            drop(permit);
        }));
        Ok(Stream(stream))
    }

    fn send(&self, pinning: &Pinning, sink: Sink, principal: &str) {
        let started = Instant::now();
        let sent = match hold(&self.place, pinning) {
            Ok(held) => pack(&held, sink, &mut self.pace()),
            Err(error) => {
                sink.failed(&error.to_string());
                Err(error)
            }
        };
        match sent {
            Ok(manifest) => {
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(principal, bytes = manifest.bytes(), seconds, "backup handed out");
            }
            Err(error) => tracing::warn!(principal, %error, "a backup was not handed out"),
        }
    }
}

/// What is written, on its way to the reader of a stream.
struct Parts {
    parts: mpsc::Sender<Vec<u8>>,
    part: Vec<u8>,
}

impl Parts {
    fn send(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::take(&mut self.part);
        self.parts.blocking_send(part).map_err(|_| io::Error::other("its reader is gone"))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Archive for Parts {
    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.send()
    }
}
