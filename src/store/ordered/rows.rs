//! What the indexes know of each contact: its id and what it is sorted by, under a slot number.

use hashbrown::HashTable;

use super::super::codec::id_hash;
use super::sorted::Prefix;
use super::{SortKeys, SortOrder};

/// Bytes of a text by which contacts are sorted; texts alike so far go by id.
pub(super) const TEXT_BYTES_MAX: usize = 64;

/// One contact.
#[derive(Debug)]
pub(super) struct Row {
    /// Id, name and company, one after the other.
    texts: Box<[u8]>,
    id_len: u16,
    name_len: u8,
    pub(super) active: bool,
    updated_at_ms: u64,
    created_at_ms: u64,
    /// Hash of its e-mail; 0: none.
    pub(super) email: u64,
}

impl Row {
    pub(super) fn new(id: &[u8], keys: &SortKeys) -> Self {
        let mut texts = Vec::with_capacity(id.len() + keys.name.len() + keys.company.len());
        texts.extend_from_slice(id);
        texts.extend_from_slice(&keys.name);
        texts.extend_from_slice(&keys.company);
        Self {
            texts: texts.into_boxed_slice(),
            id_len: id.len() as u16,
            name_len: keys.name.len() as u8,
            active: keys.active,
            updated_at_ms: keys.updated_at_ms,
            created_at_ms: keys.created_at_ms,
            email: keys.email,
        }
    }

    pub(super) fn id(&self) -> &[u8] {
        self.texts.get(..usize::from(self.id_len)).unwrap_or_default()
    }

    pub(super) fn has_texts_of(&self, keys: &SortKeys) -> bool {
        self.text(SortOrder::Name) == keys.name && self.text(SortOrder::Company) == keys.company
    }

    /// Whether those values give it another place in an order.
    pub(super) fn moves(&self, order: SortOrder, keys: &SortKeys) -> bool {
        self.active != keys.active
            || match order {
                SortOrder::Id => false,
                SortOrder::UpdatedAt => self.updated_at_ms != keys.updated_at_ms,
                SortOrder::CreatedAt => self.created_at_ms != keys.created_at_ms,
                SortOrder::Name => self.text(order) != keys.name,
                SortOrder::Company => self.text(order) != keys.company,
            }
    }

    fn set_numbers(&mut self, keys: &SortKeys) {
        self.active = keys.active;
        self.updated_at_ms = keys.updated_at_ms;
        self.created_at_ms = keys.created_at_ms;
        self.email = keys.email;
    }

    /// What it is sorted by where that is a text; the rest goes by number or by id.
    pub(super) fn text(&self, order: SortOrder) -> &[u8] {
        let name_at = usize::from(self.id_len);
        let company_at = name_at + usize::from(self.name_len);
        let text = match order {
            SortOrder::Name => self.texts.get(name_at..company_at),
            SortOrder::Company => self.texts.get(company_at..),
            SortOrder::Id | SortOrder::UpdatedAt | SortOrder::CreatedAt => None,
        };
        text.unwrap_or_default()
    }

    pub(super) fn prefix(&self, order: SortOrder) -> Prefix {
        match order {
            SortOrder::UpdatedAt => Prefix::of_number(self.updated_at_ms),
            SortOrder::CreatedAt => Prefix::of_number(self.created_at_ms),
            SortOrder::Name | SortOrder::Company => Prefix::of_text(self.text(order)),
            SortOrder::Id => Prefix::of_text(self.id()),
        }
    }

    /// The sort key as a page's end carries it.
    pub(super) fn sort(&self, order: SortOrder) -> Vec<u8> {
        match order {
            SortOrder::UpdatedAt => self.updated_at_ms.to_be_bytes().to_vec(),
            SortOrder::CreatedAt => self.created_at_ms.to_be_bytes().to_vec(),
            SortOrder::Name | SortOrder::Company => self.text(order).to_vec(),
            SortOrder::Id => Vec::new(),
        }
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
