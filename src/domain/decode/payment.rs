//! The payment's part of an event: which it is, whose, how much, and what became of it.
//!
//! Names are our own, whatever a source calls the fields of contacts. In `data`, `id` is the payment's; in
//! a flat event that is `paymentId`. The contact is `contactId`, a CloudEvent's subject, or the record's key.

use super::contact::ContactPart;
use super::envelope::Envelope;
use super::reader::{Member, Reader, duplicate, wrong_type};
use super::{Decoder, Reject, command, contact_id_problem, external_ids, holds_control};
use crate::domain::event::{Event, EventKind};
use crate::domain::json::Token;
use crate::domain::payment::{
    AMOUNT_MAX, Currency, PAYMENT_ID_BYTES_MAX, PaymentEvent, TEXT_BYTES_MAX,
};
use crate::domain::record::{Headers, Record};
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

/// The members that mean something, as they stand there.
#[derive(Debug, Default)]
struct Said {
    id: Option<Token>,
    payment_id: Option<Token>,
    contact_id: Option<Token>,
    amount: Option<Token>,
    currency: Option<Token>,
    card: Option<Token>,
    description: Option<Token>,
    reason: Option<Token>,
    refund_id: Option<Token>,
}

impl Said {
    fn of(reader: &Reader<'_>, members: &[Member]) -> Result<Self, Reject> {
        let mut said = Self::default();
        for Member { name, value } in members {
            let slot = match reader.bytes(*name) {
                b"id" => &mut said.id,
                b"paymentId" | b"payment_id" => &mut said.payment_id,
                b"contactId" | b"contact_id" => &mut said.contact_id,
                b"amount" => &mut said.amount,
                b"currency" => &mut said.currency,
                b"card" | b"last4" => &mut said.card,
                b"description" => &mut said.description,
                b"reason" | b"failureReason" | b"failure_reason" => &mut said.reason,
                b"refundId" | b"refund_id" => &mut said.refund_id,
                _ => continue,
            };
            if slot.replace(*value).is_some() {
                return Err(duplicate(&String::from_utf8_lossy(reader.bytes(*name))));
            }
        }
        Ok(said)
    }
}

impl Decoder {
    /// Whether payments are told of here; else they are no events that are known.
    #[must_use]
    pub fn with_payments(self, payments: bool) -> Self {
        Self { payments, ..self }
    }

    pub(super) fn payment(
        &self,
        reader: &mut Reader<'_>,
        record: &Record,
        envelope: &Envelope,
        headers: Headers<'_>,
    ) -> Result<Event, Reject> {
        if !self.payments {
            let detail = format!(
                "{} tells of a payment, and payments are off here (payments.enabled)",
                envelope.kind.as_str()
            );
            return Err(Reject::new(DeadLetterReason::UnknownEventType, detail));
        }
        let said = Said::of(reader, &envelope.data)?;
        let id = match said.contact_id {
            Some(token) => reader.id_of(token, "the contact id")?,
            None => None,
        };
        let contact = ContactPart {
            id: id.or(envelope.contact_id).or(envelope.subject),
            ..ContactPart::default()
        };
        let mut event = self.assemble(reader, record, envelope, contact, headers.clone())?;
        external_ids::resolve(reader, &mut event, headers.clone())?;
        event.external_ids = Vec::new();
        event.body_hash = None;
        event.command = command::read(reader, headers, &event, envelope)?;
        if event.timestamp.is_none() {
            return Err(invalid(
                "the event has no timestamp, which orders what becomes of a payment",
            ));
        }
        event.payment = Some(Box::new(read(reader, envelope, &said, &event)?));
        self.check_schema(reader, &event)?;
        Ok(event)
    }
}

