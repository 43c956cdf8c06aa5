//! Takes an import back: what it changed and nobody has changed since.
//!
//! The contact's clocks say what still stands by a row's event, and its history what stood there before. It goes
//! back by a command on the condition that the contact is as it was looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::ImportError;
use super::job::UndoCounts;
use super::live::{Around, End, Live};
use super::prepare::{Preparer, event_id};
use super::row::Row;
use super::run::preparer;
use crate::domain::clock::id_hash;
use crate::domain::command::Condition;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::FIELDS;
use crate::ingest::{Action, Author, ContactPatch, Edit, EditError, Wait};
use crate::store::{ChangeRef, Reader, StoreError, StoredContact};

/// Contacts that are looked at before their commands are given.
const CONTACTS: usize = 256;
/// Changes of a contact that are looked through at a time.
const CHANGES_A_LOOK: usize = 16;
/// How long the commands of some contacts are waited for.
const WAIT: Duration = Duration::from_secs(30);

/// What is to be done with a contact.
enum Step {
    /// Nothing of the row stands there.
    Nothing,
    /// Somebody has changed it since.
    Kept,
    /// What it was before is no longer known.
    Unknown,
    /// It goes back.
    Back(Box<Edit>),
}

/// Takes it back, row by row.
pub(super) async fn undo(
    around: &Arc<Around>,
    live: &Arc<Live>,
    stop: &CancellationToken,
) -> Result<End, ImportError> {
    let job = live.job();
    let by = job.undo_by.unwrap_or(job.by);
    let author =
        Author { principal: by.as_str().into(), request_id: format!("undo-{}", live.id).into() };
    let mut counts = UndoCounts::default();
    let mut rows = preparer(around, live, None)?;
    loop {
        if stop.is_cancelled() || live.cancel.is_cancelled() {
            return Ok(live.end_of(stop));
        }
        if !(around.may_still_import)(&by) {
            return Err(ImportError::NotAllowed { by });
        }
        let author = author.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let steps = steps(&mut rows, &author);
            (rows, steps)
        });
        let (again, steps) = looking.await.map_err(ImportError::ended)?;
        rows = again;
        let (steps, is_last) = steps?;
        let edits: Vec<Edit> =
            steps.into_iter().filter_map(|step| counted(step, &mut counts)).collect();
        let answers = around.edits.run(&edits, Wait::of(WAIT, true)).await;
        for (edit, answer) in edits.iter().zip(answers) {
            match answer {
                Ok(_) if matches!(edit.action, Action::Delete) => counts.deleted += 1,
                Ok(_) => counts.reverted += 1,
                Err(EditError::Command(error)) => {
                    return Err(std::io::Error::other(error.to_string()).into());
                }
                Err(_) => counts.kept += 1,
            }
        }
        live.edit(|job| job.undo = Some(counts));
        if is_last {
            return Ok(End::Done);
        }
    }
}

fn counted(step: Step, counts: &mut UndoCounts) -> Option<Edit> {
    match step {
        Step::Nothing => None,
        Step::Kept => {
            counts.kept += 1;
            None
        }
        Step::Unknown => {
            counts.unknown += 1;
            None
        }
        Step::Back(edit) => Some(*edit),
    }
}

/// Of the next rows; true: they were the last.
fn steps(rows: &mut Preparer, author: &Author) -> Result<(Vec<Step>, bool), ImportError> {
    let mut steps = Vec::new();
    while steps.len() < CONTACTS {
        let Some(row) = rows.rows.next()? else {
            return Ok((steps, true));
        };
        let number = row.number;
        let Ok(row) = row.content.and_then(|content| rows.reader.read(content)) else {
            continue;
        };
        let Ok((contact_id, Some(value))) = rows.whose(&row, number)? else {
            continue;
        };
        let step = step(rows, (number, &row), (&contact_id, &value), author)?;
        if !matches!(step, Step::Nothing) {
            steps.push(step);
        }
    }
    Ok((steps, false))
}

