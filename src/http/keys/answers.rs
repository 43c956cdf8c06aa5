//! Keys and users as they are sent and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{self, KnownUser};
use crate::domain::timestamp::format_rfc3339;
use crate::http::exchange::page::PageMeta;

/// Keys, by their names.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPage {
    pub(super) data: Vec<ApiKey>,
    pub(super) meta: PageMeta,
}

/// The API key of a program. The key itself is shown once, where it is made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApiKey {
    pub(super) name: String,
    roles: Vec<&'static str>,
    /// How the key begins. Null for those of the file of users.
    #[schema(required = true)]
    prefix: Option<String>,
    /// Null for those of the file of users.
    #[schema(required = true, format = DateTime)]
    created_at: Option<String>,
    /// Null for those of the file of users.
    #[schema(required = true)]
    created_by: Option<String>,
    /// Null: it does not end by itself.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
    /// When this instance last let it in. Null: not since it started.
    #[schema(required = true, format = DateTime)]
    last_used_at: Option<String>,
    /// `log`: all instances know it; `file`: it stands in this instance's file of users.
    #[schema(pattern = "^(log|file)$")]
    kept_in: &'static str,
}

impl ApiKey {
    pub(super) fn of(key: auth::ApiKey) -> Self {
        Self {
            name: key.name,
            roles: key.roles.words(),
            prefix: key.prefix,
            created_at: key.created_ms.map(format_rfc3339),
            created_by: key.created_by,
            expires_at: key.expires_ms.map(format_rfc3339),
            last_used_at: key.used_ms.map(format_rfc3339),
            kept_in: if key.is_in_file { "file" } else { "log" },
        }
    }
}

/// A key that was made, with the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewApiKey {
    /// For the header `X-API-Key`. It can't be shown again.
    pub(super) key: String,
    pub(super) about: ApiKey,
}

/// Users, by their names.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPage {
    pub(super) data: Vec<User>,
    pub(super) meta: PageMeta,
}

/// Who signs in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserAccount)]
pub(super) struct User {
    pub(super) username: String,
    #[schema(required = true)]
    email: Option<String>,
    roles: Vec<&'static str>,
    /// A disabled user can't sign in.
    disabled: bool,
    /// Sign-ins that have not ended.
    sign_ins: u64,
}

impl User {
    pub(super) fn of(user: KnownUser) -> Self {
        Self {
            username: user.name,
            email: user.email,
            roles: user.roles.words(),
            disabled: user.is_disabled,
            sign_ins: user.sign_ins as u64,
        }
    }
}
