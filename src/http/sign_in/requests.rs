//! The bodies of sign-ins, as they are read and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Principal, check_password};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;

/// A user and the password; one of `username` and `email`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[schema(format = Password)]
    pub(super) password: String,
}

impl Login {
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let (username, email) = (fields.text("username"), fields.text("email"));
        let password = fields.required_text("password");
        if username.is_some() && email.is_some() {
            fields.refuse("email", "can't stand beside username; send one of them");
        }
        let is_refused = fields.is_refused("username") || fields.is_refused("email");
        if username.is_none() && email.is_none() && !is_refused {
            fields.refuse("username", "is missing, and so is email");
        }
        fields.end()?;
        Ok(Self { username, email, password })
    }
}

/// The refresh token that came last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refresh {
    pub(super) refresh_token: String,
}

impl Refresh {
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let refresh_token = fields.required_text("refreshToken");
        fields.end()?;
        Ok(Self { refresh_token })
    }
}

/// The present password and the one that shall be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangePassword {
    #[schema(format = Password)]
    pub(super) current_password: String,
    #[schema(format = Password, min_length = 8)]
    pub(super) new_password: String,
}

impl ChangePassword {
    pub(super) fn read(mut fields: Fields, principal: &Principal) -> Result<Self, ApiError> {
        let current_password = fields.required_text("currentPassword");
        let new_password = fields.required_text("newPassword");
        if let Some(user) = principal.name.strip_prefix("user:")
            && !fields.is_refused("newPassword")
            && let Err(unfit) = check_password(&new_password, user)
        {
            fields.refuse("newPassword", format!("can't be it: {unfit}"));
        }
        fields.end()?;
        Ok(Self { current_password, new_password })
    }
}
