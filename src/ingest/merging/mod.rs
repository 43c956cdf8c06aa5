//! Two contacts that are one: the survivor takes what it lacks, the other is deleted.
//!
//! ```text
//! merge ─► control entry merge/job/… ─► whoever has the role: bind ─► take in ─► give way ─► ended
//!                                                               └────── failed ─► unbind ──┘
//! ```
//!
//! The two lie in lanes of their own, so no command can do both. The control entry is the promise: one
//! instance works on all merges, and where it is killed another goes on. Every step is a command that
//! apply decides and that may be given again, so it does not matter where the last one stopped.

mod job;
mod work;

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::command::Condition;
use crate::domain::contact::{ContactView, CorruptContact, Status};
use crate::domain::merge_notes::MERGED_INTO;
use crate::domain::position::Position;
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::EventLog;
use crate::shares::{Full, part_of};
use crate::store::{Reader, StoreError, StoredContact};

use super::command_record::COMMAND_ID;
use super::commands::{Author, Commands, Wait};
use super::control::{Control, ControlOutcome, ControlWrite};
use super::edits::{Done, EditError, Keyed, as_of};
use super::lease::Lease;
use super::merged::listed;
use super::{IngestError, now_ms};

pub use job::{MergeEnd, MergeFailure, MergeJob};

/// Keys of the control entries begin with it.
const PREFIX: &str = "merge/job/";
/// Merges that are under way at once, of which nobody has more than a part, and those with the ones that
/// have ended.
const RUNNING_MAX: usize = 256;
const JOBS_MAX: usize = 1024;
/// Entries that are looked at: of requests at once each may add one.
const LISTED_MAX: usize = 8 * JOBS_MAX;
/// How long it is known how a merge ended, in milliseconds of record time.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// Two contacts to be made one.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The survivor.
    pub into: String,
    /// The other.
    pub from: String,
    /// What the client expects of the survivor.
    pub condition: Condition,
    /// Set where the request may come again.
    pub keyed: Option<Keyed>,
    /// Whose wish it is.
    pub author: Author,
}

/// What came of a merge so far.
#[derive(Clone, Debug)]
pub enum Merged {
    /// Both halves are done.
    Done {
        /// By which it is asked for; none: it was done before.
        id: Option<String>,
        /// The survivor as it was right after.
        survivor: Done,
    },
    /// It is under way, and will end.
    Accepted {
        /// By which it is asked for.
        id: String,
    },
}

/// Why a merge is not under way, or was not done.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// It ended so, or would.
    #[error("the two contacts were not merged")]
    Failed(MergeFailure),
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// Too many are under way.
    #[error("{running} merges{} are under way already; try again when some have ended", whose(.full))]
    TooMany {
        /// So many.
        running: usize,
        /// Of whom.
        full: Full,
    },
    /// It may have been written down, or not.
    #[error("the merge {id} could not be written down: {source}")]
    NotWritten {
        /// By which it is asked for.
        id: String,
        /// What the log says.
        source: IngestError,
    },
    /// It may not be written down.
    #[error("the merge may not be written down ({}): {detail}", .reason.as_str())]
    Refused {
        /// Why.
        reason: DeadLetterReason,
        /// Why, in words.
        detail: String,
    },
    /// What was written down can't be read.
    #[error("a merge's control entry can't be read or made: {0}")]
    Json(#[from] serde_json::Error),
    /// The survivor can't be shown as it was.
    #[error(transparent)]
    Edit(#[from] EditError),
}

fn whose(full: &Full) -> &'static str {
    match full {
        Full::Part => " of yours",
        Full::All => "",
    }
}

impl From<StoreError> for MergeError {
    fn from(error: StoreError) -> Self {
        Self::Edit(error.into())
    }
}

impl From<CorruptContact> for MergeError {
    fn from(error: CorruptContact) -> Self {
        Self::Edit(error.into())
    }
}

/// Where merges are ordered, asked about and worked on.
pub struct Merging {
    log: EventLog,
    commands: Commands,
    control: Arc<Control>,
    lease: Arc<Lease>,
}

/// A merge as its control entry says.
struct Listed {
    job: MergeJob,
    revision: u64,
    is_running: bool,
}

impl Merging {
    /// By these commands and control entries; the lease says who works.
    pub fn new(
        log: EventLog,
        commands: Commands,
        control: Arc<Control>,
        lease: Arc<Lease>,
    ) -> Self {
        Self { log, commands, control, lease }
    }

