//! The command that a wish is, given the contact as it is here now.

use std::borrow::Cow;

use uuid::Uuid;

use crate::domain::contact::{StateTag, Status};
use crate::domain::event::EventKind;
use crate::store::StoredContact;

use super::{Action, Done, Edit, EditError, Precondition};
use crate::ingest::commands::Command;
use crate::ingest::patch::ContactPatch;

/// What to do about a wish.
pub(super) enum Plan {
    /// Nothing: it is so already.
    Done(Done),
    /// Give this command.
    Give(Box<Command>),
}

/// The contact as far as planning goes by it.
#[derive(Clone, Copy)]
struct Now {
    tag: StateTag,
    status: Status,
}

/// What the command is, but for names.
struct Shape<'e> {
    kind: EventKind,
    patch: Option<Cow<'e, ContactPatch>>,
    expected_version: Option<u64>,
    replace: bool,
}

pub(super) fn plan(edit: &Edit, current: Option<StoredContact>) -> Result<Plan, EditError> {
    let now = match &current {
        Some(value) => {
            let view = value.view()?;
            Some(Now { tag: view.tag(), status: view.status() })
        }
        None => None,
    };
    let shape = match &edit.action {
        Action::Create(patch) => create(patch, now)?,
        Action::Replace(patch) => replace(edit, patch, now)?,
        Action::Update(patch) => {
            let expected = on_active(edit, now)?;
            if let (true, Some(value)) = (patch.is_empty(), &current) {
                let value = value.clone();
                return Ok(Plan::Done(Done::Contact { value, position: None }));
            }
            match &current {
                Some(value) if patch.needs_contact() => {
                    let patch = Cow::Owned(patch.onto(&value.view()?));
                    let expected = expected.or(now.map(|now| now.tag.version));
                    Shape::of(EventKind::Updated, Some(patch), expected)
                }
                Some(_) | None => {
                    Shape::of(EventKind::Updated, Some(Cow::Borrowed(patch)), expected)
                }
            }
        }
        Action::Delete => Shape::of(EventKind::Deleted, None, on_active(edit, now)?),
        Action::GiveWay(patch) => {
            Shape::of(EventKind::Deleted, Some(Cow::Borrowed(patch)), on_active(edit, now)?)
        }
        Action::Erase => Shape::of(EventKind::Erased, None, on_any(edit, now)?),
        Action::Restore => {
            let expected = on_any(edit, now)?;
            let is_there = now.is_some_and(|now| now.status == Status::Active);
            if let (true, Some(value)) = (is_there, current) {
                return Ok(Plan::Done(Done::Contact { value, position: None }));
            }
            Shape::of(EventKind::Restored, None, expected)
        }
    };
    Ok(Plan::Give(Box::new(shape.into_command(edit))))
}

impl<'e> Shape<'e> {
    fn of(
        kind: EventKind,
        patch: Option<Cow<'e, ContactPatch>>,
        expected_version: Option<u64>,
    ) -> Self {
        Self { kind, patch, expected_version, replace: false }
    }

    fn into_command(self, edit: &Edit) -> Command {
        let keyed = edit.keyed.as_ref();
        Command {
            kind: self.kind,
            id: edit.id.clone(),
            patch: self.patch.map(Cow::into_owned).unwrap_or_default(),
            expected_version: self.expected_version,
            replace: self.replace,
            event_id: match keyed {
                Some(keyed) => keyed.event_id.clone(),
                None => format!("cmd_{}", Uuid::now_v7().as_simple()),
            },
            request_hash: keyed.map(|keyed| keyed.request_hash),
            author: edit.author.clone(),
        }
    }
}

/// A deleted contact begins anew: what it was is hidden.
fn create(patch: &ContactPatch, now: Option<Now>) -> Result<Shape<'_>, EditError> {
    let expected = match now {
        None => 0,
        Some(Now { tag, status: Status::Deleted }) => tag.version,
        Some(Now { tag, status: Status::Active }) => return Err(EditError::Exists(tag)),
    };
    let shape = Shape::of(EventKind::Created, Some(Cow::Borrowed(patch)), Some(expected));
    Ok(Shape { replace: true, ..shape })
}

fn replace<'e>(
    edit: &Edit,
    patch: &'e ContactPatch,
    now: Option<Now>,
) -> Result<Shape<'e>, EditError> {
    // From the contact as it is, so that nothing newer than what the client saw survives by chance.
    let expected = on_active(edit, now)?.or(now.map(|now| now.tag.version));
    Ok(Shape {
        replace: true,
        ..Shape::of(EventKind::Updated, Some(Cow::Borrowed(patch)), expected)
    })
}

/// For what only an ACTIVE contact can have done to it: the version to expect.
fn on_active(edit: &Edit, now: Option<Now>) -> Result<Option<u64>, EditError> {
    let is_active = now.is_some_and(|now| now.status == Status::Active);
    if !is_active && newer(edit, now).is_none() {
        return Err(EditError::NotFound);
    }
    expected(edit, now)
}

fn on_any(edit: &Edit, now: Option<Now>) -> Result<Option<u64>, EditError> {
    if now.is_none() && newer(edit, now).is_none() {
        return Err(EditError::NotFound);
    }
    expected(edit, now)
}

fn expected(edit: &Edit, now: Option<Now>) -> Result<Option<u64>, EditError> {
    match &edit.precondition {
        Precondition::None => Ok(None),
        Precondition::Exists => Ok(now.map(|now| now.tag.version)),
        Precondition::OneOf(tags) => {
            let here = now.map(|now| now.tag).filter(|now| tags.contains(now));
            match here.map(|now| now.version).or_else(|| newer(edit, now)) {
                Some(version) => Ok(Some(version)),
                None => Err(EditError::PreconditionFailed(now.map(|now| now.tag))),
            }
        }
    }
}

/// A version that the client has seen and this instance not yet: apply will know.
fn newer(edit: &Edit, now: Option<Now>) -> Option<u64> {
    let Precondition::OneOf(tags) = &edit.precondition else {
        return None;
    };
    let here = now.map_or(0, |now| now.tag.version);
    tags.iter().map(|tag| tag.version).filter(|version| *version > here).max()
}
