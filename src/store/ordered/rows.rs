//! What the indexes know of each contact: its id and what it is found and sorted by, under a slot
//! number.

use hashbrown::HashTable;

use super::super::codec::id_hash;
use super::Index;
use super::keys::SortKeys;
use super::sorted::Prefix;

/// One contact.
#[derive(Debug)]
pub(super) struct Row {
    /// Id, names (first, last and first again, so that either order is one piece), e-mail, company
    /// and source, one after the other.
    texts: Box<[u8]>,
    id_len: u16,
    first_len: u8,
    last_len: u8,
    email_len: u8,
    company_len: u8,
    pub(super) active: bool,
    pub(super) updated_at_us: u64,
    pub(super) created_at_us: u64,
    pub(super) changed_at_us: u64,
}

impl Row {
    pub(super) fn new(id: &[u8], keys: &SortKeys) -> Self {
        let SortKeys { first, last, email, company, source, .. } = keys;
        let pieces: [&[u8]; 9] = if first.is_empty() || last.is_empty() {
            [id, first, last, email, company, source, &[], &[], &[]]
        } else {
            [id, first, b" ", last, b" ", first, email, company, source]
        };
        Self {
            texts: pieces.concat().into_boxed_slice(),
            id_len: id.len() as u16,
            first_len: first.len() as u8,
            last_len: last.len() as u8,
            email_len: email.len() as u8,
            company_len: company.len() as u8,
            active: keys.active,
            updated_at_us: keys.updated_at_us,
            created_at_us: keys.created_at_us,
            changed_at_us: keys.changed_at_us,
        }
    }

    pub(super) fn id(&self) -> &[u8] {
        self.texts.get(..usize::from(self.id_len)).unwrap_or_default()
    }

    fn has_both_names(&self) -> bool {
        self.first_len > 0 && self.last_len > 0
    }

    fn names_len(&self) -> usize {
        let (first, last) = (usize::from(self.first_len), usize::from(self.last_len));
        if self.has_both_names() { 2 * first + last + 2 } else { first + last }
    }

    /// What it is sorted by where that is a text; empty where it is a number or the id.
    pub(super) fn text(&self, index: Index) -> &[u8] {
        let names = usize::from(self.id_len);
        let email = names + self.names_len();
        let company = email + usize::from(self.email_len);
        let source = company + usize::from(self.company_len);
        let text = match index {
            Index::Id | Index::UpdatedAt | Index::CreatedAt | Index::ChangedAt => None,
            Index::Name => {
                let skipped =
                    if self.has_both_names() { usize::from(self.first_len) + 1 } else { 0 };
                self.texts.get(names + skipped..email)
            }
            Index::FirstName => {
                let len = usize::from(self.first_len) + 1 + usize::from(self.last_len);
                self.texts.get(names..names + len).filter(|_| self.has_both_names())
            }
            Index::Email => self.texts.get(email..company),
            Index::Company => self.texts.get(company..source),
            Index::Source => self.texts.get(source..),
        };
        text.unwrap_or_default()
    }

    /// Whether an index holds it; those of what need not be there hold no empty texts.
    pub(super) fn is_in(&self, index: Index) -> bool {
        index.holds_all() || !self.text(index).is_empty()
    }

    /// What it is sorted by where that is a number.
    pub(super) fn number(&self, index: Index) -> Option<u64> {
        match index {
            Index::UpdatedAt => Some(self.updated_at_us),
            Index::CreatedAt => Some(self.created_at_us),
            Index::ChangedAt => Some(self.changed_at_us),
            Index::Id
            | Index::Name
            | Index::FirstName
            | Index::Email
            | Index::Company
            | Index::Source => None,
        }
    }

    pub(super) fn prefix(&self, index: Index) -> Prefix {
        match self.number(index) {
            Some(number) => Prefix::of_number(number),
            None if index == Index::Id => Prefix::of_text(self.id()),
            None => Prefix::of_text(self.text(index)),
        }
    }

