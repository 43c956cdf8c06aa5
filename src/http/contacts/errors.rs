//! How writes of contacts fail.

use serde_json::json;

use crate::domain::verdict::DeadLetterReason;
use crate::http::exchange::error::{ApiError, Code};
use crate::ingest::{CommandError, EditError};

/// Where what became of an event is told.
pub(super) fn event_path(event_id: &str) -> String {
    format!("/api/events/{event_id}")
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        match &error {
            EditError::NotFound => Self::new(Code::ContactNotFound, error.to_string()),
            EditError::Exists(tag) => Self::new(
                Code::ContactExists,
                "there is a contact with this id; PUT or PATCH changes it",
            )
            .with_details(json!({ "version": tag.version })),
            EditError::Deleted { tag, merged_into } => Self::new(
                Code::ContactDeleted,
                "the contact is deleted; POST to its path with /restore takes the delete back, PUT with \
                 If-None-Match: * makes it anew",
            )
            .with_details(json!({ "version": tag.version, "mergedInto": merged_into })),
            EditError::PreconditionFailed(tag) => Self::new(
                Code::PreconditionFailed,
                "the contact is not in the state that the request expects; read it and try again",
            )
            .with_details(json!({ "version": tag.map(|tag| tag.version) })),
            EditError::Superseded(tag) => Self::new(
                Code::Superseded,
                "events that are newer than this write say otherwise; read the contact and try \
                 again",
            )
            .with_details(json!({ "version": tag.map(|tag| tag.version) })),
            EditError::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "this Idempotency-Key was used for another request; use a new one",
            ),
            EditError::Merging { into } => Self::new(
                Code::ContactMerging,
                "the contact is being merged into another; try again once that has ended",
            )
            .with_details(json!({ "into": into })),
            EditError::NoTime => {
                Self::new(Code::TookTooLong, "there was no time left for this; try again")
            }
            EditError::Refused { reason, detail } => match reason {
                DeadLetterReason::TooLarge => Self::new(Code::ContactTooLarge, detail.clone()),
                _ => Self::new(Code::ValidationFailed, detail.clone())
                    .with_details(json!({ "reason": reason.as_str() })),
            },
            EditError::Command(CommandError::Refused { detail, .. }) => {
                Self::new(Code::ValidationFailed, detail.clone())
            }
            EditError::Command(CommandError::NotAcknowledged { event_id: None, .. }) => Self::new(
                Code::WriteUnavailable,
                "the contact log did not take the write; try again, with an Idempotency-Key if it \
                 must not be done twice",
            ),
            EditError::Command(CommandError::NotAcknowledged { event_id: Some(id), .. }) => {
                let path = event_path(id);
                let text = format!(
                    "the contact log did not say in time that it has the write, which may be done all \
                     the same: {path} tells. Try again, with the same Idempotency-Key if it must not \
                     be done twice"
                );
                Self::new(Code::WriteUnavailable, text)
                    .with_details(json!({ "eventId": id, "event": path }))
            }
            EditError::Command(CommandError::Store(_))
            | EditError::Store(_)
            | EditError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}