fn read(
    reader: &mut Reader<'_>,
    envelope: &Envelope,
    said: &Said,
    event: &Event,
) -> Result<PaymentEvent, Reject> {
    // Beside a flat event's envelope `id` is the event's.
    let flat = envelope.id.filter(|_| envelope.is_flat && envelope.has_event_id());
    let id = match said.payment_id.or(said.id) {
        Some(token) => reader.id_of(token, "the payment's id")?,
        None => flat,
    };
    let Some(payment_id) = id else {
        return Err(invalid("the event names no payment: data.id says which"));
    };
    check_id(reader, payment_id, "payment's id")?;
    let amount = said.amount.map(|token| amount(reader, token)).transpose()?;
    let currency = said.currency.map(|token| currency(reader, token)).transpose()?.flatten();
    let is_refund = event.kind == EventKind::PaymentRefunded;
    if amount.is_none() && (is_refund || event.kind == EventKind::PaymentCreated) {
        return Err(invalid("the event has no amount, in minor units of the currency"));
    }
    if amount.is_some() && currency.is_none() && !is_refund {
        return Err(invalid("the event has an amount and no currency"));
    }
    let refund_id = match said.refund_id.filter(|_| is_refund) {
        Some(token) => reader.id_of(token, "the refund's id")?,
        None => None,
    };
    let refund_id = refund_id.unwrap_or(event.event_id);
    if is_refund {
        check_id(reader, refund_id, "refund's id")?;
    }
    Ok(PaymentEvent {
        payment_id,
        amount,
        currency,
        card: said.card.map(|token| last_four(reader, token)).transpose()?.flatten(),
        description: text(reader, said.description, "the description")?,
        reason: text(reader, said.reason, "the reason")?,
        refund_id,
    })
}

fn check_id(reader: &Reader<'_>, id: Span, what: &str) -> Result<(), Reject> {
    let id = reader.bytes(id);
    let problem = match id.len() > PAYMENT_ID_BYTES_MAX {
        true => Some("is longer than 128 bytes"),
        false => contact_id_problem(id),
    };
    match problem {
        None => Ok(()),
        Some(problem) => {
            Err(Reject::new(DeadLetterReason::InvalidId, format!("the {what} {problem}")))
        }
    }
}

fn amount(reader: &Reader<'_>, token: Token) -> Result<u64, Reject> {
    let Token::Number { start, end } = token else {
        return Err(wrong_type("the amount", "a number of minor units", token));
    };
    let digits = reader.raw(start, end);
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    number.filter(|number| (1..=AMOUNT_MAX).contains(number)).ok_or_else(|| {
        invalid(format!(
            "the amount is a whole number of minor units from 1 to {AMOUNT_MAX}: 19.99 EUR is 1999, and \
             1999 JPY is 1999"
        ))
    })
}

fn currency(reader: &mut Reader<'_>, token: Token) -> Result<Option<Currency>, Reject> {
    let Some(code) = reader.text_of(token, "the currency")? else {
        return Ok(None);
    };
    let currency = Currency::parse(reader.bytes(code));
    currency.map(Some).ok_or_else(|| invalid("the currency is no code of ISO 4217, such as EUR"))
}

/// Of a whole card number no more than that is kept.
fn last_four(reader: &mut Reader<'_>, token: Token) -> Result<Option<[u8; 4]>, Reject> {
    let Some(card) = reader.id_of(token, "the card")? else {
        return Ok(None);
    };
    let digits = reader.bytes(card).iter().filter(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    digits.last_chunk().copied().map(Some).ok_or_else(|| invalid("the card has not four digits"))
}

fn text(reader: &mut Reader<'_>, token: Option<Token>, what: &str) -> Result<Option<Span>, Reject> {
    let text = token.map(|token| reader.text_of(token, what)).transpose()?.flatten();
    let Some(text) = text.filter(|text| !reader.bytes(*text).is_empty()) else {
        return Ok(None);
    };
    let bytes = reader.bytes(text);
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!("{what} is longer than {TEXT_BYTES_MAX} bytes")));
    }
    if holds_control(bytes) {
        let detail = format!("{what} holds control characters");
        return Err(Reject::new(DeadLetterReason::ControlCharacter, detail));
    }
    Ok(Some(text))
}

fn invalid(detail: impl Into<String>) -> Reject {
    Reject::new(DeadLetterReason::InvalidPayment, detail)
}
