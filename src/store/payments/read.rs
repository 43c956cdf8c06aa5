//! Payments as readers ask for them: one by its id, those of a contact, and what became of one.

use std::cmp::Reverse;

use crate::domain::contact::CorruptContact;
use crate::domain::payment::{Currency, Payment, PaymentRecord, of_row, row_id};

use super::super::StoreError;
use super::super::codec::{ChangeRef, StoredContact, id_hash};
use super::super::history::{self, HistoryEntry};
use super::super::reader::Reader;
use super::sums::together;
use super::{CurrencyTotals, Payments};

/// A payment's place in a list: the time of its first event in µs since 1970, and a hash of its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaymentKey {
    /// The time.
    pub created_us: u64,
    /// The hash.
    pub hash: u64,
}

/// A payment as it is stored.
#[derive(Clone, Debug)]
pub struct StoredPayment {
    /// Of its row.
    id: Box<[u8]>,
    value: StoredContact,
}

impl StoredPayment {
    /// From a row's id and value.
    pub fn new(id: impl Into<Box<[u8]>>, value: StoredContact) -> Self {
        Self { id: id.into(), value }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn payment(&self) -> Result<Payment<'_>, CorruptContact> {
        Payment::parse(self.value.body())
    }

    /// Whose it is.
    pub fn contact_id(&self) -> &[u8] {
        of_row(&self.id).map_or(&[], |(contact, _)| contact)
    }
}

/// Some payments of a contact, newest first.
#[derive(Debug)]
pub struct PaymentPage {
    /// The payments.
    pub payments: Vec<PaymentRecord>,
    /// Where to go on; none: those were all.
    pub rest: Option<PaymentKey>,
    /// How many the contact has.
    pub total: u64,
}

/// Where a row stands in a list, and its id.
type PlacedRow = (PaymentKey, Box<[u8]>);

impl Payments {
    /// Rows of a payment of that id: one, unless several contacts have one.
    fn rows_of(&self, payment_id: &[u8]) -> Vec<Box<[u8]>> {
        let index = self.0.read();
        let found = index.by_payment.iter_hash(id_hash(payment_id));
        let ids = found.filter_map(|number| index.rows.get(*number as usize));
        let mut rows: Vec<_> = ids.cloned().collect();
        rows.retain(|id| of_row(id).is_some_and(|(_, payment)| payment == payment_id));
        rows.sort_unstable();
        rows
    }

    /// Rows of some contacts, newest first, after a place; one more than the limit where there is one.
    pub(super) fn page(
        &self,
        contact_ids: &[&[u8]],
        after: Option<PaymentKey>,
        limit: usize,
    ) -> (Vec<PlacedRow>, u64) {
        let index = self.0.read();
        let of_contacts = || contact_ids.iter().filter_map(|id| index.of_contact(id));
        let total = of_contacts().map(|at| at.list.len() as u64).sum();
        let end = after.map_or((u64::MAX, u64::MAX), |at| (at.created_us, at.hash));
        let mut found = Vec::new();
        for at in of_contacts() {
            let before = at.list.range(..(end, 0)).rev().take(limit + 1);
            found.extend(before.filter_map(|((created_us, hash), number)| {
                let key = PaymentKey { created_us: *created_us, hash: *hash };
                Some((key, index.rows.get(*number as usize)?.clone()))
            }));
        }
        found.sort_unstable_by_key(|(key, _)| Reverse(*key));
        found.truncate(limit + 1);
        (found, total)
    }

    pub(super) fn totals(&self, contact_ids: &[&[u8]]) -> Vec<(Currency, CurrencyTotals)> {
        let index = self.0.read();
        let all = contact_ids.iter().filter_map(|id| index.of_contact(id));
        together(all.flat_map(|at| at.totals.iter().copied()))
    }

    /// Whether a payment is in the list of its contact, at the place that it says.
    pub(crate) fn lists(&self, id: &[u8], payment: &Payment<'_>) -> bool {
        let index = self.0.read();
        let Some((contact_id, payment_id)) = of_row(id) else {
            return false;
        };
        let number = index.number_of(id, payment_id);
        let key = (payment.facts().created_us, id_hash(id));
        number
            .zip(index.of_contact(contact_id))
            .is_some_and(|(number, at)| at.list.contains(&(key, number)))
    }
}

impl Reader {
    /// Payments of that id: one, unless several contacts have one of it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payments_named(&self, payment_id: &[u8]) -> Result<Vec<StoredPayment>, StoreError> {
        let rows = self.shared().payments.rows_of(payment_id);
        let stored = rows.into_iter().filter_map(|id| self.payment_row(id).transpose());
        stored.collect()
    }

    /// A contact's payment.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payment(
        &self,
        contact_id: &[u8],
        payment_id: &[u8],
    ) -> Result<Option<StoredPayment>, StoreError> {
        self.payment_row(row_id(contact_id, payment_id).into())
    }

    fn payment_row(&self, id: Box<[u8]>) -> Result<Option<StoredPayment>, StoreError> {
        let value = self.shared().contacts.get(&id)?;
        Ok(value.map(|value| StoredPayment { id, value }))
    }

    /// As it is shown: what tells of a person is left out where the contact was erased since.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payment_record(&self, stored: &StoredPayment) -> Result<PaymentRecord, StoreError> {
        let (id, body) = (&stored.id, stored.value.body());
        self.record_of(id, body)
    }

    pub(crate) fn record_of(&self, id: &[u8], body: &[u8]) -> Result<PaymentRecord, StoreError> {
        let ids = of_row(id).unwrap_or_default();
        let payment =
            Payment::parse(body).map_err(|error| self.shared().commits.fail(error.into()))?;
        let payment = payment.since_erased(self.last_erased(ids.0)?);
        Ok(PaymentRecord::of(ids, &payment))
    }

    /// Payments of some contacts together, newest first: at most `limit` after a place.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payments_of(
        &self,
        contact_ids: &[&[u8]],
        after: Option<PaymentKey>,
        limit: usize,
    ) -> Result<PaymentPage, StoreError> {
        let (mut rows, total) = self.shared().payments.page(contact_ids, after, limit);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let rest = rows.last().map(|(key, _)| *key).filter(|_| has_more);
        let mut payments = Vec::with_capacity(rows.len());
        for (_, id) in rows {
            if let Some(stored) = self.payment_row(id)? {
                payments.push(self.payment_record(&stored)?);
            }
        }
        Ok(PaymentPage { payments, rest, total })
    }

    /// What payments of some contacts come to, by currency.
    pub fn payment_totals(&self, contact_ids: &[&[u8]]) -> Vec<(Currency, CurrencyTotals)> {
        self.shared().payments.totals(contact_ids)
    }

    /// How many payments there are.
    pub fn payments_total(&self) -> usize {
        self.shared().payments.len()
    }

    /// The changes of a payment, newest first, each with the payment as it was after it: at most `limit`,
    /// older than `before`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payment_history(
        &self,
        stored: &StoredPayment,
        limit: usize,
        before: Option<ChangeRef>,
    ) -> Result<Vec<(HistoryEntry, PaymentRecord)>, StoreError> {
        let journal = &self.shared().journal;
        let found = history::history(journal, &stored.id, stored.value.change(), limit, before)?;
        let shown = found.into_iter().map(|entry| {
            let record = self.record_of(&stored.id, entry.body())?;
            Ok((entry, record))
        });
        shown.collect()
    }
}
