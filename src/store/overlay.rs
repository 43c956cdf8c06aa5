//! The contacts that the batch in hand has met, with what it did to them so far.

use hashbrown::HashTable;

use super::StoreError;
use super::codec::{self, Links, StoredContact};
use super::contacts::Contacts;
use super::digest::contact_hash;
use super::dirty::Facts;
use super::journal::FrameBuilder;
use super::journal::FrameRange;
use super::rows::RowClass;

/// Contacts of a batch; emptied and used again.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    table: HashTable<(u64, u32)>,
    slots: Vec<Slot>,
    ids: Vec<u8>,
    /// The slot met last: planning asks for a contact and then changes it.
    last: usize,
}

/// One contact of a batch.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) hash: u64,
    id: (usize, usize),
    /// What it was before the batch.
    base: Base,
    /// Facts of the base as far as they are known.
    base_facts: Option<Facts>,
    /// Where it and its latest change lie, in or before the batch.
    pub(crate) links: Links,
    /// Its body after the batch's latest image of it.
    pub(crate) place: Option<FrameRange>,
    /// What it counts as now.
    pub(crate) class: RowClass,
    /// Its summand in the digest now; set when the batch is closed.
    pub(crate) digest: u128,
}

/// A contact's value before a batch, as it was found.
#[derive(Debug)]
enum Base {
    Absent,
    Found(StoredContact),
}

impl Base {
    fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Absent => None,
            Self::Found(value) => Some(value.body()),
        }
    }
}

impl Overlay {
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.slots.clear();
        self.ids.clear();
        self.last = usize::MAX;
    }

    /// The slot of a contact, looking it up below where the batch has not met it yet.
    pub(crate) fn slot(&mut self, id: &[u8], below: &Contacts) -> Result<usize, StoreError> {
        if self.slots.get(self.last).is_some_and(|at| at.id(&self.ids) == id) {
            return Ok(self.last);
        }
        let hash = codec::id_hash(id);
        let (slots, ids) = (&self.slots, &self.ids);
        let found = self.table.find(hash, |(at_hash, at)| {
            *at_hash == hash && slots.get(*at as usize).is_some_and(|at| at.id(ids) == id)
        });
        if let Some((_, at)) = found {
            self.last = *at as usize;
            return Ok(self.last);
        }
        let (base, base_facts, links) = match below.get_for_change(hash, id)? {
            Some((value, facts)) => {
                let links = value.links();
                (Base::Found(value), facts, links)
            }
            None => (Base::Absent, Some(Facts::default()), Links::NONE),
        };
        let start = self.ids.len();
        self.ids.extend_from_slice(id);
        let facts = base_facts.unwrap_or_default();
        self.last = self.slots.len();
        self.slots.push(Slot {
            hash,
            id: (start, self.ids.len()),
            base,
            base_facts,
            links,
            place: None,
            class: facts.class,
            digest: 0,
        });
        self.table.insert_unique(hash, (hash, self.last as u32), |at| at.0);
        Ok(self.last)
    }

    /// A contact's body as the batch has left it.
    pub(crate) fn body<'a>(&'a self, slot: usize, frame: &'a FrameBuilder) -> Option<&'a [u8]> {
        let slot = self.slots.get(slot)?;
        match slot.place {
            Some(place) => Some(frame.bytes(place.body())),
            None => slot.base.body(),
        }
    }

    /// A contact's stored value as the batch has left it.
    pub(crate) fn value(
        &self,
        slot: usize,
        frame: &FrameBuilder,
        scratch: &mut Vec<u8>,
    ) -> Option<StoredContact> {
        let body = self.body(slot, frame)?;
        let links = self.slots.get(slot)?.links;
        Some(StoredContact::build(links, body, scratch))
    }

    /// The slot, with what its base counts for known; for the first change of it.
    pub(crate) fn slot_to_change(
        &mut self,
        slot: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<&mut Slot, StoreError> {
        let Some(at) = self.slots.get_mut(slot) else {
            return Err(StoreError::damaged("overlay", "a slot is missing"));
        };
        if at.base_facts.is_none() {
            let id = self.ids.get(at.id.0..at.id.1).unwrap_or_default();
            let body = at.base.body().unwrap_or_default();
            let facts = facts_of(id, body, scratch)?;
            at.base_facts = Some(facts);
            at.class = facts.class;
        }
        Ok(at)
    }

    /// Every changed contact with its id.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&Slot, &[u8], FrameRange)> {
        self.slots.iter().filter_map(|slot| Some((slot, slot.id(&self.ids), slot.place?)))
    }

    /// Every changed contact.
    pub(crate) fn changed_mut(&mut self) -> impl Iterator<Item = (&mut Slot, FrameRange)> {
        self.slots.iter_mut().filter_map(|slot| {
            let place = slot.place?;
            Some((slot, place))
        })
    }
}

impl Slot {
    /// What held before the batch; none where there was no contact.
    pub(crate) fn before(&self) -> Option<Facts> {
        match self.base {
            Base::Absent => None,
            Base::Found(_) => self.base_facts,
        }
    }

    /// Its body before the batch.
    pub(crate) fn body_before(&self) -> Option<&[u8]> {
        self.base.body()
    }

    fn id<'a>(&self, ids: &'a [u8]) -> &'a [u8] {
        ids.get(self.id.0..self.id.1).unwrap_or_default()
    }
}

/// Everything that is derived from a body.
pub(crate) fn facts_of(id: &[u8], body: &[u8], scratch: &mut Vec<u8>) -> Result<Facts, StoreError> {
    Ok(Facts { digest: contact_hash(id, body, scratch), class: RowClass::of(id, body)? })
}
