//! Two contacts that are one: the survivor takes what it lacks, the other is deleted.
//!
//! Two commands, the survivor's first, so that nothing is lost between them: stopped half way, both
//! are there and the survivor knows of the other, and the same merge asked for again does what is
//! left. Each is made from the contacts as they were read; where one was changed meanwhile, they are
//! read again.

use serde_json::value::RawValue;

use crate::domain::contact::{ContactView, StateTag, Status};
use crate::store::StoredContact;

use super::{Action, Author, Condition, Done, Edit, EditError, Edits, Keyed};
use crate::ingest::commands::Wait;
use crate::ingest::patch::ContactPatch;

/// How often the two are read again before the merge gives way to those that change them.
const PLANS_MAX: u32 = 64;
/// The survivor's attribute that lists whom it has taken in.
const MERGED_FROM: &str = "mergedFrom";
/// The other's attribute that names the survivor.
const MERGED_INTO: &str = "mergedInto";

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

/// Why two were not made one.
#[derive(Debug)]
pub enum MergeFailed {
    /// Because of the survivor.
    Survivor(EditError),
    /// Because of the other.
    Other(EditError),
}

impl Edits {
    /// The survivor, once the other is deleted: it waits for both halves, whatever the client prefers.
    ///
    /// # Errors
    /// Where either is not there, or the survivor not as expected; `NoTime` where a half is not decided
    /// yet, and the same merge asked for again does what is left.
    pub async fn merge(&self, merge: &Merge, wait: Wait) -> Result<Done, MergeFailed> {
        let wait = Wait { for_outcome: true, ..wait };
        for round in 0..PLANS_MAX {
            let survivor = self.active(&merge.into).map_err(MergeFailed::Survivor)?;
            let other = self.found(&merge.from).map_err(MergeFailed::Other)?;
            let other_view = view(&other).map_err(MergeFailed::Other)?;
            let is_deleted = other_view.status() == Status::Deleted;
            if is_deleted && !names(&other_view, MERGED_INTO, &merge.into) {
                return Err(MergeFailed::Other(EditError::NotFound));
            }
            let survivor = match self.take_over(merge, &survivor, &other_view, round, wait).await {
                Ok(survivor) => survivor,
                Err(EditError::PreconditionFailed(_)) if merge.condition.is_none() => {
                    continue;
                }
                Err(error) => return Err(MergeFailed::Survivor(error)),
            };
            if matches!(survivor, Done::Accepted { .. }) {
                return Err(MergeFailed::Survivor(EditError::NoTime));
            }
            if is_deleted {
                return Ok(survivor);
            }
            match self.give_way(merge, &other_view, round, wait).await {
                Ok(Done::Contact { .. }) => return Ok(survivor),
                Ok(Done::Accepted { .. }) => return Err(MergeFailed::Other(EditError::NoTime)),
                Err(EditError::PreconditionFailed(_)) => continue,
                Err(error) => return Err(MergeFailed::Other(error)),
            }
        }
        Err(MergeFailed::Other(EditError::Contended))
    }

    /// The survivor takes what it lacks, and notes whom from.
    async fn take_over(
        &self,
        merge: &Merge,
        survivor: &StoredContact,
        other: &ContactView<'_>,
        round: u32,
        wait: Wait,
    ) -> Result<Done, EditError> {
        let now = view(survivor)?;
        let mut patch = ContactPatch::missing(&now, other);
        // What it says of its own merges stays with it.
        patch.attributes.remove(MERGED_INTO);
        patch.attributes.remove(MERGED_FROM);
        if !names(&now, MERGED_FROM, &merge.from) {
            let mut from = listed(&now, MERGED_FROM);
            from.push(merge.from.clone());
            set(&mut patch, MERGED_FROM, &from);
        }
        let condition = match (merge.condition.is_none(), round) {
            (false, 0) => merge.condition.clone(),
            _ => only(now.tag()),
        };
        let edit = self.part(merge, &merge.into, Action::Update(patch), condition, round);
        self.run_one(edit, wait).await
    }

    /// The other notes into whom it went, and is deleted: one command does both.
    async fn give_way(
        &self,
        merge: &Merge,
        other: &ContactView<'_>,
        round: u32,
        wait: Wait,
    ) -> Result<Done, EditError> {
        let mut patch = ContactPatch::default();
        set(&mut patch, MERGED_INTO, &merge.into);
        let condition = only(other.tag());
        let edit = self.part(merge, &merge.from, Action::GiveWay(patch), condition, round);
        self.run_one(edit, wait).await
    }

    fn part(
        &self,
        merge: &Merge,
        id: &str,
        action: Action,
        condition: Condition,
        round: u32,
    ) -> Edit {
        // Each round is a command of its own; the first ones are found again under the key.
        let keyed = merge.keyed.as_ref().map(|keyed| Keyed {
            event_id: format!("{}-{round}", keyed.event_id),
            request_hash: keyed.request_hash,
        });
        Edit { id: id.to_owned(), action, condition, keyed, author: merge.author.clone() }
    }

    fn found(&self, id: &str) -> Result<StoredContact, EditError> {
        self.commands.reader().contact(id.as_bytes())?.ok_or(EditError::NotFound)
    }

    fn active(&self, id: &str) -> Result<StoredContact, EditError> {
        let found = self.found(id)?;
        match view(&found)?.status() {
            Status::Active => Ok(found),
            Status::Deleted => Err(EditError::NotFound),
        }
    }
}

fn only(tag: StateTag) -> Condition {
    Condition { any_of: Some(vec![tag]), ..Condition::default() }
}

fn view(value: &StoredContact) -> Result<ContactView<'_>, EditError> {
    Ok(value.view()?)
}

/// The ids that an attribute holds: one text, or a list of such.
fn listed(contact: &ContactView<'_>, attribute: &str) -> Vec<String> {
    let Some((_, json)) = contact.attributes().find(|(name, _)| *name == attribute) else {
        return Vec::new();
    };
    match serde_json::from_str::<Vec<String>>(json) {
        Ok(list) => list,
        Err(_) => serde_json::from_str::<String>(json).into_iter().collect(),
    }
}

fn names(contact: &ContactView<'_>, attribute: &str, id: &str) -> bool {
    listed(contact, attribute).iter().any(|each| each == id)
}

fn set(patch: &mut ContactPatch, attribute: &str, value: &impl serde::Serialize) {
    if let Ok(json) = serde_json::value::to_raw_value(value) {
        let json: Box<RawValue> = json;
        patch.attributes.insert(attribute.to_owned(), Some(json));
    }
}