    /// The sort key as a page's end carries it.
    pub(super) fn sort(&self, index: Index) -> Vec<u8> {
        match self.number(index) {
            Some(number) => number.to_be_bytes().to_vec(),
            None => self.text(index).to_vec(),
        }
    }

    fn has_names_of(&self, keys: &SortKeys) -> bool {
        let first_len = usize::from(self.first_len);
        let names = self.texts.get(usize::from(self.id_len)..).unwrap_or_default();
        let first = names.get(..first_len).unwrap_or_default();
        let last_at = first_len + usize::from(self.has_both_names());
        let last = names.get(last_at..last_at + usize::from(self.last_len)).unwrap_or_default();
        first == keys.first && last == keys.last
    }

    /// Whether those values give it another place in an index.
    pub(super) fn moves(&self, index: Index, keys: &SortKeys) -> bool {
        self.active != keys.active
            || match index {
                Index::Id => false,
                Index::UpdatedAt => self.updated_at_us != keys.updated_at_us,
                Index::CreatedAt => self.created_at_us != keys.created_at_us,
                Index::ChangedAt => self.changed_at_us != keys.changed_at_us,
                Index::Name | Index::FirstName => !self.has_names_of(keys),
                Index::Email => self.text(index) != keys.email,
                Index::Company => self.text(index) != keys.company,
                Index::Source => self.text(index) != keys.source,
            }
    }

    fn has_texts_of(&self, keys: &SortKeys) -> bool {
        self.has_names_of(keys)
            && self.text(Index::Email) == keys.email
            && self.text(Index::Company) == keys.company
            && self.text(Index::Source) == keys.source
    }

    fn set_numbers(&mut self, keys: &SortKeys) {
        self.active = keys.active;
        self.updated_at_us = keys.updated_at_us;
        self.created_at_us = keys.created_at_us;
        self.changed_at_us = keys.changed_at_us;
    }
}

/// All rows, found by id. Contacts never go (a deleted one is DELETED), so neither do slots.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    slots: HashTable<u32>,
    text_bytes: usize,
}

impl Rows {
    pub(super) fn find(&self, id: &[u8]) -> Option<u32> {
        let is_it = |slot: &u32| self.get(*slot).is_some_and(|row| row.id() == id);
        self.slots.find(id_hash(id), is_it).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Row> {
        self.rows.get(slot as usize)
    }

    pub(super) fn id(&self, slot: u32) -> &[u8] {
        self.get(slot).map_or(&[], Row::id)
    }

    /// Takes new values for a row's, keeping its id.
    pub(super) fn replace(&mut self, slot: u32, keys: &SortKeys) {
        let Some(row) = self.rows.get_mut(slot as usize) else {
            return;
        };
        if row.has_texts_of(keys) {
            row.set_numbers(keys);
            return;
        }
        let new = Row::new(row.id(), keys);
        self.text_bytes += new.texts.len();
        self.text_bytes -= row.texts.len();
        *row = new;
    }

    /// Takes a contact's values, new or not.
    pub(super) fn put(&mut self, id: &[u8], keys: &SortKeys) {
        match self.find(id) {
            Some(slot) => self.replace(slot, keys),
            None => {
                self.add(Row::new(id, keys));
            }
        }
    }

    /// Adds a row whose id has none yet.
    pub(super) fn add(&mut self, row: Row) -> u32 {
        let slot = self.rows.len() as u32;
        let hash = id_hash(row.id());
        self.text_bytes += row.texts.len();
        self.rows.push(row);
        let rows = &self.rows;
        self.slots.insert_unique(hash, slot, |slot| {
            rows.get(*slot as usize).map_or(0, |row| id_hash(row.id()))
        });
        slot
    }

    pub(super) fn bytes(&self) -> usize {
        self.text_bytes
            + self.rows.capacity() * size_of::<Row>()
            + self.slots.capacity() * (size_of::<u32>() + 1) * 8 / 7
    }
}
