//! Which contacts the ids of sources were tied to, in memory.
//!
//! Most ids say themselves whose they are ([`contact_id_of`]) and need no entry. Here are the others: ids
//! that were tied by hand, and those that a merge has brought to its survivor. Filled by the scan at open
//! and by every commit, before it can be read.

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::domain::clock::id_hash;
use crate::domain::contact::ContactView;
use crate::domain::external_ids::contact_id_of;

/// What an entry takes beside the contact's id: its place in the table, and an allocation.
const ENTRY_OVERHEAD: usize = 48;

/// The ids that say nothing themselves.
#[derive(Debug, Default)]
pub(crate) struct ExternalIds {
    ties: RwLock<HashTable<Tie>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Tie {
    /// Of source and id: what is found by it has to be looked at.
    hash: u64,
    contact_id: Box<[u8]>,
}

impl ExternalIds {
    /// Takes what a contact has become; `before`: the body that it had. What can't be read has no ids here:
    /// whoever reads the contact is told.
    pub(crate) fn take(&self, contact_id: &[u8], before: Option<&[u8]>, body: &[u8]) {
        let bodies = [before, Some(body)];
        let [before, now] = bodies.map(|body| {
            let body = body.filter(|body| ContactView::has_external_ids(body));
            body.and_then(|body| ContactView::parse_trusted(body).ok())
        });
        let before: Vec<_> = before.iter().flat_map(ContactView::external_ids).collect();
        let now: Vec<_> = now.iter().flat_map(ContactView::external_ids).collect();
        for gone in before.iter().filter(|at| !now.contains(at)) {
            self.remove(contact_id, *gone);
        }
        for new in now.iter().filter(|at| !before.contains(at)) {
            self.insert(contact_id, *new);
        }
    }

    fn insert(&self, contact_id: &[u8], (source, id): (&str, &str)) {
        if is_told_by_itself(contact_id, source, id) {
            return;
        }
        let hash = hash_of(source, id);
        let mut ties = self.ties.write();
        if ties.find(hash, |tie| tie.is(hash, contact_id)).is_none() {
            ties.insert_unique(hash, Tie { hash, contact_id: contact_id.into() }, |tie| tie.hash);
        }
    }

    fn remove(&self, contact_id: &[u8], (source, id): (&str, &str)) {
        let hash = hash_of(source, id);
        if let Ok(tie) = self.ties.write().find_entry(hash, |tie| tie.is(hash, contact_id)) {
            tie.remove();
        }
    }

    /// Contacts that an id may be tied to, by their own ids.
    pub(crate) fn tied(&self, source: &str, id: &str) -> Vec<Box<[u8]>> {
        let hash = hash_of(source, id);
        let mut found: Vec<Box<[u8]>> = {
            let ties = self.ties.read();
            let found = ties.iter_hash(hash).filter(|tie| tie.hash == hash);
            found.map(|tie| tie.contact_id.clone()).collect()
        };
        found.sort_unstable();
        found
    }

    /// Whether a contact is found by an id that it has.
    pub(crate) fn knows(&self, contact_id: &[u8], source: &str, id: &str) -> bool {
        let hash = hash_of(source, id);
        is_told_by_itself(contact_id, source, id)
            || self.ties.read().find(hash, |tie| tie.is(hash, contact_id)).is_some()
    }

    /// Bytes of memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let ties = self.ties.read();
        let ids: usize = ties.iter().map(|tie| tie.contact_id.len()).sum();
        ids + ties.capacity() * ENTRY_OVERHEAD
    }
}

impl Tie {
    fn is(&self, hash: u64, contact_id: &[u8]) -> bool {
        self.hash == hash && *self.contact_id == *contact_id
    }
}

fn is_told_by_itself(contact_id: &[u8], source: &str, id: &str) -> bool {
    contact_id_of(source.as_bytes(), id.as_bytes()).as_bytes() == contact_id
}

fn hash_of(source: &str, id: &str) -> u64 {
    id_hash(source.as_bytes(), id.as_bytes())
}
