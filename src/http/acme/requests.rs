//! What is asked for.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;

/// Which side is brought into agreement with the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// Acme's contact becomes what ours is.
    #[default]
    Push,
    /// What is newer at Acme is taken.
    Pull,
}

/// How one contact is brought into agreement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SyncOrder {
    /// `push`, where nothing is said: Acme's contact becomes what ours is, but for what belongs to Acme.
    /// `pull`: what is newer at Acme is taken.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Direction>,
}

impl SyncOrder {
    pub(super) fn read(mut fields: Fields) -> Result<Direction, ApiError> {
        let text = fields.text("direction");
        let direction = match text.as_deref() {
            None | Some("push") => Direction::Push,
            Some("pull") => Direction::Pull,
            Some(_) => {
                fields.refuse("direction", "must be push or pull");
                Direction::Push
            }
        };
        fields.end()?;
        Ok(direction)
    }
}

/// Which page of Acme's contacts is taken.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PullOrder {
    /// As the page before gave it; without it the first page.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl PullOrder {
    pub(super) fn read(mut fields: Fields) -> Result<Option<String>, ApiError> {
        let cursor = fields.text("cursor");
        fields.end()?;
        Ok(cursor)
    }
}

/// Which page is compared, and whether differences are mended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReconcileOrder {
    /// As the page before gave it; without it the first page.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// Whether what differs is mended: the newest counts, field by field.
    #[schema(default = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    apply: Option<bool>,
}

impl ReconcileOrder {
    pub(super) fn read(mut fields: Fields) -> Result<(Option<String>, bool), ApiError> {
        let (cursor, apply) = (fields.text("cursor"), fields.flag("apply"));
        fields.end()?;
        Ok((cursor, apply.unwrap_or(false)))
    }
}
