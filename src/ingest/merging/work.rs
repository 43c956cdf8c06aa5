//! Works on merges: one instance on all of them, those of one contact one after the other.
//!
//! | step | in the lane of | refused where |
//! |---|---|---|
//! | bind | the other | it is gone, or bound to another survivor |
//! | take in | the survivor | it is gone, bound itself, or not as it was read |
//! | give way | the other | it is not as it was taken in: then that is taken in first |
//! | unbind, where it failed | the other | |
//!
//! Each event id is the merge's own, so what was done is not done twice, whoever gives it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::attempts::Attempt;
use crate::domain::clock::id_hash;
use crate::domain::command::{Condition, Intent};
use crate::domain::contact::{ContactView, CorruptContact, StateTag, Status};
use crate::domain::merge_notes::{MERGED_FROM, MERGED_INTO};
use crate::domain::position::Position;
use crate::domain::verdict::Verdict;
use crate::ingest::Pause;
use crate::ingest::command_record::API_SOURCE;
use crate::ingest::commands::{Author, Command, CommandError};
use crate::ingest::patch::ContactPatch;
use crate::store::{RecordOutcome, StoreError, StoredContact};
use crate::telemetry::fault;

use super::{
    KEPT_MS, LISTED_MAX, Listed, MergeEnd, MergeError, MergeFailure, MergeJob, Merging, PREFIX,
    is_merged, listed,
};

/// Who has it works on all merges.
const MERGING: &str = "merge/merging";
/// Merges that are worked on at once; others wait.
const JOBS_AT_ONCE: usize = 16;
/// How often a step may find its contact changed before the merge gives way to those who change it.
const CONFLICTS_MAX: u32 = 8;
/// How long one step may take.
const STEP_MAX: Duration = Duration::from_secs(10);
/// How often it is looked for merges whose instance is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// First and longest pause before a merge is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

const BIND: &str = "bind";
const TAKE_IN: &str = "take-in";
const GIVE_WAY: &str = "give-way";
const UNBIND: &str = "unbind";

/// Why a merge did not come to its end.
enum StepError {
    /// It has failed.
    Failed(MergeFailure),
    /// It is tried again, here or elsewhere.
    Later(String),
}

