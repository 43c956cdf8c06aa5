//! A payment as it is stored. Its body is flat, little endian:
//!
//! ```text
//! version u64 ‖ changed at u64 (ms + 1, 0: unknown) ‖ flags u8 ‖ newest clock ‖ first u64 ‖ source (u16 length)
//! ‖ [money: clock, amount u64, currency 3 bytes] ‖ [outcome: clock, kind u8, reason (u16 length)]
//! ‖ [card: clock, 4 bytes] ‖ [description: clock, text (u16 length)] ‖ [created: clock, request hash 16 bytes]
//! ‖ count of refunds u16 ‖ per refund, by id: id (u16 length), clock, amount u64, has a currency u8, currency 3 bytes
//! ```
//! All behind the first two numbers is a function of the set of events alone.

use super::currency::Currency;
use super::{Money, Register};
use crate::domain::clock::Clock;
use crate::domain::contact::CorruptContact;
use crate::domain::contact::wire::{Wire, put_bytes_u16, put_clock, put_u64};

const MONEY: u8 = 1;
const OUTCOME: u8 = 1 << 1;
const CARD: u8 = 1 << 2;
const DESCRIPTION: u8 = 1 << 3;
const CREATED: u8 = 1 << 4;
const ALL_FLAGS: u8 = (1 << 5) - 1;

/// Where a payment stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nobody has said how it ended.
    Pending,
    /// It was paid.
    Succeeded,
    /// It was not paid.
    Failed,
    /// Some of it was given back.
    PartiallyRefunded,
    /// All of it was given back.
    Refunded,
}

impl PaymentStatus {
    /// Every status, in order.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Succeeded, Self::Failed, Self::PartiallyRefunded, Self::Refunded];

    /// The text shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::PartiallyRefunded => "PARTIALLY_REFUNDED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It failed.
    Failed,
    /// It was paid.
    Succeeded,
}

/// What was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund<'a> {
    /// Which.
    pub id: &'a [u8],
    /// Who says so, and how much; without a currency it is the payment's.
    pub said: Register<(u64, Option<Currency>)>,
}

/// What is known of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payment<'a> {
    /// Counts the changes of what it says.
    pub version: u64,
    /// When the record came that made the present version, in ms since 1970.
    pub changed_at_ms: Option<u64>,
    /// The clock of the newest event of it, and who told that.
    pub newest: Register<&'a [u8]>,
    /// The time of its first event, in µs since 1970.
    pub first_us: u64,
    /// What is paid.
    pub money: Option<Register<Money>>,
    /// How it ended, and why.
    pub outcome: Option<Register<(Outcome, &'a [u8])>>,
    /// The last four digits of the card.
    pub card: Option<Register<[u8; 4]>>,
    /// What it is for.
    pub description: Option<Register<&'a [u8]>>,
    /// Its newest `payment.created`, with what stands for the request that made it (zeroes: none did).
    pub created: Option<Register<[u8; 16]>>,
    /// By id.
    pub refunds: Vec<Refund<'a>>,
}

/// What totals are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentFacts {
    /// Where it stands.
    pub status: PaymentStatus,
    /// What it is about; none: nobody has said.
    pub money: Option<Money>,
    /// What was given back of what was paid, in minor units.
    pub refunded: u64,
    /// What refunds say beyond that: before it was paid, more than was paid, in another currency.
    pub unmatched: u64,
    /// The time of its first event, in µs since 1970.
    pub created_us: u64,
}

