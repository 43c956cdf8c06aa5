//! The bodies of sign-ins as they are described; `routes.rs` reads them.

use serde::Serialize;
use utoipa::ToSchema;

/// A user and the password; one of `username` and `email`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[schema(format = Password)]
    password: String,
}

/// The refresh token that came last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: String,
}

/// The present password and the one that shall be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangePassword {
    #[schema(format = Password)]
    current_password: String,
    #[schema(format = Password, min_length = 8)]
    new_password: String,
}