fn step(
    rows: &Preparer,
    (number, row): (u64, &Row),
    (contact_id, value): (&str, &StoredContact),
    author: &Author,
) -> Result<Step, ImportError> {
    let now = value.view().map_err(StoreError::from)?;
    let event_id = event_id(&rows.job_id, number);
    let hash = id_hash(rows.options.source.as_bytes(), event_id.as_bytes());
    let names = FIELDS.into_iter().chain(now.attributes().map(|(name, _)| name));
    let by_row = |name: &&str| {
        now.clock_of(name).is_some_and(|at| at.hash == hash && Some(at.ts_us) == rows.started_us)
    };
    let stand: Vec<&str> = names.filter(by_row).collect();
    if stand.is_empty() || now.status() == Status::Deleted {
        return Ok(Step::Nothing);
    }
    let action = match before(&rows.store, contact_id, &event_id, rows.started_us)? {
        // It changed nothing, and only took its clock.
        Before::SameValues => return Ok(Step::Nothing),
        Before::Unknown => return Ok(Step::Unknown),
        Before::NoContact { is_touched: false } => Action::Delete,
        Before::NoContact { is_touched: true } => return Ok(Step::Kept),
        Before::Contact(before) => {
            let before = before.view().map_err(StoreError::from)?;
            Action::Update(back(&now, &before, &stand, row))
        }
    };
    let condition = Condition { any_of: Some(vec![now.tag()]), none_of: Vec::new() };
    let (id, author) = (contact_id.to_owned(), author.clone());
    Ok(Step::Back(Box::new(Edit { id, action, condition, keyed: None, author })))
}

/// What gives a contact the values that it had under those names, and the external ids that the row has tied.
fn back(
    now: &ContactView<'_>,
    before: &ContactView<'_>,
    names: &[&str],
    row: &Row,
) -> ContactPatch {
    let mut patch = ContactPatch::default();
    for name in names {
        match FIELDS.iter().position(|field| field == name) {
            Some(place) => {
                if let Some(field) = patch.fields.get_mut(place) {
                    *field = Some(before.field(place).map(str::to_owned));
                }
            }
            None => match before.attributes().find(|(each, _)| each == name) {
                Some((_, json)) => patch.set_attribute(name, json.to_owned()),
                None => {
                    patch.attributes.insert((*name).to_owned(), None);
                }
            },
        }
    }
    let had: Vec<(&str, &str)> = before.external_ids().collect();
    let is_of_row =
        |(source, id): &(&str, &str)| row.external_ids.get(*source).is_some_and(|of| of == id);
    for (source, _) in now.external_ids().filter(|at| is_of_row(at) && !had.contains(at)) {
        let before = had.iter().find(|(each, _)| *each == source);
        patch.external_ids.insert(source.to_owned(), before.map(|(_, id)| (*id).to_owned()));
    }
    patch
}

/// A contact before a row's event.
enum Before {
    /// It did not change anything.
    SameValues,
    /// There was none; whether anybody has changed it since.
    NoContact { is_touched: bool },
    /// This.
    Contact(StoredContact),
    /// The journal no longer says.
    Unknown,
}

fn before(
    reader: &Reader,
    contact_id: &str,
    event_id: &str,
    started_us: Option<u64>,
) -> Result<Before, StoreError> {
    let started_ms = i64::try_from(started_us.unwrap_or_default() / 1000).unwrap_or(i64::MAX);
    let mut at: Option<ChangeRef> = None;
    let (mut was_row, mut is_touched) = (None, false);
    let tie = format!("{event_id}_");
    loop {
        let changes = reader.history(contact_id.as_bytes(), CHANGES_A_LOOK, at)?;
        for change in &changes {
            if was_row.is_some() {
                return Ok(Before::Contact(change.value()));
            }
            if change.event_id == event_id {
                was_row = Some(change.view()?.version());
            } else if change.record_time_ms < started_ms {
                return Ok(Before::SameValues);
            } else {
                is_touched |= !change.event_id.starts_with(&tie);
            }
        }
        at = changes.last().map(|change| change.change);
        if at.is_none() || changes.len() < CHANGES_A_LOOK {
            return Ok(match was_row {
                Some(1) => Before::NoContact { is_touched },
                Some(_) => Before::Unknown,
                // Its own change would stand there.
                None if changes.is_empty() && at.is_none() => Before::Unknown,
                None => Before::SameValues,
            });
        }
    }
}