impl<'a> Payment<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What of it can't be read.
    pub fn parse(body: &'a [u8]) -> Result<Self, CorruptContact> {
        let mut wire = Wire::new(body);
        let read = Self::read(&mut wire).filter(|_| wire.rest().is_empty());
        read.ok_or(CorruptContact { bytes: body.len(), part: "payment" })
    }

    fn read(wire: &mut Wire<'a>) -> Option<Self> {
        let version = wire.u64()?;
        let changed_at_ms = wire.u64()?.checked_sub(1);
        let flags = wire.u8().filter(|flags| flags & !ALL_FLAGS == 0)?;
        let newest_clock = wire.clock()?;
        let first_us = wire.u64()?;
        let source = wire.bytes_u16()?;
        let has = |flag: u8| flags & flag != 0;
        let mut payment = Self {
            version,
            changed_at_ms,
            newest: (newest_clock, source),
            first_us,
            ..Self::default()
        };
        if has(MONEY) {
            let clock = wire.clock()?;
            let (amount, currency) = (wire.u64()?, Currency::stored(*wire.array()?)?);
            payment.money = Some((clock, Money { amount, currency }));
        }
        if has(OUTCOME) {
            let clock = wire.clock()?;
            let outcome = match wire.u8()? {
                0 => Outcome::Failed,
                1 => Outcome::Succeeded,
                _ => return None,
            };
            payment.outcome = Some((clock, (outcome, wire.bytes_u16()?)));
        }
        if has(CARD) {
            payment.card = Some((wire.clock()?, *wire.array()?));
        }
        if has(DESCRIPTION) {
            payment.description = Some((wire.clock()?, wire.bytes_u16()?));
        }
        if has(CREATED) {
            payment.created = Some((wire.clock()?, *wire.array()?));
        }
        for _ in 0..wire.u16()? {
            let (id, clock, amount) = (wire.bytes_u16()?, wire.clock()?, wire.u64()?);
            let (has_currency, currency) = (wire.u8()? != 0, *wire.array()?);
            let currency = if has_currency { Some(Currency::stored(currency)?) } else { None };
            payment.refunds.push(Refund { id, said: (clock, (amount, currency)) });
        }
        Some(payment)
    }

    /// Appends its body.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_u64(out, self.version);
        put_u64(out, self.changed_at_ms.map_or(0, |ms| ms.saturating_add(1)));
        let flag = |flag: u8, is_there: bool| if is_there { flag } else { 0 };
        out.push(
            flag(MONEY, self.money.is_some())
                | flag(OUTCOME, self.outcome.is_some())
                | flag(CARD, self.card.is_some())
                | flag(DESCRIPTION, self.description.is_some())
                | flag(CREATED, self.created.is_some()),
        );
        put_clock(out, &self.newest.0);
        put_u64(out, self.first_us);
        put_bytes_u16(out, self.newest.1);
        if let Some((clock, money)) = &self.money {
            put_clock(out, clock);
            put_u64(out, money.amount);
            out.extend_from_slice(&money.currency.bytes());
        }
        if let Some((clock, (outcome, reason))) = &self.outcome {
            put_clock(out, clock);
            out.push(*outcome as u8);
            put_bytes_u16(out, reason);
        }
        if let Some((clock, card)) = &self.card {
            put_clock(out, clock);
            out.extend_from_slice(card);
        }
        if let Some((clock, text)) = &self.description {
            put_clock(out, clock);
            put_bytes_u16(out, text);
        }
        if let Some((clock, hash)) = &self.created {
            put_clock(out, clock);
            out.extend_from_slice(hash);
        }
        out.extend_from_slice(&(self.refunds.len() as u16).to_le_bytes());
        for Refund { id, said: (clock, (amount, currency)) } in &self.refunds {
            put_bytes_u16(out, id);
            put_clock(out, clock);
            put_u64(out, *amount);
            out.push(u8::from(currency.is_some()));
            out.extend_from_slice(&currency.map_or([0; 3], Currency::bytes));
        }
    }

    /// Whether an event of that clock has had its say.
    pub(super) fn has_clock(&self, clock: Clock) -> bool {
        let said = |at: Option<Clock>| at == Some(clock);
        self.newest.0 == clock
            || said(self.money.map(|at| at.0))
            || said(self.outcome.map(|at| at.0))
            || said(self.card.map(|at| at.0))
            || said(self.description.map(|at| at.0))
            || said(self.created.map(|at| at.0))
            || self.refunds.iter().any(|refund| refund.said.0 == clock)
    }

    /// What totals are made of.
    pub fn facts(&self) -> PaymentFacts {
        let money = self.money.map(|(_, money)| money);
        let of_it = |currency: Option<Currency>| match (currency, money) {
            (Some(currency), Some(money)) => currency == money.currency,
            (None, _) => true,
            (Some(_), None) => false,
        };
        let (mut said, mut others) = (0_u64, 0_u64);
        for Refund { said: (_, (amount, currency)), .. } in &self.refunds {
            let sum = if of_it(*currency) { &mut said } else { &mut others };
            *sum = sum.saturating_add(*amount);
        }
        let paid = match self.outcome {
            Some((_, (Outcome::Succeeded, _))) => money.map_or(0, |money| money.amount),
            Some((_, (Outcome::Failed, _))) | None => 0,
        };
        let refunded = said.min(paid);
        let status = match self.outcome {
            None => PaymentStatus::Pending,
            Some((_, (Outcome::Failed, _))) => PaymentStatus::Failed,
            Some((_, (Outcome::Succeeded, _))) if refunded == 0 => PaymentStatus::Succeeded,
            Some((_, (Outcome::Succeeded, _))) if refunded < paid => {
                PaymentStatus::PartiallyRefunded
            }
            Some((_, (Outcome::Succeeded, _))) => PaymentStatus::Refunded,
        };
        let unmatched = (said - refunded).saturating_add(others);
        PaymentFacts { status, money, refunded, unmatched, created_us: self.first_us }
    }

    /// Whether what it says is the same as what another says, whoever said it and when.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let refunds = |payment: &Self| -> Vec<_> {
            payment.refunds.iter().map(|refund| (refund.id.to_vec(), refund.said.1)).collect()
        };
        self.facts() == other.facts()
            && self.outcome.map(|at| at.1) == other.outcome.map(|at| at.1)
            && self.card.map(|at| at.1) == other.card.map(|at| at.1)
            && self.description.map(|at| at.1) == other.description.map(|at| at.1)
            && refunds(self) == refunds(other)
    }

    /// Without what tells of a person, where that was said before the contact was erased.
    #[must_use]
    pub fn since_erased(mut self, erased: Option<Clock>) -> Self {
        let Some(erased) = erased else {
            return self;
        };
        self.card = self.card.filter(|(clock, _)| clock.ts_us > erased.ts_us);
        self.description = self.description.filter(|(clock, _)| clock.ts_us > erased.ts_us);
        self.outcome = self.outcome.map(|(clock, (outcome, reason))| {
            let reason = if clock.ts_us > erased.ts_us { reason } else { &[] };
            (clock, (outcome, reason))
        });
        self
    }
}

/// The version of a stored body: reads no more than it must.
pub fn stored_version(body: &[u8]) -> Option<u64> {
    Wire::new(body).u64()
}
