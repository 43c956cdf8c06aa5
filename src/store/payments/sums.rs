//! What payments add up to, in whole minor units. The sums have room for more payments than there can be.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::domain::payment::{Currency, PaymentFacts, PaymentStatus};

use super::super::reader::Reader;
use super::Payments;

/// What payments of one currency come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurrencyTotals {
    /// How many they are.
    pub payments: u64,
    /// Nobody has said how they ended.
    pub pending: u128,
    /// Were paid, what was given back of them included.
    pub paid: u128,
    /// Was given back of what was paid.
    pub refunded: u128,
    /// Were not paid.
    pub failed: u128,
    /// What refunds say beyond what was paid.
    pub unmatched: u128,
}

impl CurrencyTotals {
    /// What was paid and not given back.
    pub fn net(&self) -> u128 {
        self.paid.saturating_sub(self.refunded)
    }

    fn amount_of(&mut self, status: PaymentStatus) -> &mut u128 {
        match status {
            PaymentStatus::Pending => &mut self.pending,
            PaymentStatus::Failed => &mut self.failed,
            PaymentStatus::Succeeded
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded => &mut self.paid,
        }
    }

    pub(super) fn add(&mut self, facts: &PaymentFacts) {
        self.payments += 1;
        *self.amount_of(facts.status) += u128::from(facts.money.map_or(0, |money| money.amount));
        self.refunded += u128::from(facts.refunded);
        self.unmatched += u128::from(facts.unmatched);
    }

    pub(super) fn subtract(&mut self, facts: &PaymentFacts) {
        self.payments -= 1;
        *self.amount_of(facts.status) -= u128::from(facts.money.map_or(0, |money| money.amount));
        self.refunded -= u128::from(facts.refunded);
        self.unmatched -= u128::from(facts.unmatched);
    }

    /// With those of another contact.
    #[must_use]
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.payments += other.payments;
        self.pending += other.pending;
        self.paid += other.paid;
        self.refunded += other.refunded;
        self.failed += other.failed;
        self.unmatched += other.unmatched;
        self
    }
}

/// What some payments come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentSum {
    /// How many they are.
    pub payments: u64,
    /// Their amounts.
    pub amount: u128,
    /// What was given back of them.
    pub refunded: u128,
}

impl PaymentSum {
    pub(super) fn add(&mut self, facts: &PaymentFacts) {
        self.payments += 1;
        self.amount += u128::from(facts.money.map_or(0, |money| money.amount));
        self.refunded += u128::from(facts.refunded);
    }

    pub(super) fn subtract(&mut self, facts: &PaymentFacts) {
        self.payments -= 1;
        self.amount -= u128::from(facts.money.map_or(0, |money| money.amount));
        self.refunded -= u128::from(facts.refunded);
    }
}

/// What payments are grouped by, besides their currency: amounts of two are never added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentGrouping {
    /// By status.
    pub by_status: bool,
    /// By the day of their first event, in UTC.
    pub by_day: bool,
}

/// Payments that share all that they are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentGroup {
    /// Days since 1970, where they are grouped by that.
    pub day: Option<u32>,
    /// Their currency; none: nobody has said.
    pub currency: Option<Currency>,
    /// Their status, where they are grouped by that.
    pub status: Option<PaymentStatus>,
    /// What they come to.
    pub sum: PaymentSum,
}

impl Reader {
    /// What the payments of some days come to, the first days first; at most so many groups, and whether there
    /// are more.
    pub fn payment_groups(
        &self,
        by: PaymentGrouping,
        days: RangeInclusive<u32>,
        groups_max: usize,
    ) -> (Vec<PaymentGroup>, bool) {
        self.shared().payments.groups(by, days, groups_max)
    }

    /// How many payments there are of each status.
    pub fn payment_counts(&self) -> BTreeMap<PaymentStatus, u64> {
        let by = PaymentGrouping { by_status: true, by_day: false };
        let (groups, _) = self.payment_groups(by, 0..=u32::MAX, usize::MAX);
        let mut counts = BTreeMap::new();
        for group in groups {
            if let Some(status) = group.status {
                *counts.entry(status).or_default() += group.sum.payments;
            }
        }
        counts
    }
}

impl Payments {
    fn groups(
        &self,
        by: PaymentGrouping,
        days: RangeInclusive<u32>,
        groups_max: usize,
    ) -> (Vec<PaymentGroup>, bool) {
        let index = self.0.read();
        let mut groups: BTreeMap<_, PaymentSum> = BTreeMap::new();
        let from = (*days.start(), None, PaymentStatus::Pending);
        for ((day, currency, status), sum) in index.spread.range(from..) {
            if day > days.end() {
                break;
            }
            let key = (by.by_day.then_some(*day), *currency, by.by_status.then_some(*status));
            if groups.len() == groups_max && !groups.contains_key(&key) {
                // Days come in order: what comes now is of the last one, or later.
                return (listed(groups), true);
            }
            let all = groups.entry(key).or_default();
            all.payments += sum.payments;
            all.amount += sum.amount;
            all.refunded += sum.refunded;
        }
        (listed(groups), false)
    }
}

type GroupKey = (Option<u32>, Option<Currency>, Option<PaymentStatus>);

fn listed(groups: BTreeMap<GroupKey, PaymentSum>) -> Vec<PaymentGroup> {
    let group = |((day, currency, status), sum)| PaymentGroup { day, currency, status, sum };
    groups.into_iter().map(group).collect()
}

/// Every currency that is among some, with what it comes to.
pub(super) fn together(
    all: impl Iterator<Item = (Currency, CurrencyTotals)>,
) -> Vec<(Currency, CurrencyTotals)> {
    let mut totals: BTreeMap<Currency, CurrencyTotals> = BTreeMap::new();
    for (currency, of_one) in all {
        let at = totals.entry(currency).or_default();
        *at = at.and(&of_one);
    }
    totals.into_iter().collect()
}
