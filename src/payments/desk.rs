//! What the API wants done to payments, as commands on the log, and what becomes of them.

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::Class;
use crate::domain::command::Intent;
use crate::domain::contact::{ContactView, CorruptContact, Status};
use crate::domain::payment::{Money, PaymentRecord, PaymentStatus, REFUNDS_MAX, row_id};
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::ingest::{Author, CommandError, Commands, PaymentCommand, merged_into};
use crate::store::{RecordOutcome, StoreError, StoredPayment};
use crate::telemetry::PaymentMetrics;

use super::card::CardNumber;
use super::gateway::{self, Answer};

/// A payment that is asked for.
#[derive(Clone, Debug)]
pub struct PaymentRequest {
    /// Whose it is.
    pub contact_id: String,
    /// Its id; the same where the same is asked for again.
    pub payment_id: String,
    /// How much.
    pub money: Money,
    /// With which card.
    pub card: CardNumber,
    /// What it is for.
    pub description: Option<String>,
}

/// What is to be given back.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// Its id; the same where the same is asked for again.
    pub refund_id: String,
    /// In minor units; none: all that is left.
    pub amount: Option<u64>,
}

/// Who asks, under which id, and how long it may take.
#[derive(Clone, Debug)]
pub struct Requested {
    /// Names the command; the same for the same request.
    pub event_id: String,
    /// Of what is asked for, where it may come again.
    pub request_hash: Option<[u8; 16]>,
    /// Who asks.
    pub author: Author,
    /// When an answer is due.
    pub until: Instant,
}

/// A payment, and whether its holder is to confirm it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The payment.
    pub payment: PaymentRecord,
    /// It waits for its holder.
    pub is_to_be_confirmed: bool,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such contact.
    #[error("there is no contact with this id")]
    ContactNotFound,
    /// It is deleted, and pays nothing.
    #[error("the contact is deleted")]
    ContactDeleted {
        /// Into whom it was merged, if that is why.
        merged_into: Option<String>,
    },
    /// It is no test card.
    #[error("the gateway is simulated and takes test cards only")]
    UnknownCard,
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// The gateway did not say how it ended.
    #[error("the gateway did not answer; whether payment {payment_id} was made is not known yet")]
    NoAnswer {
        /// The payment.
        payment_id: String,
    },
    /// It has ended already.
    #[error("the payment is {}, and only a PENDING one can be confirmed", .status.as_str())]
    NotPending {
        /// How.
        status: PaymentStatus,
    },
    /// It was not paid.
    #[error("the payment is {}, and only what was paid can be refunded", .status.as_str())]
    NotPaid {
        /// How it stands.
        status: PaymentStatus,
    },
    /// So much is not left.
    #[error("of the payment {left} are left to be refunded, in minor units")]
    TooMuch {
        /// In minor units.
        left: u64,
    },
    /// It has as many refunds as are kept.
    #[error("the payment has {REFUNDS_MAX} refunds, which is as many as are kept")]
    TooManyRefunds,
    /// It can't be applied.
    #[error("{detail}")]
    Refused {
        /// As applying names it.
        reason: DeadLetterReason,
        /// What is wrong.
        detail: String,
    },
    /// Nobody knows yet what became of it.
    #[error("it is not known yet what became of it")]
    NoTime,
    /// The log does not have it, as far as is known.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl PaymentError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::ContactNotFound
            | Self::ContactDeleted { .. }
            | Self::UnknownCard
            | Self::KeyReused
            | Self::NotPending { .. }
            | Self::NotPaid { .. }
            | Self::TooMuch { .. }
            | Self::TooManyRefunds
            | Self::Refused { .. } => Class::Poison,
            Self::NoAnswer { .. } | Self::NoTime => Class::Retry,
            Self::Command(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Corrupt(error) => error.class(),
        }
    }
}

/// Makes payments, and gives them back.
pub struct PaymentDesk {
    commands: Commands,
    metrics: PaymentMetrics,
}

/// A payment that was found: whose, and which.
struct Place<'p> {
    contact_id: &'p str,
    payment_id: &'p str,
}

impl PaymentDesk {
    /// Through these commands.
    pub fn new(commands: Commands, metrics: PaymentMetrics) -> Self {
        Self { commands, metrics }
    }

