//! Contacts that were deleted long ago are erased: their fields are forgotten, here and everywhere.
//!
//! Commands like any other: each names the version that it was made from, and has an id made from
//! contact and version, so several instances do it once, and one that comes back in between stays.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::domain::command::{Condition, Intent};
use crate::domain::contact::{ContactView, StateTag, Status};
use crate::domain::event::FIELDS;
use crate::domain::external_ids::is_erased_form;
use crate::domain::merge_notes::MERGED_INTO;
use crate::domain::texts::hex;
use crate::domain::verdict::Verdict;
use crate::store::{PageEntry, PageKey, PageRequest, Reader, SortOrder, StoreError};

use super::commands::{Author, Command, Commands, Submitted, Wait};
use super::patch::ContactPatch;

/// Contacts that are looked at, and at most erased, at a time.
const CONTACTS_A_TURN: usize = 100;
/// Between two turns that erased something: purging is in no hurry.
const TURN_PAUSE: Duration = Duration::from_secs(1);
/// Between two walks, at the least and at the most.
const WALK_PAUSE_MIN: Duration = Duration::from_millis(100);
const WALK_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// How long one turn waits for what becomes of it.
const TURN_WAIT: Duration = Duration::from_secs(30);

/// Erases contacts once they have been deleted for so long, until it is dropped. Time is what the
/// records say: without new ones it stands still.
pub async fn purge(commands: Commands, deleted_for: Duration) {
    let pause = (deleted_for / 10).clamp(WALK_PAUSE_MIN, WALK_PAUSE_MAX);
    loop {
        match walk(&commands, deleted_for).await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "contacts that were deleted long ago are erased"),
            Err(error) => tracing::warn!(%error, "purging goes on later"),
        }
        tokio::time::sleep(pause).await;
    }
}

/// All that were deleted before the store's record time less `deleted_for`.
async fn walk(commands: &Commands, deleted_for: Duration) -> Result<u64, StoreError> {
    let mut erased = 0;
    let mut after = None;
    loop {
        let reader = commands.reader().clone();
        let from = after.clone();
        let turn = tokio::task::spawn_blocking(move || turn(&reader, from, deleted_for));
        let Ok(turn) = turn.await else {
            return Ok(erased);
        };
        let Turn { due, next } = turn?;
        let answers = commands.submit(&due, Wait::of(TURN_WAIT, true)).await;
        let done = answers.iter().filter(|answer| is_erased(answer)).count();
        erased += done as u64;
        if done > 0 {
            tokio::time::sleep(TURN_PAUSE).await;
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(erased),
        }
    }
}

fn is_erased<E>(answer: &Result<Submitted, E>) -> bool {
    matches!(answer, Ok(Submitted::Decided(outcome)) if outcome.verdict == Verdict::Applied)
}

/// Some contacts of the walk.
struct Turn {
    due: Vec<Command>,
    /// Where it goes on; none: it has ended.
    next: Option<PageKey>,
}

fn turn(
    reader: &Reader,
    after: Option<PageKey>,
    deleted_for: Duration,
) -> Result<Turn, StoreError> {
    let age = i64::try_from(deleted_for.as_millis()).unwrap_or(i64::MAX);
    let before_ms = reader.record_time_ms().unwrap_or(0).saturating_sub(age);
    let page = reader.page(&PageRequest {
        order: SortOrder::UpdatedAt,
        status: Some(Status::Deleted),
        after,
        limit: CONTACTS_A_TURN,
        ..PageRequest::default()
    })?;
    let mut due = Vec::new();
    let mut is_over = page.contacts.is_empty();
    for PageEntry { id, value, .. } in &page.contacts {
        let Ok(view) = value.view() else {
            continue;
        };
        let updated_at_ms = view.updated_at_us().map_or(0, |us| us / 1000);
        if i64::try_from(updated_at_ms).is_ok_and(|at| at > before_ms) {
            is_over = true;
            break;
        }
        // An old event may have come late: what counts is when it was recorded.
        let last = reader.history(id.as_bytes(), 1, None)?;
        let is_settled = last.first().is_none_or(|change| change.record_time_ms <= before_ms);
        if is_settled && holds_anything(&view) {
            due.push(command(id, view.tag()));
        }
    }
    let next = page.contacts.last().map(|last| last.key.clone()).filter(|_| !is_over);
    Ok(Turn { due, next })
}

fn holds_anything(contact: &ContactView<'_>) -> bool {
    // An erase leaves these two.
    (0..FIELDS.len()).any(|place| contact.field(place).is_some())
        || contact.attributes().any(|(name, _)| name != MERGED_INTO)
        || contact.external_ids().any(|(_, id)| !is_erased_form(id.as_bytes()))
}

fn command(id: &str, tag: StateTag) -> Command {
    let mut hasher = Sha256::new();
    hasher.update(b"contactd purge 1");
    hasher.update(tag.version.to_le_bytes());
    hasher.update(id.as_bytes());
    let hash = hex(hasher.finalize().get(..16).unwrap_or_default());
    Command {
        intent: Intent::Erase,
        survivor: None,
        id: id.to_owned(),
        patch: ContactPatch::default(),
        condition: Condition { any_of: Some(vec![tag]), ..Condition::default() },
        event_id: format!("purge_{hash}"),
        request_hash: None,
        author: Author { principal: "contactd".into(), request_id: "purge".into() },
    }
}
