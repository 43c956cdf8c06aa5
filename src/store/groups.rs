//! How contacts are spread over companies, sources and times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::contact::Status;

use super::StoreError;
use super::ordered::{COMPANY, GroupBy, PageKey, TimeCounts, fold};
use super::reader::{ContactCounts, Reader};

/// Contacts that share a company or a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// As one of them has it.
    pub name: String,
    /// How many they are.
    pub contacts: ContactCounts,
}

/// How contacts are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those with the most ACTIVE contacts, the greatest first.
    pub top: Vec<Group>,
    /// Contacts of all others.
    pub other: ContactCounts,
    /// Contacts that have none.
    pub none: ContactCounts,
}

impl Groups {
    /// With fewer of the greatest.
    #[must_use]
    pub fn truncated(&self, top: usize) -> Self {
        let mut less = self.clone();
        for group in less.top.drain(top.min(less.top.len())..) {
            less.other.active += group.contacts.active;
            less.other.deleted += group.contacts.deleted;
        }
        less
    }
}

/// The greatest that were met, the least first: how many, by what text, and one of them.
type Greatest = BinaryHeap<Reverse<(u64, Reverse<Vec<u8>>, Vec<u8>)>>;

/// A text that is being counted.
#[derive(Default)]
struct Counting {
    text: Vec<u8>,
    id: Vec<u8>,
    count: u64,
}

impl Counting {
    /// Keeps the greatest; contacts without a text are no group.
    fn into(self, greatest: &mut Greatest, top: usize) {
        if self.text.is_empty() || self.count == 0 {
            return;
        }
        greatest.push(Reverse((self.count, Reverse(self.text), self.id)));
        if greatest.len() > top {
            greatest.pop();
        }
    }
}

impl Reader {
    /// How contacts are spread over companies or sources, by the `top` that have the most. Looks at all
    /// ACTIVE ones, some at a time: what is written meanwhile may be counted or not.
    ///
    /// # Errors
    /// When the store fails.
    pub fn groups(&self, by: GroupBy, top: usize) -> Result<Groups, StoreError> {
        let (mut greatest, mut counting) = (Greatest::new(), Counting::default());
        let mut after: Option<PageKey> = None;
        loop {
            let lists = self.shared().lists()?;
            after = lists.some_by(by, after.as_ref(), &mut |text, id| {
                if text != counting.text {
                    let (text, id) = (text.to_vec(), id.to_vec());
                    let before = std::mem::replace(&mut counting, Counting { text, id, count: 0 });
                    before.into(&mut greatest, top);
                }
                counting.count += 1;
            });
            drop(lists);
            if after.is_none() {
                break;
            }
        }
        counting.into(&mut greatest, top);
        self.named(by, greatest)
    }

    fn named(&self, by: GroupBy, greatest: Greatest) -> Result<Groups, StoreError> {
        let lists = self.shared().lists()?;
        let with = |status| lists.count_with(by, status);
        let (active, deleted) = (with(Status::Active), with(Status::Deleted));
        let found = greatest.into_sorted_vec();
        let mut rest = ContactCounts { active, deleted };
        let mut top = Vec::with_capacity(found.len());
        for Reverse((_, Reverse(text), id)) in found {
            let count = |status| lists.count_of(by, &text, status);
            let contacts =
                ContactCounts { active: count(Status::Active), deleted: count(Status::Deleted) };
            rest.active = rest.active.saturating_sub(contacts.active);
            rest.deleted = rest.deleted.saturating_sub(contacts.deleted);
            top.push((text, id, contacts));
        }
        drop(lists);
        let all = self.counts();
        let none = ContactCounts {
            active: all.active.saturating_sub(active),
            deleted: all.deleted.saturating_sub(deleted),
        };
        let top = top.into_iter().map(|(text, id, contacts)| {
            Ok(Group { name: self.name_of(by, &text, &id)?, contacts })
        });
        Ok(Groups { top: top.collect::<Result<_, StoreError>>()?, other: rest, none })
    }

    /// As the contact has it, which may have another by now.
    fn name_of(&self, by: GroupBy, text: &[u8], id: &[u8]) -> Result<String, StoreError> {
        let found = || String::from_utf8_lossy(text).into_owned();
        let GroupBy::Company = by else {
            return Ok(found());
        };
        let Some(value) = self.contact(id)? else {
            return Ok(found());
        };
        let view = self.shared().contacts.view(id, &value)?;
        let name = view.field(COMPANY).filter(|name| fold(name).starts_with(text));
        Ok(name.map_or_else(found, |name| name.trim().to_owned()))
    }

    /// How many contacts came to be and were changed from each of these times, in µs since 1970, until
    /// the next.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contacts_by_time(&self, bounds: &[u64]) -> Result<Vec<TimeCounts>, StoreError> {
        Ok(self.shared().lists()?.by_time(bounds))
    }
}