    /// Makes a payment: what was asked for before is not done twice.
    ///
    /// # Errors
    /// Why it was not made, or that this is not known.
    pub async fn pay(&self, of: &PaymentRequest, by: &Requested) -> Result<Shown, PaymentError> {
        // A card that nobody knows leaves nothing behind.
        gateway::charge(&of.card, false).ok_or(PaymentError::UnknownCard)?;
        let place = Place { contact_id: &of.contact_id, payment_id: &of.payment_id };
        let data = json!({
            "id": of.payment_id, "contactId": of.contact_id, "amount": of.money.amount,
            "currency": of.money.currency.as_str(), "card": of.card.last_four(),
            "description": of.description,
        });
        let outcome = self.command(Intent::Pay, &place, by, data, None).await?;
        let verdict = outcome.verdict;
        if verdict == Verdict::NotFound {
            return Err(self.no_payer(&of.contact_id)?);
        }
        if verdict == Verdict::Duplicate && outcome.value.is_none() {
            // Refused the first time, and answered so again.
            return Err(self.no_payer(&of.contact_id)?);
        }
        let stored = self.stored(&place, outcome)?;
        let (shown, is_again) = match verdict {
            Verdict::Applied => (self.shown(&stored)?, false),
            // It is there: by this very request, or by another one under its key.
            _ if is_of(&stored, by)? => (self.shown(&stored)?, true),
            _ => return Err(PaymentError::KeyReused),
        };
        if shown.payment.status != PaymentStatus::Pending {
            return Ok(shown);
        }
        let answer = gateway::charge(&of.card, is_again).ok_or(PaymentError::UnknownCard)?;
        self.settle(&place, &stored, answer, by).await
    }

    /// Confirms a payment that waits for its holder, or asks again for one of which nobody knows.
    ///
    /// # Errors
    /// Why it was not, or that this is not known.
    pub async fn confirm(
        &self,
        stored: &StoredPayment,
        by: &Requested,
    ) -> Result<Shown, PaymentError> {
        let shown = self.shown(stored)?;
        match shown.payment.status {
            PaymentStatus::Pending => {}
            PaymentStatus::Succeeded => return Ok(shown),
            status => return Err(PaymentError::NotPending { status }),
        }
        let card = shown.payment.card.as_deref().unwrap_or_default();
        let answer = gateway::confirm(card).ok_or(PaymentError::UnknownCard)?;
        let (contact_id, payment_id) = (shown.payment.contact_id, shown.payment.id);
        let place = Place { contact_id: &contact_id, payment_id: &payment_id };
        self.settle(&place, stored, answer, by).await
    }

    /// Gives back what was paid, or some of it.
    ///
    /// # Errors
    /// Why it was not, or that this is not known.
    pub async fn refund(
        &self,
        stored: &StoredPayment,
        of: &RefundRequest,
        by: &Requested,
    ) -> Result<Shown, PaymentError> {
        let shown = self.shown(stored)?;
        let is_done = |refund: &&crate::domain::payment::RefundRecord| refund.id == of.refund_id;
        if let Some(done) = shown.payment.refunds.iter().find(is_done) {
            let is_same = of.amount.is_none_or(|amount| amount == done.amount);
            return if is_same { Ok(shown) } else { Err(PaymentError::KeyReused) };
        }
        let left = left(&shown.payment)?;
        let amount = of.amount.unwrap_or(left);
        if amount > left || left == 0 {
            return Err(PaymentError::TooMuch { left });
        }
        let (contact_id, payment_id) = (shown.payment.contact_id, shown.payment.id);
        let place = Place { contact_id: &contact_id, payment_id: &payment_id };
        let data = json!({
            "id": payment_id, "contactId": contact_id, "refundId": of.refund_id, "amount": amount,
            "currency": shown.payment.currency,
        });
        let outcome = self.command(Intent::Refund, &place, by, data, newest(stored)?).await?;
        let is_applied = outcome.verdict == Verdict::Applied;
        let stored = self.stored(&place, outcome)?;
        let shown = self.shown(&stored)?;
        match shown.payment.refunds.iter().find(is_done) {
            Some(done) if is_applied || done.amount == amount => Ok(shown),
            Some(_) => Err(PaymentError::KeyReused),
            // Others were faster.
            None if shown.payment.refunds.len() >= REFUNDS_MAX => Err(PaymentError::TooManyRefunds),
            None => Err(PaymentError::TooMuch { left: self::left(&shown.payment)? }),
        }
    }

