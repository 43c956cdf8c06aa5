//! A point in an index that its entries are compared with.

use std::cmp::Ordering;

use super::rows::{Row, Rows};
use super::sorted::Prefix;
use super::{Index, PageKey};

/// Where among all that are sorted by the same.
#[derive(Clone, Copy, Debug)]
enum Tail<'a> {
    /// Before all of them.
    First,
    /// At an id.
    Id(&'a [u8]),
    /// After all of them.
    Last,
    /// After all whose text begins with the text.
    AfterBeginning,
}

/// The point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    index: Index,
    /// Of what it is sorted by.
    pub(super) prefix: Prefix,
    number: u64,
    text: &'a [u8],
    tail: Tail<'a>,
}

impl<'a> Probe<'a> {
    pub(super) fn of_row(row: &'a Row, index: Index) -> Self {
        let number = row.number(index).unwrap_or_default();
        let (prefix, text) = (row.prefix(index), row.text(index));
        Self { index, prefix, number, text, tail: Tail::Id(row.id()) }
    }

    /// Where a page that goes on strictly after the key begins.
    pub(super) fn of_key(index: Index, key: &'a PageKey, descending: bool) -> Self {
        let tail = match (key.id.as_slice(), descending) {
            ([], false) => Tail::First,
            ([], true) => Tail::Last,
            (id, _) => Tail::Id(id),
        };
        match index {
            Index::UpdatedAt | Index::CreatedAt | Index::ChangedAt => {
                let number = key.sort.first_chunk::<8>().map_or(0, |n| u64::from_be_bytes(*n));
                Self { index, prefix: Prefix::of_number(number), number, text: &[], tail }
            }
            Index::Id => {
                let prefix = Prefix::of_text(&key.id);
                Self { index, prefix, number: 0, text: &[], tail }
            }
            Index::Name | Index::FirstName | Index::Email | Index::Company | Index::Source => {
                Self { tail, ..Self::first(index, &key.sort) }
            }
        }
    }

    /// Before all of a number.
    pub(super) fn from_number(index: Index, number: u64) -> Self {
        let prefix = Prefix::of_number(number);
        Self { index, prefix, number, text: &[], tail: Tail::First }
    }

    /// Before all of a text.
    pub(super) fn first(index: Index, text: &'a [u8]) -> Self {
        Self { index, prefix: Prefix::of_text(text), number: 0, text, tail: Tail::First }
    }

    /// After all of a text.
    pub(super) fn last(index: Index, text: &'a [u8]) -> Self {
        Self { tail: Tail::Last, ..Self::first(index, text) }
    }

    /// After all that begin with a text.
    pub(super) fn after_beginning(index: Index, text: &'a [u8]) -> Self {
        let prefix = Prefix::after_text(text);
        Self { prefix, tail: Tail::AfterBeginning, ..Self::first(index, text) }
    }

    /// How the row there compares with this point.
    pub(super) fn against(&self, rows: &Rows, slot: u32) -> Ordering {
        let Some(row) = rows.get(slot) else {
            return Ordering::Less;
        };
        let by_value = match row.number(self.index) {
            Some(number) => number.cmp(&self.number),
            None if self.index == Index::Id => Ordering::Equal,
            None => {
                let text = row.text(self.index);
                match self.tail {
                    Tail::AfterBeginning if text.starts_with(self.text) => Ordering::Less,
                    Tail::AfterBeginning | Tail::First | Tail::Id(_) | Tail::Last => {
                        text.cmp(self.text)
                    }
                }
            }
        };
        by_value.then_with(|| match self.tail {
            Tail::First => Ordering::Greater,
            Tail::Id(id) => row.id().cmp(id),
            Tail::Last | Tail::AfterBeginning => Ordering::Less,
        })
    }
}
