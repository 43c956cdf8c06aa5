//! What a client wants to hear of.

use crate::domain::event::EventKind;

/// What a client wants to hear of; the default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Option<u16>,
    /// Sorted.
    contacts: Option<Vec<String>>,
}

impl Filter {
    /// Only these kinds, only these contacts; an empty list is no filter.
    pub fn new(kinds: &[EventKind], mut contacts: Vec<String>) -> Self {
        contacts.sort_unstable();
        contacts.dedup();
        let bits = kinds.iter().fold(0, |bits, kind| bits | bit(*kind));
        Self {
            kinds: (!kinds.is_empty()).then_some(bits),
            contacts: (!contacts.is_empty()).then_some(contacts),
        }
    }

    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.kinds.is_none() && self.contacts.is_none()
    }

    /// The contacts, if not all.
    pub fn contacts(&self) -> Option<&[String]> {
        self.contacts.as_deref()
    }

    /// Whether a change passes.
    pub fn passes(&self, kind: EventKind, contact: &[u8]) -> bool {
        let of_kind = self.kinds.is_none_or(|bits| bits & bit(kind) != 0);
        let is_wanted =
            |wanted: &Vec<String>| wanted.binary_search_by(|id| id.as_bytes().cmp(contact)).is_ok();
        of_kind && self.contacts.as_ref().is_none_or(is_wanted)
    }
}

fn bit(kind: EventKind) -> u16 {
    1 << kind as u8
}