    /// Tells the log how a payment ended, if it did.
    async fn settle(
        &self,
        place: &Place<'_>,
        stored: &StoredPayment,
        answer: Answer,
        by: &Requested,
    ) -> Result<Shown, PaymentError> {
        self.metrics.answered(answer.as_str());
        let (intent, reason) = match answer {
            Answer::Paid => (Intent::Settle, None),
            Answer::Declined(reason) => (Intent::Fail, Some(reason)),
            Answer::ToBeConfirmed => {
                return Ok(Shown { is_to_be_confirmed: true, ..self.shown(stored)? });
            }
            Answer::Silence => {
                let payment_id = place.payment_id.to_owned();
                return Err(PaymentError::NoAnswer { payment_id });
            }
        };
        let data = json!({
            "id": place.payment_id, "contactId": place.contact_id, "reason": reason,
        });
        // An id of its own each time: what was refused before may be right by now.
        let by = Requested { event_id: command_id(), request_hash: None, ..by.clone() };
        let outcome = self.command(intent, place, &by, data, newest(stored)?).await?;
        // Whoever was faster has said how it ended.
        self.shown(&self.stored(place, outcome)?)
    }

    async fn command(
        &self,
        intent: Intent,
        place: &Place<'_>,
        by: &Requested,
        data: Value,
        after_us: Option<u64>,
    ) -> Result<RecordOutcome, PaymentError> {
        let command = PaymentCommand {
            intent,
            contact_id: place.contact_id.to_owned(),
            event_id: by.event_id.clone(),
            request_hash: by.request_hash,
            data,
            after_us,
            author: by.author.clone(),
        };
        let decided = self.commands.decided_of_payment(&command, by.until).await;
        let outcome = match decided {
            Err(CommandError::Refused { reason, detail }) => {
                return Err(PaymentError::Refused { reason, detail });
            }
            decided => decided?.ok_or(PaymentError::NoTime)?,
        };
        match outcome.reason {
            Some((reason, detail)) => Err(PaymentError::Refused { reason, detail }),
            None => Ok(outcome),
        }
    }

    /// The payment as it was right after.
    fn stored(
        &self,
        place: &Place<'_>,
        outcome: RecordOutcome,
    ) -> Result<StoredPayment, PaymentError> {
        let (contact_id, payment_id) = (place.contact_id.as_bytes(), place.payment_id.as_bytes());
        if let Some(value) = outcome.value {
            return Ok(StoredPayment::new(row_id(contact_id, payment_id), value));
        }
        let reader = self.commands.reader();
        reader.payment(contact_id, payment_id)?.ok_or(PaymentError::NoTime)
    }

    /// The payment, and whether its holder is to confirm it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn shown(&self, stored: &StoredPayment) -> Result<Shown, PaymentError> {
        let payment = self.commands.reader().payment_record(stored)?;
        let card = payment.card.as_deref().unwrap_or_default();
        let is_to_be_confirmed =
            payment.status == PaymentStatus::Pending && gateway::confirm(card).is_some();
        Ok(Shown { payment, is_to_be_confirmed })
    }

    /// Why a contact pays nothing.
    fn no_payer(&self, contact_id: &str) -> Result<PaymentError, PaymentError> {
        let value = self.commands.reader().contact(contact_id.as_bytes())?;
        let view = value.as_ref().map(|value| value.view()).transpose()?;
        let is_deleted = |view: &ContactView<'_>| view.status() == Status::Deleted;
        Ok(match view.filter(is_deleted) {
            Some(view) => PaymentError::ContactDeleted { merged_into: merged_into(&view) },
            None => PaymentError::ContactNotFound,
        })
    }
}

/// An id for a command that has no key.
pub(super) fn command_id() -> String {
    format!("{}{}", crate::ingest::COMMAND_ID, Uuid::now_v7().as_simple())
}

/// Whether the payment was made by this very request.
fn is_of(stored: &StoredPayment, by: &Requested) -> Result<bool, PaymentError> {
    let made = stored.payment()?.created.map(|(_, hash)| hash);
    Ok(by.request_hash.is_some() && made == by.request_hash)
}

fn newest(stored: &StoredPayment) -> Result<Option<u64>, PaymentError> {
    Ok(Some(stored.payment()?.newest.0.ts_us))
}

/// What can be given back of a payment, in minor units.
fn left(payment: &PaymentRecord) -> Result<u64, PaymentError> {
    match payment.status {
        PaymentStatus::Pending | PaymentStatus::Failed => {
            Err(PaymentError::NotPaid { status: payment.status })
        }
        PaymentStatus::Succeeded | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded => {
            Ok(payment.amount.unwrap_or_default().saturating_sub(payment.refunded))
        }
    }
}
