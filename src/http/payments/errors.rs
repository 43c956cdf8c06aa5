//! How what is asked of payments fails.

use serde_json::json;

use super::requests::cards;
use crate::domain::verdict::DeadLetterReason;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Problems;
use crate::ingest::EditError;
use crate::payments::PaymentError;

impl From<PaymentError> for ApiError {
    fn from(error: PaymentError) -> Self {
        let text = error.to_string();
        match error {
            PaymentError::ContactNotFound => EditError::NotFound.into(),
            PaymentError::ContactDeleted { merged_into } => {
                let text = match &merged_into {
                    Some(_) => "the contact was merged into another, which pays now; `details` names it",
                    None => "the contact is deleted, and pays nothing until it is restored",
                };
                Self::new(Code::ContactDeleted, text)
                    .with_details(json!({ "mergedInto": merged_into }))
            }
            PaymentError::UnknownCard => {
                let mut problems = Problems::default();
                problems.add(
                    "card",
                    format!(
                        "is none that the gateway knows, which is simulated and takes test cards only: {}",
                        cards()
                    ),
                );
                problems.result().err().unwrap_or_else(|| Self::internal("no problem".to_owned()))
            }
            PaymentError::KeyReused => EditError::KeyReused.into(),
            PaymentError::NoAnswer { payment_id } => Self::new(
                Code::GatewayTimeout,
                format!("{text}; send the same request with the same Idempotency-Key, or confirm the payment, \
                         to ask again"),
            )
            .with_details(json!({ "paymentId": payment_id })),
            PaymentError::NotPending { status } | PaymentError::NotPaid { status } => {
                Self::new(Code::PaymentConflict, text)
                    .with_details(json!({ "status": status.as_str() }))
            }
            PaymentError::TooMuch { left } => {
                Self::new(Code::RefundTooLarge, text).with_details(json!({ "left": left }))
            }
            PaymentError::TooManyRefunds => Self::new(Code::PaymentConflict, text),
            PaymentError::Refused { reason: DeadLetterReason::TooLarge, detail } => {
                Self::new(Code::PaymentConflict, detail)
            }
            PaymentError::Refused { reason, detail } => Self::new(Code::ValidationFailed, detail)
                .with_details(json!({ "reason": reason.as_str() })),
            PaymentError::NoTime => Self::new(
                Code::TookTooLong,
                format!("{text}; send the same request with the same Idempotency-Key to learn it"),
            ),
            PaymentError::Command(error) => EditError::Command(error).into(),
            PaymentError::Store(_) | PaymentError::Corrupt(_) => Self::internal(text),
        }
    }
}
