//! Where files are taken and imports are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::error::ImportError;
use super::intake::{Arrived, Upload};
use super::job::{Job, JobState, PREFIX};
use super::live::{Around, Live, MayStillImport};
use super::options::ImportOptions;
use super::spool::Spools;
use crate::config::ImportsConfig;
use crate::domain::control::ControlEntry;
use crate::ingest::{Control, Edits, Intake, PresentRules, now_ms};
use crate::shares::{Full, Part, Pool, Who};
use crate::store::Reader;
use crate::telemetry::Metrics;

/// Imports of one file that are told apart.
const AGAIN_MAX: u32 = 1000;
/// Clients that follow an import at once.
const FOLLOWERS_MAX: usize = 64;

/// Imports; cheap to clone.
#[derive(Clone)]
pub struct Imports(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) around: Arc<Around>,
    pub(super) config: ImportsConfig,
    pub(super) min_free_bytes: u64,
    pub(super) spools: Spools,
    pub(super) lives: Mutex<BTreeMap<String, Arc<Live>>>,
    pub(super) room: Pool,
    pub(super) places: Pool,
    pub(super) followers: Pool,
    /// There is something to begin.
    pub(super) wake: Notify,
}

impl Imports {
    /// Those whose files are in the directory that is configured.
    ///
    /// # Errors
    /// What its disk says.
    pub fn open(
        (config, min_free_bytes): (ImportsConfig, u64),
        store: Reader,
        (intake, rules): (Arc<Intake>, PresentRules),
        (control, edits): (Arc<Control>, Edits),
        metrics: &Arc<Metrics>,
        may_still_import: MayStillImport,
    ) -> Result<Self, ImportError> {
        let spools = Spools::open(&config.path)?;
        let bytes_max = usize::try_from(config.bytes_max).unwrap_or(usize::MAX);
        // One principal never has all of it.
        let room = Pool::new(bytes_max, bytes_max / 2, metrics.pool("import_bytes"));
        let half = (config.running_max / 2).max(1);
        let places = Pool::new(config.running_max, half, metrics.pool("imports"));
        let followers = Pool::in_eighths(FOLLOWERS_MAX, metrics.pool("import_streams"));
        let metrics = Arc::clone(metrics);
        let around = Around { store, intake, rules, control, edits, metrics, may_still_import };
        let (around, lives, wake) = (Arc::new(around), Mutex::default(), Notify::new());
        let shared =
            Shared { around, config, min_free_bytes, spools, lives, room, places, followers, wake };
        let imports = Self(Arc::new(shared));
        imports.resume()?;
        Ok(imports)
    }

    /// Takes up what lies on the disk.
    fn resume(&self) -> Result<(), ImportError> {
        for id in self.0.spools.ids()? {
            let spool = self.0.spools.of(&id);
            let Some((job, _)) = self.entry(&id).filter(|_| spool.exists()) else {
                // Nobody knows of it any more, or not yet.
                if spool.is_older_than(self.0.config.keep) {
                    spool.remove()?;
                }
                continue;
            };
            let bytes = usize::try_from(spool.bytes()).unwrap_or(usize::MAX);
            let room = self.0.room.take(Who::principal(&job.by), bytes).ok();
            self.add(id, job, room);
        }
        Ok(())
    }

    fn add(&self, id: String, mut job: Job, room: Option<Part>) -> Arc<Live> {
        let spool = self.0.spools.of(&id);
        let progress = spool.progress();
        if job.state.is_under_way() && job.state != JobState::Undoing {
            job.counts = progress.counts;
        }
        let live = Arc::new(Live {
            id: id.clone(),
            spool,
            cancel: CancellationToken::new(),
            job: watch::Sender::new(job),
            noted: AtomicU64::new(progress.noted),
            is_taken: AtomicBool::new(false),
            room: room.map(Arc::new),
        });
        self.0.lives.lock().insert(id, Arc::clone(&live));
        live
    }

    pub(super) fn live(&self, id: &str) -> Option<Arc<Live>> {
        self.0.lives.lock().get(id).cloned()
    }

    /// The job as all instances know it, and its entry.
    pub(super) fn entry(&self, id: &str) -> Option<(Job, ControlEntry)> {
        let entry = self.0.around.control.reader().control(&format!("{PREFIX}{id}"))?;
        let is_over = entry.expires_at_ms.is_some_and(|end| end <= now_ms());
        let job = (!is_over).then(|| serde_json::from_slice(&entry.value).ok()).flatten()?;
        Some((job, entry))
    }