impl From<MergeFailure> for StepError {
    fn from(failure: MergeFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<CorruptContact> for StepError {
    fn from(error: CorruptContact) -> Self {
        Self::Later(error.to_string())
    }
}

/// What a step came to.
enum StepOutcome {
    /// It is done; its contact since.
    Done(StoredContact),
    /// Its contact is not as it was read, but so.
    Changed(StoredContact),
}

/// One command of a merge.
struct Step<'a> {
    id: &'a str,
    intent: Intent,
    name: &'a str,
    patch: ContactPatch,
    /// The state that it is made from.
    only: Option<StateTag>,
}

/// Until told to stop. What is under way then is gone on with by whoever is next.
pub(super) async fn run(merging: &Merging, stop: &CancellationToken) {
    let mut changed = merging.reader().control_watch();
    let mut held: BTreeMap<String, [String; 2]> = BTreeMap::new();
    let mut running: FuturesUnordered<BoxFuture<'_, String>> = FuturesUnordered::new();
    loop {
        changed.borrow_and_update();
        let waiting = waiting(merging, &held);
        if !waiting.is_empty() && merging.lease.takes(MERGING, stop).await {
            for (id, contacts) in waiting {
                held.insert(id.clone(), contacts);
                running.push(work_on(merging, id).boxed());
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Some(id) = running.next(), if !running.is_empty() => {
                held.remove(&id);
            }
            Ok(()) = changed.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Merges that can be begun with, oldest first: none that shares a contact with one before it.
fn waiting(merging: &Merging, held: &BTreeMap<String, [String; 2]>) -> Vec<(String, [String; 2])> {
    let entries = merging.reader().controls(PREFIX, None, LISTED_MAX);
    let mut waiting = Vec::new();
    for (key, entry) in entries.iter().filter(|(_, entry)| entry.expires_at_ms.is_none()) {
        let id = key.strip_prefix(PREFIX).unwrap_or_default();
        match serde_json::from_slice::<MergeJob>(&entry.value) {
            Ok(job) if !held.contains_key(id) => {
                waiting.push((job.at_ms, id.to_owned(), [job.into, job.from]));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(job = id, %error, "a merge can't be read"),
        }
    }
    waiting.sort_unstable();
    let mut busy: BTreeSet<String> = held.values().flatten().cloned().collect();
    let waiting = waiting.into_iter().filter_map(|(_, id, contacts)| {
        let is_free = !contacts.iter().any(|contact| busy.contains(contact));
        busy.extend(contacts.iter().cloned());
        is_free.then_some((id, contacts))
    });
    waiting.take(JOBS_AT_ONCE.saturating_sub(held.len())).collect()
}

/// Works on one merge until it has ended or is another's; gives its id back.
async fn work_on(merging: &Merging, id: String) -> String {
    let mut pause = Pause::between(PAUSE_MIN, PAUSE_MAX);
    while let Err(why) = merging.work(&id).await {
        tracing::debug!(job = id, why, "a merge waits, and is tried again");
        tokio::time::sleep(pause.take()).await;
        if !merging.lease.is_held() {
            break;
        }
    }
    id
}

impl Merging {
    /// From wherever it is to its end. The error says why that has to wait.
    async fn work(&self, id: &str) -> Result<(), String> {
        let told = |error: MergeError| error.to_string();
        let found = self.listed(id).map_err(|error| error.to_string())?;
        let Some(Listed { mut job, mut revision, is_running: true }) = found else {
            return Ok(());
        };
        self.until_seen(&job.seen).await?;
        let mut is_bound = job.end.is_some();
        let end = match job.end.take() {
            Some(end) => end,
            None => match self.carry_out(&job, &mut is_bound).await {
                Ok(end) => end,
                Err(StepError::Failed(failure)) => MergeEnd::Failed(failure),
                Err(StepError::Later(why)) => return Err(why),
            },
        };
        job.end = Some(end);
        if job.has_failed() && is_bound {
            // Nobody takes it up again from here on, so that it does not go on unbound.
            let Some(written) = self.write(id, &job, revision, None).await.map_err(told)? else {
                return Ok(());
            };
            revision = written;
            fault::point("merge_failed");
            self.unbind(&job).await?;
        }
        if self.write(id, &job, revision, Some(KEPT_MS)).await.map_err(told)?.is_some() {
            tracing::info!(
                job = id,
                by = job.principal,
                failed = job.has_failed(),
                "a merge ended"
            );
        }
        Ok(())
    }

    /// Reads are not older than those of whoever began it.
    async fn until_seen(&self, seen: &str) -> Result<(), String> {
        let Ok(seen) = Position::decode(seen) else {
            return Ok(());
        };
        match tokio::time::timeout(STEP_MAX, self.reader().wait_for(&seen)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("what it was begun from is not applied here yet".to_owned()),
        }
    }

    async fn carry_out(&self, job: &MergeJob, is_bound: &mut bool) -> Result<MergeEnd, StepError> {
        let mut other = self.bind(job).await?;
        let bound_to = other.view()?.merging_into().map(str::to_owned);
        *is_bound = bound_to.as_ref() == Some(&job.into);
        let read = self.reader().contact(job.into.as_bytes())?;
        let mut survivor = read.ok_or(MergeFailure::SurvivorGone)?;
        if !*is_bound {
            // Whoever was at it before has done all but to say so, or the same was asked for twice.
            return if is_merged(&other, &job.into)? {
                self.end_of(job, &survivor)
            } else {
                Err(MergeFailure::Contended.into())
            };
        }
        fault::point("merge_bound");
        for _ in 0..=CONFLICTS_MAX {
            match self.take_in(job, &survivor, &other).await? {
                StepOutcome::Done(after) => survivor = after,
                StepOutcome::Changed(now) => {
                    survivor = now;
                    continue;
                }
            }
            fault::point("merge_taken_in");
            match self.give_way(job, &other).await? {
                StepOutcome::Done(_) => {
                    fault::point("merge_gave_way");
                    return self.end_of(job, &survivor);
                }
                StepOutcome::Changed(now) => other = now,
            }
        }
        Err(MergeFailure::Contended.into())
    }

    fn end_of(&self, job: &MergeJob, survivor: &StoredContact) -> Result<MergeEnd, StepError> {
        let version = survivor.view()?.version();
        let position = self.position(&job.into, &job.from).encode();
        Ok(MergeEnd::Done { version, position })
    }

    /// The other, which goes nowhere else from now on; or as it is since it gave way.
    async fn bind(&self, job: &MergeJob) -> Result<StoredContact, StepError> {
        let (intent, patch) = (Intent::Bind, ContactPatch::default());
        let step = Step { id: &job.from, intent, name: BIND, patch, only: None };
        let RecordOutcome { verdict, value, .. } = self.step(job, step).await?;
        let other = value.ok_or(MergeFailure::OtherGone)?;
        match verdict {
            Verdict::Applied | Verdict::Unchanged | Verdict::Duplicate => Ok(other),
            Verdict::Conflict => Err(elsewhere(&job.from, &other)?.into()),
            Verdict::NotFound if is_merged(&other, &job.into)? => Ok(other),
            Verdict::NotFound => Err(MergeFailure::OtherGone.into()),
            Verdict::Stale | Verdict::Superseded | Verdict::Rehomed | Verdict::DeadLettered => {
                Err(undecided(verdict))
            }
        }
    }

    /// The survivor takes what it lacks, and notes whom from.
    async fn take_in(
        &self,
        job: &MergeJob,
        survivor: &StoredContact,
        other: &StoredContact,
    ) -> Result<StepOutcome, StepError> {
        let (now, its) = (survivor.view()?, other.view()?);
        if now.status() == Status::Deleted {
            return Err(MergeFailure::SurvivorGone.into());
        }
        let is_first = self.done(job, TAKE_IN).is_none();
        if is_first && !job.condition.holds(now.tag()) {
            return Err(MergeFailure::PreconditionFailed { tag: now.tag() }.into());
        }
        let patch = lacking(&now, &its, &job.from)?;
        if patch.is_empty() {
            return Ok(StepOutcome::Done(survivor.clone()));
        }
        // What the other became since is another step.
        let again = format!("{TAKE_IN}-{}", its.version());
        let name = if is_first { TAKE_IN } else { &again };
        let (intent, only) = (Intent::TakeIn, Some(now.tag()));
        let step = Step { id: &job.into, intent, name, patch, only };
        let RecordOutcome { verdict, value, .. } = self.step(job, step).await?;
        let after = value.ok_or(MergeFailure::SurvivorGone)?;
        match verdict {
            Verdict::Applied | Verdict::Unchanged => Ok(StepOutcome::Done(after)),
            Verdict::Duplicate if is_first => Ok(StepOutcome::Changed(after)),
            Verdict::Duplicate => Ok(StepOutcome::Done(after)),
            Verdict::Conflict if after.view()?.merging_into().is_some() => {
                Err(elsewhere(&job.into, &after)?.into())
            }
            Verdict::Conflict => Ok(StepOutcome::Changed(after)),
            Verdict::NotFound => Err(MergeFailure::SurvivorGone.into()),
            Verdict::Stale | Verdict::Superseded | Verdict::Rehomed | Verdict::DeadLettered => {
                Err(undecided(verdict))
            }
        }
    }

    /// The other notes into whom it went, and is deleted.
    async fn give_way(
        &self,
        job: &MergeJob,
        other: &StoredContact,
    ) -> Result<StepOutcome, StepError> {
        let mut patch = ContactPatch::default();
        patch.set_attribute(MERGED_INTO, json(&job.into)?);
        let (intent, only) = (Intent::GiveWay, Some(other.view()?.tag()));
        let step = Step { id: &job.from, intent, name: GIVE_WAY, patch, only };
        let RecordOutcome { verdict, value, .. } = self.step(job, step).await?;
        let after = value.ok_or(MergeFailure::OtherGone)?;
        match verdict {
            Verdict::Applied | Verdict::Unchanged | Verdict::Duplicate => {
                Ok(StepOutcome::Done(after))
            }
            Verdict::Conflict if after.view()?.merging_into() == Some(&job.into) => {
                Ok(StepOutcome::Changed(after))
            }
            // The same merge was asked for twice, and the other of the two has ended.
            Verdict::Conflict if is_merged(&after, &job.into)? => Ok(StepOutcome::Done(after)),
            Verdict::Conflict => Err(MergeFailure::Contended.into()),
            Verdict::NotFound => Err(MergeFailure::OtherGone.into()),
            Verdict::Stale | Verdict::Superseded | Verdict::Rehomed | Verdict::DeadLettered => {
                Err(undecided(verdict))
            }
        }
    }

    async fn unbind(&self, job: &MergeJob) -> Result<(), String> {
        let (intent, patch) = (Intent::Unbind, ContactPatch::default());
        let step = Step { id: &job.from, intent, name: UNBIND, patch, only: None };
        match self.step(job, step).await {
            Ok(outcome) => match outcome.verdict {
                Verdict::Applied | Verdict::Unchanged | Verdict::Duplicate | Verdict::NotFound => {
                    Ok(())
                }
                verdict => Err(format!("it was not unbound: {}", verdict.as_str())),
            },
            Err(StepError::Failed(failure)) => {
                let failure = serde_json::to_string(&failure).unwrap_or_default();
                Err(format!("it was not unbound: {failure}"))
            }
            Err(StepError::Later(why)) => Err(why),
        }
    }

    /// What became of a step.
    async fn step(&self, job: &MergeJob, step: Step<'_>) -> Result<RecordOutcome, StepError> {
        if !self.lease.is_held() {
            return Err(StepError::Later("another instance may be at it".to_owned()));
        }
        let any_of = step.only.map(|tag| vec![tag]);
        let command = Command {
            intent: step.intent,
            id: step.id.to_owned(),
            patch: step.patch,
            condition: Condition { any_of, ..Condition::default() },
            event_id: event_id(job, step.name),
            // The same step may be given with other values.
            request_hash: Some(job.request_hash.unwrap_or_default()),
            survivor: step.intent.names_survivor().then(|| job.into.clone()),
            author: Author {
                principal: job.principal.as_str().into(),
                request_id: job.request_id.as_str().into(),
            },
        };
        let refused = |reason: &str, detail: String| {
            StepError::Failed(MergeFailure::Refused { reason: reason.to_owned(), detail })
        };
        match self.commands.decided(&command, Instant::now() + STEP_MAX).await {
            Ok(Some(RecordOutcome { reason: Some((reason, detail)), .. })) => {
                Err(refused(reason.as_str(), detail))
            }
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(StepError::Later(format!("{} is not decided yet", step.name))),
            Err(CommandError::Refused { reason, detail }) => Err(refused(reason.as_str(), detail)),
            Err(error) => Err(StepError::Later(error.to_string())),
        }
    }

    /// None: as far as its lane remembers, the step was not done.
    fn done(&self, job: &MergeJob, name: &str) -> Option<Attempt> {
        let hash = id_hash(API_SOURCE.as_bytes(), event_id(job, name).as_bytes());
        self.reader().command_done(hash)
    }
}

fn event_id(job: &MergeJob, name: &str) -> String {
    format!("{}-{name}", job.commands)
}

fn undecided(verdict: Verdict) -> StepError {
    StepError::Later(format!("a step was {}", verdict.as_str()))
}

/// A contact that is being merged into another.
fn elsewhere(id: &str, contact: &StoredContact) -> Result<MergeFailure, CorruptContact> {
    let into = contact.view()?.merging_into().map(str::to_owned);
    let merging = |into| MergeFailure::Merging { id: id.to_owned(), into };
    Ok(into.map_or(MergeFailure::Contended, merging))
}

/// What the survivor takes.
fn lacking(
    survivor: &ContactView<'_>,
    other: &ContactView<'_>,
    from: &str,
) -> Result<ContactPatch, StepError> {
    let mut patch = ContactPatch::missing(survivor, other);
    // What it says of its own merges stays with it.
    patch.attributes.remove(MERGED_INTO);
    patch.attributes.remove(MERGED_FROM);
    let mut taken_in = listed(survivor, MERGED_FROM);
    if !taken_in.iter().any(|id| id == from) {
        taken_in.push(from.to_owned());
        patch.set_attribute(MERGED_FROM, json(&taken_in)?);
    }
    Ok(patch)
}

fn json(value: &impl serde::Serialize) -> Result<String, StepError> {
    serde_json::to_string(value).map_err(|error| StepError::Later(error.to_string()))
}