    /// Works on merges where nobody else does, until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        work::run(self, stop).await;
    }

    /// How a merge stands; none: there is none, or it ended long ago.
    ///
    /// # Errors
    /// Where its entry can't be read.
    pub fn job(&self, id: &str) -> Result<Option<MergeJob>, MergeError> {
        let found = self.listed(id)?;
        // One that failed is shown so once all of it is taken back.
        Ok(found.map(|Listed { job, is_running, .. }| match is_running {
            true => MergeJob { end: None, ..job },
            false => job,
        }))
    }

    /// Writes a merge down, and waits for its end as long as the client does.
    ///
    /// # Errors
    /// Where it can't be, or ended so: then nothing is merged.
    pub async fn merge(&self, merge: &Merge, wait: Wait) -> Result<Merged, MergeError> {
        let id = match &merge.keyed {
            Some(keyed) => keyed.event_id.clone(),
            None => format!("{COMMAND_ID}{}", Uuid::now_v7().as_simple()),
        };
        let before = self.listed(&id)?;
        if let Some(before) = &before {
            before.job.check_key(merge)?;
        }
        // What failed is tried anew, as any write that was refused.
        let has_failed = |at: &Listed| !at.is_running && at.job.has_failed();
        if before.as_ref().is_none_or(has_failed) {
            if let Some(survivor) = self.merged_before(merge)? {
                return Ok(Merged::Done { id: None, survivor });
            }
            self.begin(&id, merge, before.map_or(0, |before| before.revision)).await?;
        }
        let until = if wait.for_outcome { wait.until } else { Instant::now() };
        match tokio::time::timeout_at(until, self.outcome(&id, merge)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Ok(Merged::Accepted { id }),
        }
    }

    async fn begin(&self, id: &str, merge: &Merge, revision: u64) -> Result<(), MergeError> {
        self.check(merge)?;
        self.make_room(id, &merge.author.principal).await?;
        let job = MergeJob {
            into: merge.into.clone(),
            from: merge.from.clone(),
            condition: merge.condition.clone(),
            request_hash: merge.keyed.as_ref().map(|keyed| keyed.request_hash),
            commands: format!("{COMMAND_ID}{}", Uuid::now_v7().as_simple()),
            seen: self.position(&merge.into, &merge.from).encode(),
            principal: merge.author.principal.to_string(),
            request_id: merge.author.request_id.to_string(),
            at_ms: now_ms(),
            end: None,
        };
        // Where another instance was faster with the same request, that one's is waited for.
        self.write(id, &job, revision, None).await.map(|_| ())
    }

    /// What can be told before anything is begun.
    fn check(&self, merge: &Merge) -> Result<(), MergeError> {
        let Merge { into, from, .. } = merge;
        let survivor = self.reader().contact(into.as_bytes())?;
        let survivor = active(survivor.as_ref())?.ok_or(MergeFailure::SurvivorGone)?;
        if !merge.condition.holds(survivor.tag()) {
            return Err(MergeFailure::PreconditionFailed { tag: survivor.tag() }.into());
        }
        let other = self.reader().contact(from.as_bytes())?;
        let other = active(other.as_ref())?.ok_or(MergeFailure::OtherGone)?;
        let elsewhere = |contact: &ContactView<'_>, id: &str| {
            let bound_to = contact.merging_into().filter(|bound_to| bound_to != into)?;
            Some(MergeFailure::Merging { id: id.to_owned(), into: bound_to.to_owned() })
        };
        match elsewhere(&survivor, into).or_else(|| elsewhere(&other, from)) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// The survivor as it is, where the other was merged into it before.
    fn merged_before(&self, merge: &Merge) -> Result<Option<Done>, MergeError> {
        let other = self.reader().contact(merge.from.as_bytes())?;
        if !other.as_ref().map_or(Ok(false), |other| is_merged(other, &merge.into))? {
            return Ok(None);
        }
        let survivor = self.reader().contact(merge.into.as_bytes())?;
        let tag = active(survivor.as_ref())?.ok_or(MergeFailure::SurvivorGone)?.tag();
        if !merge.condition.holds(tag) {
            return Err(MergeFailure::PreconditionFailed { tag }.into());
        }
        let done =
            |value| Done::Contact { value, is_new: false, position: None, superseded: Vec::new() };
        Ok(survivor.map(done))
    }

    /// The oldest merge that has ended goes when there are too many.
    async fn make_room(&self, id: &str, principal: &str) -> Result<(), MergeError> {
        let entries = self.reader().controls(PREFIX, None, LISTED_MAX);
        let ended = entries.iter().filter(|(_, entry)| entry.expires_at_ms.is_some());
        let running = entries.iter().filter(|(_, entry)| entry.expires_at_ms.is_none());
        let is_own = |job: &MergeJob| job.principal == principal;
        let own = running
            .clone()
            .filter_map(|(_, entry)| serde_json::from_slice::<MergeJob>(&entry.value).ok());
        let (running, own) = (running.count(), own.filter(is_own).count());
        if own >= part_of(RUNNING_MAX, 0) {
            return Err(MergeError::TooMany { running: own, full: Full::Part });
        }
        if running >= RUNNING_MAX {
            return Err(MergeError::TooMany { running, full: Full::All });
        }
        let oldest = ended.min_by_key(|(_, entry)| entry.changed_at_ms);
        if let Some((key, _)) = oldest.filter(|_| entries.len() >= JOBS_MAX) {
            let write = ControlWrite { key: key.clone(), ..ControlWrite::default() };
            let removed = self.control.put(write).await;
            removed.map_err(|source| MergeError::NotWritten { id: id.to_owned(), source })?;
        }
        Ok(())
    }

    /// How it ended, once it has.
    async fn outcome(&self, id: &str, merge: &Merge) -> Result<Merged, MergeError> {
        let mut changed = self.reader().control_watch();
        loop {
            changed.borrow_and_update();
            if let Some(Listed { job, is_running: false, .. }) = self.listed(id)? {
                job.check_key(merge)?;
                let survivor = self.ended(job).await?;
                return Ok(Merged::Done { id: Some(id.to_owned()), survivor });
            }
            // The store has stopped: what stands on the log goes on elsewhere.
            if changed.changed().await.is_err() {
                return Ok(Merged::Accepted { id: id.to_owned() });
            }
        }
    }

    async fn ended(&self, job: MergeJob) -> Result<Done, MergeError> {
        let (version, position) = match job.end {
            Some(MergeEnd::Done { version, position }) => (version, position),
            Some(MergeEnd::Failed(failure)) => return Err(failure.into()),
            None => return Err(MergeFailure::Contended.into()),
        };
        let position = Position::decode(&position).ok();
        if let Some(position) = &position {
            self.reader().wait_for(position).await?;
        }
        let value = as_of(self.reader(), job.into.as_bytes(), version)?;
        Ok(Done::Contact { value, is_new: false, position, superseded: Vec::new() })
    }

    fn reader(&self) -> &Reader {
        self.commands.reader()
    }

    fn listed(&self, id: &str) -> Result<Option<Listed>, serde_json::Error> {
        let Some(entry) = self.reader().control(&format!("{PREFIX}{id}")) else {
            return Ok(None);
        };
        let job = serde_json::from_slice(&entry.value)?;
        let (revision, is_running) = (entry.revision, entry.expires_at_ms.is_none());
        Ok(Some(Listed { job, revision, is_running }))
    }

    /// Writes a merge down, for so long if at all. None: its entry is another one by now.
    async fn write(
        &self,
        id: &str,
        job: &MergeJob,
        revision: u64,
        lives_ms: Option<u64>,
    ) -> Result<Option<u64>, MergeError> {
        let write = ControlWrite {
            key: format!("{PREFIX}{id}"),
            expected_revision: Some(revision),
            lives_ms,
            value: Some(serde_json::to_vec(job)?),
            principal: Some(job.principal.clone()),
            request_id: Some(job.request_id.clone()),
            ..ControlWrite::default()
        };
        let written = self.control.put(write).await;
        match written.map_err(|source| MergeError::NotWritten { id: id.to_owned(), source })? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                Ok(Some(revision))
            }
            ControlOutcome::Conflict { .. } => Ok(None),
            ControlOutcome::Refused { reason, detail } => {
                Err(MergeError::Refused { reason, detail })
            }
        }
    }

    /// Up to where the two contacts' lanes are applied here.
    fn position(&self, into: &str, from: &str) -> Position {
        let homes = self
            .log
            .founding()
            .ok()
            .map(|founding| [into, from].map(|id| founding.home(id.as_bytes())));
        let here = self.reader().position();
        let next = |lane| Some((lane, *here.next.get(&lane)?));
        Position::of_lanes(here.log, homes.into_iter().flatten().filter_map(next).collect())
    }
}

impl From<MergeFailure> for MergeError {
    fn from(failure: MergeFailure) -> Self {
        Self::Failed(failure)
    }
}

impl MergeJob {
    fn check_key(&self, merge: &Merge) -> Result<(), MergeError> {
        let given = merge.keyed.as_ref().map(|keyed| keyed.request_hash);
        if self.request_hash == given { Ok(()) } else { Err(MergeError::KeyReused) }
    }

    fn has_failed(&self) -> bool {
        matches!(self.end, Some(MergeEnd::Failed(_)))
    }
}

/// None: it is not there, or deleted.
fn active(contact: Option<&StoredContact>) -> Result<Option<ContactView<'_>>, CorruptContact> {
    let view = contact.map(StoredContact::view).transpose()?;
    Ok(view.filter(|view| view.status() == Status::Active))
}

/// Whether a contact was merged into that one, and is done with.
fn is_merged(other: &StoredContact, into: &str) -> Result<bool, CorruptContact> {
    let other = other.view()?;
    let is_over = other.status() == Status::Deleted && other.merging_into().is_none();
    Ok(is_over && listed(&other, MERGED_INTO).iter().any(|id| id == into))
}
