//! What is ordered of followers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::position::Position;
use crate::effects::follower::ReplayFrom;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::params::time;

/// What is skipped.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SkipOrder {
    /// Only what is owed of this contact; without it everything until now.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
}

impl SkipOrder {
    pub(super) fn read(mut fields: Fields) -> Result<Option<String>, ApiError> {
        let contact = fields.text("contact");
        fields.end()?;
        Ok(contact)
    }
}

/// From where on changes are delivered once more: one of the two.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReplayOrder {
    /// As `Position` headers, the feed and `position` of followers have it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    /// Records of then or later.
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl ReplayOrder {
    pub(super) fn read(mut fields: Fields) -> Result<ReplayFrom, ApiError> {
        let (position, at) = (fields.text("position"), fields.text("time"));
        let from = match (position, at) {
            (Some(text), None) => match Position::decode(&text) {
                Ok(position) if !position.is_place => Some(ReplayFrom::Position(position)),
                Ok(_) => {
                    fields.refuse("position", "names one record, and is no place to go on from");
                    None
                }
                Err(_) => {
                    fields.refuse("position", "is none that was given out");
                    None
                }
            },
            (None, Some(text)) => match time("time", &text) {
                Ok(us) => Some(ReplayFrom::Time(i64::try_from(us / 1000).unwrap_or(i64::MAX))),
                Err(_) => {
                    fields.refuse("time", "must be an RFC 3339 time, such as 2026-11-21T10:00:00Z");
                    None
                }
            },
            (Some(_), Some(_)) => {
                fields.refuse("time", "can't stand beside position");
                None
            }
            (None, None) => {
                let is_wrong = fields.is_refused("position") || fields.is_refused("time");
                if !is_wrong {
                    fields.refuse("position", "must be there, or time");
                }
                None
            }
        };
        fields.end()?;
        // What is refused has ended here.
        Ok(from.unwrap_or(ReplayFrom::Time(i64::MAX)))
    }
}