    /// Begins to take a file of a principal.
    ///
    /// # Errors
    /// When there is no room.
    pub fn upload(&self, by: &str) -> Result<Upload, ImportError> {
        let full = |full| ImportError::Full { full };
        let room = self.0.room.take(Who::principal(by), 0).map_err(full)?;
        if self.0.lives.lock().len() >= self.0.config.files_max {
            return Err(full(Full::All));
        }
        let bounds = (self.0.config.file_bytes_max, self.0.min_free_bytes);
        Upload::new(&self.0.spools, room, bounds)
    }

    /// Takes a file that has come: its import, which is the same for the same file and options.
    /// `again`: another one where that is done already.
    ///
    /// # Errors
    /// When it is nothing that can be imported, or that can't be written down.
    pub async fn order(
        &self,
        upload: Upload,
        (options, file): (ImportOptions, Option<String>),
        (by, starts, again): (&str, bool, bool),
    ) -> Result<(String, Job), ImportError> {
        let of_file = options.clone();
        let arrived = tokio::task::spawn_blocking(move || upload.end(&of_file)).await;
        let arrived = arrived.map_err(ImportError::ended)??;
        let Arrived { hash, bytes, encoding, look, upload } = arrived;
        let mut job = Job {
            file,
            bytes,
            encoding: encoding.as_str().to_owned(),
            format: look.format,
            options,
            by: by.to_owned(),
            at_ms: now_ms(),
            started_us: None,
            ended_ms: None,
            state: JobState::Ready,
            why: None,
            columns: look.columns,
            samples: look.samples,
            counts: Default::default(),
            changes: Vec::new(),
            undo: None,
            undo_by: None,
        };
        let (id, known) = self.id_of(&job.options, &hash, again);
        if let (Some(known), false) = (known, job.options.dry_run) {
            if known.state == JobState::Done || self.live(&id).is_some() {
                return self.started(id, known, starts).await;
            }
            job.started_us = known.started_us;
        }
        if self.live(&id).is_some_and(|live| live.is_taken.load(Ordering::Acquire)) {
            return Ok((id.clone(), self.show(&id)?));
        }
        let spool = self.0.spools.of(&id);
        spool.remove()?;
        spool.take(upload.path())?;
        let live = self.add(id.clone(), job.clone(), Some(upload.into_room()));
        if let Err(error) = self.write(&live).await {
            self.0.lives.lock().remove(&id);
            spool.remove()?;
            return Err(error);
        }
        self.started(id, job, starts).await
    }

    async fn started(
        &self,
        id: String,
        job: Job,
        starts: bool,
    ) -> Result<(String, Job), ImportError> {
        let may_start =
            matches!(job.state, JobState::Ready | JobState::Cancelled | JobState::Failed);
        let job = if starts && may_start { self.start(&id).await? } else { self.show(&id)? };
        Ok((id, job))
    }

    /// The id of a file's import, and the import if there is one.
    fn id_of(&self, options: &ImportOptions, hash: &[u8], again: bool) -> (String, Option<Job>) {
        let mut number = 0;
        loop {
            let id = options.job_id(hash, number);
            let known = self.entry(&id).map(|(job, _)| job);
            let is_past = known.as_ref().is_some_and(|job| {
                job.state == JobState::Undone || (again && job.state == JobState::Done)
            });
            if !is_past || number == AGAIN_MAX {
                return (id, known);
            }
            number += 1;
        }
    }

    /// An import as it stands.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn show(&self, id: &str) -> Result<Job, ImportError> {
        if let Some(live) = self.live(id) {
            return Ok(live.job());
        }
        let (job, _) = self.entry(id).ok_or(ImportError::NotFound)?;
        Ok(job)
    }

    /// The same again and again, where its file is here.
    pub fn follow(&self, id: &str) -> Option<watch::Receiver<Job>> {
        self.live(id).map(|live| live.job.subscribe())
    }

    /// A place for one who follows an import.
    ///
    /// # Errors
    /// When all are taken, or the client's part of them.
    pub fn follower_place(&self, who: Who) -> Result<Part, Full> {
        self.0.followers.take(who, 1)
    }

    /// Bytes of a file at most.
    pub fn file_bytes_max(&self) -> u64 {
        self.0.config.file_bytes_max
    }

    /// Imports of all instances by id, after one, at most so many.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<(String, Job)> {
        let after = after.map(|id| format!("{PREFIX}{id}"));
        let reader = self.0.around.control.reader();
        let entries = reader.controls(PREFIX, after.as_deref(), limit);
        let ids = entries.iter().filter_map(|(key, _)| key.strip_prefix(PREFIX));
        ids.filter_map(|id| Some((id.to_owned(), self.show(id).ok()?))).collect()
    }
}
