//! Payments: one, those of a contact, and what they come to.

use std::ops::RangeInclusive;

use serde_json::from_str;

use super::{Queries, QueryError};
use crate::domain::contact::ContactView;
use crate::domain::merge_notes::MERGED_FROM;
use crate::domain::payment::{Currency, PaymentRecord};
use crate::store::{
    ChangeRef, CurrencyTotals, HistoryEntry, PaymentGroup, PaymentGrouping, PaymentKey,
    PaymentPage, StoreError, StoredPayment,
};

/// Contacts that were merged into one, whose payments are its own as well.
const MERGED_MAX: usize = 1_000;

/// Payments of a contact.
#[derive(Debug)]
pub struct FoundPayments {
    /// Some of them.
    pub page: PaymentPage,
    /// What all of them come to.
    pub totals: Vec<(Currency, CurrencyTotals)>,
}

/// Changes of a payment, newest first.
#[derive(Debug)]
pub struct PaymentHistory {
    /// The changes, with the payment after each.
    pub changes: Vec<(HistoryEntry, PaymentRecord)>,
    /// Where to go on; none: there are no more, or the journal does not reach further.
    pub next: Option<u64>,
}

impl Queries {
    /// The payments of that id: one, unless several contacts have one of it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payments_named(&self, id: &str) -> Result<Vec<StoredPayment>, QueryError> {
        Ok(self.reader.payments_named(id.as_bytes())?)
    }

    /// As it is shown.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payment_record(&self, stored: &StoredPayment) -> Result<PaymentRecord, QueryError> {
        Ok(self.reader.payment_record(stored)?)
    }

    /// Payments of a contact and of those that were merged into it, newest first; none: there is neither a
    /// contact of that id nor a payment of one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payments_of(
        &self,
        contact_id: &str,
        after: Option<PaymentKey>,
        limit: usize,
    ) -> Result<Option<FoundPayments>, QueryError> {
        let contact = self.reader.contact(contact_id.as_bytes())?;
        let mut ids = vec![contact_id.to_owned()];
        if let Some(contact) = &contact {
            ids.extend(merged_from(&contact.view().map_err(StoreError::from)?));
        }
        let ids: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect();
        let page = self.reader.payments_of(&ids, after, limit)?;
        if contact.is_none() && page.total == 0 {
            return Ok(None);
        }
        Ok(Some(FoundPayments { page, totals: self.reader.payment_totals(&ids) }))
    }

    /// What became of a payment.
    ///
    /// # Errors
    /// When the store fails.
    pub fn payment_history(
        &self,
        stored: &StoredPayment,
        limit: usize,
        before: Option<u64>,
    ) -> Result<PaymentHistory, QueryError> {
        let before = before.map(ChangeRef);
        let mut changes = self.reader.payment_history(stored, limit + 1, before)?;
        let has_more = changes.len() > limit;
        changes.truncate(limit);
        let next = changes.last().filter(|_| has_more).map(|(entry, _)| entry.change.0);
        Ok(PaymentHistory { changes, next })
    }

    /// What payments of some days come to: at most so many groups, and whether there are more.
    pub fn payment_groups(
        &self,
        by: PaymentGrouping,
        days: RangeInclusive<u32>,
        groups_max: usize,
    ) -> (Vec<PaymentGroup>, bool) {
        self.reader.payment_groups(by, days, groups_max)
    }
}

/// Whom a contact has taken in.
fn merged_from(contact: &ContactView<'_>) -> Vec<String> {
    let noted = contact.attributes().find(|(name, _)| *name == MERGED_FROM);
    let mut ids: Vec<String> = noted.and_then(|(_, list)| from_str(list).ok()).unwrap_or_default();
    ids.truncate(MERGED_MAX);
    ids
}
