//! Bodies about keys and users, as they are read and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Role, Roles};
use crate::domain::timestamp::{format_rfc3339, parse_rfc3339_us};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::ingest::now_ms;

/// What key is to be made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewKey {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub(super) name: String,
    #[schema(value_type = Vec<String>, min_items = 1)]
    pub(super) roles: Vec<&'static str>,
    /// When it ends; without it never.
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
}

impl NewKey {
    pub(super) fn read(mut fields: Fields) -> Result<(Self, Roles, Option<u64>), ApiError> {
        let name = fields.required_text("name");
        let roles = roles(&mut fields);
        let expires_at = fields.text("expiresAt");
        let expires_ms = expires_at.and_then(|text| {
            let ms = parse_rfc3339_us(text.as_bytes()).map(|us| us / 1000);
            let ms = ms.filter(|ms| *ms > now_ms());
            if ms.is_none() {
                fields.refuse("expiresAt", "must be a time to come, like 2027-12-31T00:00:00Z");
            }
            ms
        });
        fields.end()?;
        let expires_at = expires_ms.map(format_rfc3339);
        Ok((Self { name, roles: roles.words(), expires_at }, roles, expires_ms))
    }
}

fn roles(fields: &mut Fields) -> Roles {
    let words: Option<Vec<String>> =
        fields.raw("roles").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let roles = words.map(|words| Roles::from_words(&words));
    match roles {
        Some(Ok(roles)) if roles != Roles::NONE => roles,
        Some(_) | None => {
            let all = Role::ALL.map(Role::as_str).join(", ");
            fields.refuse("roles", format!("must be a list of one or more of {all}"));
            Roles::NONE
        }
    }
}

/// What is to change of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserChange {
    /// true: out, signed in or not; false: in again.
    pub(super) disabled: bool,
}

impl UserChange {
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let disabled = fields.flag("disabled");
        if disabled.is_none() && !fields.is_refused("disabled") {
            fields.refuse("disabled", "is missing");
        }
        fields.end()?;
        Ok(Self { disabled: disabled.unwrap_or_default() })
    }
}
