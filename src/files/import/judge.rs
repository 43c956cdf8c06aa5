//! Whether a row may be applied to its contact as that is now.
//!
//! A contact's clocks say which rows of this import it has met: all of their events have the same time, and
//! each its own hash.

use super::job::{Change, shown};
use super::options::Mode;
use super::refusal::{Reason, Refusal};
use super::row::Row;
use crate::domain::clock::Clock;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::FIELDS;

/// What rows are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) mode: Mode,
    /// The time of the import's events; none: it has not begun.
    pub(super) started_us: Option<u64>,
}

/// What is to be done with a row.
#[derive(Debug)]
pub(super) enum Judged {
    /// It is applied.
    Apply,
    /// Its own event was applied before.
    Given,
    /// An earlier row says the same.
    Duplicate,
    /// It is not taken.
    Refused(Refusal),
}

impl Terms {
    /// `hash`: that of the row's event.
    pub(super) fn judge(&self, row: &Row, contact: Option<&ContactView<'_>>, hash: u64) -> Judged {
        let refused = |reason, detail: &str| Judged::Refused(Refusal::new(reason, detail));
        let Some(contact) = contact else {
            return match self.mode {
                Mode::Update => {
                    refused(Reason::NotFound, "there is no such contact, and the mode is update")
                }
                Mode::Create | Mode::Upsert => Judged::Apply,
            };
        };
        let clocks = names(row).filter_map(|name| contact.clock_of(name));
        let ours = |clock: &Clock| Some(clock.ts_us) == self.started_us && clock.version.is_none();
        let met: Vec<Clock> = clocks.filter(ours).collect();
        if met.iter().any(|clock| clock.hash == hash) {
            return Judged::Given;
        }
        if contact.status() == Status::Deleted {
            let detail = "the contact is deleted; restore it first, or leave the row out";
            return refused(Reason::Deleted, detail);
        }
        if !met.is_empty() {
            return match differences(row, Some(contact)).is_empty() {
                true => Judged::Duplicate,
                false => Judged::Refused(different_twice(None)),
            };
        }
        let is_made_by_this =
            self.started_us.is_some() && contact.created_at_us() == self.started_us;
        if self.mode == Mode::Create && !is_made_by_this {
            return refused(Reason::Exists, "there is such a contact, and the mode is create");
        }
        Judged::Apply
    }
}

pub(super) fn different_twice(earlier: Option<u64>) -> Refusal {
    let earlier = earlier.map_or_else(|| "an earlier row".to_owned(), |row| format!("row {row}"));
    let detail = format!("{earlier} is of the same contact and says something else");
    Refusal::new(Reason::DifferentTwice, detail)
}

/// Names of all that a row says.
fn names(row: &Row) -> impl Iterator<Item = &str> {
    let said = FIELDS.iter().zip(&row.patch.fields).filter(|(_, said)| said.is_some());
    said.map(|(name, _)| *name).chain(row.patch.attributes.keys().map(String::as_str))
}

/// What a row says differently from its contact: name, the contact's value, the row's.
fn differences<'r>(
    row: &'r Row,
    contact: Option<&ContactView<'_>>,
) -> Vec<(&'r str, Option<String>, Option<String>)> {
    let fields = FIELDS.iter().zip(&row.patch.fields).enumerate();
    let fields = fields.filter_map(|(place, (name, said))| {
        let before = contact.and_then(|contact| contact.field(place)).map(str::to_owned);
        Some((*name, before, said.clone()?))
    });
    let attributes = row.patch.attributes.iter().map(|(name, said)| {
        let mut known = contact.into_iter().flat_map(ContactView::attributes);
        let before = known.find(|(each, _)| each == name).map(|(_, json)| json.to_owned());
        (name.as_str(), before, said.as_ref().map(|json| compact(json.get())))
    });
    fields.chain(attributes).filter(|(_, before, after)| before != after).collect()
}

/// As the contact holds it.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut is_text, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_text {
            is_text = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            is_text = c == '"';
        }
        out.push(c);
    }
    out
}

/// What a row would change, for people.
pub(super) fn changes(
    row: &Row,
    contact: Option<&ContactView<'_>>,
    at: (u64, &str),
) -> Vec<Change> {
    let (number, contact_id) = at;
    let shown_change = |(name, before, after): (&str, Option<String>, Option<String>)| Change {
        row: number,
        contact_id: contact_id.to_owned(),
        field: name.to_owned(),
        before: before.as_deref().map(shown),
        after: after.as_deref().map(shown),
    };
    differences(row, contact).into_iter().map(shown_change).collect()
}
