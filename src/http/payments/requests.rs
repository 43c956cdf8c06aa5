//! What is asked for, as it is read and as it is described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::payment::{AMOUNT_MAX, Currency, Money, TEXT_BYTES_MAX};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::payments::{CardNumber, TEST_CARDS};

/// A payment that is asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentToMake {
    contact_id: String,
    /// In minor units of the currency: 1999 is 19.99 EUR.
    #[schema(minimum = 1, maximum = 999_999_999_999_999_u64)]
    amount: u64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: String,
    /// The number of a test card. Only its last four digits are kept.
    card: String,
    /// What it is for.
    #[schema(nullable = false, max_length = 1024)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// A refund that is asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundToMake {
    /// In minor units; left out: all that is left.
    #[schema(nullable = false, minimum = 1, maximum = 999_999_999_999_999_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<u64>,
}

/// What [`PaymentToMake`] says, read.
pub(super) struct Wanted {
    pub(super) contact_id: String,
    pub(super) money: Money,
    pub(super) card: CardNumber,
    pub(super) description: Option<String>,
}

impl Wanted {
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let contact_id = fields.required_text("contactId");
        let amount = amount(&mut fields);
        if amount.is_none() && !fields.is_refused("amount") {
            fields.refuse("amount", "is missing");
        }
        let code = fields.required_text("currency");
        let currency = Currency::parse(code.as_bytes());
        if currency.is_none() && !fields.is_refused("currency") {
            fields.refuse("currency", "must be a code of ISO 4217, such as EUR");
        }
        let number = fields.required_text("card");
        let card = CardNumber::parse(&number);
        if card.is_none() && !fields.is_refused("card") {
            fields.refuse("card", "must be a card's number");
        }
        let description = fields.text("description");
        let is_fit = |text: &String| {
            text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) && !text.is_empty()
        };
        if description.as_ref().is_some_and(|text| !is_fit(text)) {
            let problem = "must be 1 to 1024 bytes of text without control characters";
            fields.refuse("description", problem);
        }
        fields.end()?;
        match (amount, currency, card) {
            (Some(amount), Some(currency), Some(card)) => {
                Ok(Self { contact_id, money: Money { amount, currency }, card, description })
            }
            _ => Err(ApiError::internal("a field that is missing was not refused")),
        }
    }
}

/// What a refund asks for.
pub(super) fn refund_amount(mut fields: Fields) -> Result<Option<u64>, ApiError> {
    let amount = amount(&mut fields);
    fields.end()?;
    Ok(amount)
}

fn amount(fields: &mut Fields) -> Option<u64> {
    let whole = fields.number("amount", 1..=AMOUNT_MAX);
    if whole.is_none() && fields.is_refused("amount") {
        fields.refuse("amount", "is in minor units of the currency: 19.99 EUR is 1999");
    }
    whole
}

/// The cards that can be used, and what becomes of payments with them.
pub(super) fn cards() -> String {
    let cards = TEST_CARDS.iter().map(|card| format!("{} ({})", card.number, card.about));
    cards.collect::<Vec<_>>().join(", ")
}
