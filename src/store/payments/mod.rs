//! Payments by contact, by id and by day, in memory: filled by the scan at open and by every commit, before
//! it can be read. Each payment is a stored row of its own; what a contact has paid in all is added up here,
//! in whole minor units, and is at any time the sum over its rows.

mod read;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::domain::contact::CorruptContact;
use crate::domain::payment::{Currency, Payment, PaymentFacts, PaymentStatus, of_row};

use super::codec::id_hash;
pub use read::{PaymentKey, PaymentPage, StoredPayment};
pub use sums::{CurrencyTotals, PaymentGroup, PaymentGrouping, PaymentSum};

/// What a payment takes in memory beside its row's id, about.
const ROW_OVERHEAD: usize = 96;
/// What a contact with payments takes, about.
const CONTACT_OVERHEAD: usize = 320;
/// What a day, currency and status take, about.
const SUM_OVERHEAD: usize = 96;

/// All payments.
#[derive(Debug, Default)]
pub(crate) struct Payments(RwLock<Index>);

/// A payment's place among those of its contact: by the time of its first event, then by a hash of its id.
type ListKey = (u64, u64);

#[derive(Debug, Default)]
struct Index {
    /// Ids of rows; nothing is ever taken out.
    rows: Vec<Box<[u8]>>,
    /// Places in `rows`, by [`id_hash`] of the payment's id.
    by_payment: HashTable<u32>,
    /// By [`id_hash`] of the contact's id.
    contacts: HashTable<OfContact>,
    /// By day since 1970, currency and status.
    spread: BTreeMap<SpreadKey, PaymentSum>,
    bytes: usize,
}

type SpreadKey = (u32, Option<Currency>, PaymentStatus);

/// The payments of a contact.
#[derive(Debug)]
struct OfContact {
    id: Box<[u8]>,
    list: BTreeSet<(ListKey, u32)>,
    totals: Vec<(Currency, CurrencyTotals)>,
}

impl Payments {
    /// Takes what a payment has become; `before`: the body that it had.
    ///
    /// # Errors
    /// Where one of them can't be read.
    pub(crate) fn take(
        &self,
        id: &[u8],
        before: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(), CorruptContact> {
        let facts = |body| Payment::parse(body).map(|payment| payment.facts());
        let (before, now) = (before.map(facts).transpose()?, facts(body)?);
        if before != Some(now) {
            self.0.write().take(id, before, now);
        }
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.read().rows.len()
    }

    /// Whether both come to the same.
    pub(crate) fn adds_up_to(&self, other: &Self) -> bool {
        let (index, other) = (self.0.read(), other.0.read());
        let totals = |of: &OfContact| (of.list.len(), of.totals.clone());
        index.spread == other.spread
            && index.contacts.len() == other.contacts.len()
            && index
                .contacts
                .iter()
                .all(|at| other.of_contact(&at.id).is_some_and(|there| totals(there) == totals(at)))
    }

    /// Bytes of memory that they take, about.
    pub(crate) fn bytes(&self) -> usize {
        let index = self.0.read();
        index.bytes
            + index.rows.len() * ROW_OVERHEAD
            + index.contacts.len() * CONTACT_OVERHEAD
            + index.spread.len() * SUM_OVERHEAD
    }
}

impl Index {
    fn take(&mut self, id: &[u8], before: Option<PaymentFacts>, now: PaymentFacts) {
        let Some((contact_id, payment_id)) = of_row(id) else {
            return;
        };
        let number = match before {
            Some(_) => self.number_of(id, payment_id),
            None => self.insert(id, payment_id),
        };
        let Some(number) = number else {
            return;
        };
        let (hash, row_hash) = (id_hash(contact_id), id_hash(id));
        let at = self.contacts.entry(hash, |at| *at.id == *contact_id, |at| id_hash(&at.id));
        let mut at = at.or_insert_with(|| OfContact {
            id: contact_id.into(),
            list: BTreeSet::new(),
            totals: Vec::new(),
        });
        let of_contact = at.get_mut();
        if let Some(before) = before {
            of_contact.totals_of(&before, CurrencyTotals::subtract);
            of_contact.list.remove(&((before.created_us, row_hash), number));
        }
        of_contact.totals_of(&now, CurrencyTotals::add);
        of_contact.list.insert(((now.created_us, row_hash), number));
        if let Some(before) = before {
            let key = spread_key(&before);
            if let Some(sum) = self.spread.get_mut(&key) {
                sum.subtract(&before);
                if sum.payments == 0 {
                    self.spread.remove(&key);
                }
            }
        }
        self.spread.entry(spread_key(&now)).or_default().add(&now);
    }

    fn insert(&mut self, id: &[u8], payment_id: &[u8]) -> Option<u32> {
        let number = u32::try_from(self.rows.len()).ok()?;
        self.bytes += id.len();
        self.rows.push(id.into());
        let rows = &self.rows;
        let hash = |number: &u32| {
            let id = rows.get(*number as usize).and_then(|id| of_row(id));
            id.map_or(0, |(_, payment)| id_hash(payment))
        };
        self.by_payment.insert_unique(id_hash(payment_id), number, hash);
        Some(number)
    }

    fn number_of(&self, id: &[u8], payment_id: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| self.rows.get(*number as usize).is_some_and(|at| **at == *id);
        self.by_payment.find(id_hash(payment_id), is_it).copied()
    }

    fn of_contact(&self, contact_id: &[u8]) -> Option<&OfContact> {
        self.contacts.find(id_hash(contact_id), |at| *at.id == *contact_id)
    }
}

impl OfContact {
    /// Those of the payment's currency; where nobody has said which, it is in none.
    fn totals_of(&mut self, facts: &PaymentFacts, change: fn(&mut CurrencyTotals, &PaymentFacts)) {
        let Some(money) = facts.money else {
            return;
        };
        let at = match self.totals.binary_search_by_key(&money.currency, |(currency, _)| *currency)
        {
            Ok(at) => at,
            Err(at) => {
                self.totals.insert(at, (money.currency, CurrencyTotals::default()));
                at
            }
        };
        if let Some((_, totals)) = self.totals.get_mut(at) {
            change(totals, facts);
            if totals.payments == 0 {
                self.totals.remove(at);
            }
        }
    }
}

fn spread_key(facts: &PaymentFacts) -> SpreadKey {
    let day = facts.created_us / 86_400_000_000;
    let currency = facts.money.map(|money| money.currency);
    (u32::try_from(day).unwrap_or(u32::MAX), currency, facts.status)
}
