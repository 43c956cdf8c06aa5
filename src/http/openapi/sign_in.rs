//! Signing in, and who one is.

use axum::http::Method;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Answer, Kept, Operation, Tag};
use crate::http::error::Code;

pub(super) fn operations() -> Vec<Operation> {
    vec![login(), me()]
}

/// A user and the password; one of `username` and `email`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[schema(format = Password)]
    password: String,
}

/// What lets one in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tokens {
    /// For `Authorization: Bearer`; opaque.
    access_token: String,
    /// `Bearer`.
    token_type: String,
    /// Seconds until the access token ends.
    #[schema(minimum = 0)]
    expires_in: u64,
}

/// Who sends the request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Me {
    /// As histories name it: `user:ada`, `key:ci`.
    principal: String,
    /// `user` or `key`.
    kind: String,
    username: String,
    #[schema(required = true)]
    email: Option<String>,
    roles: Vec<String>,
    /// The sign-in; null for an API key.
    #[schema(required = true)]
    session: Option<String>,
    /// When the access token or API key ends; null: never.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
}

fn login() -> Operation {
    let example = json!({ "username": "{{username}}", "password": "{{password}}" });
    let tokens = json!({ "accessToken": "{{token}}", "tokenType": "Bearer", "expiresIn": 900 });
    Operation::new(Method::POST, "/api/auth/login", "login", "Sign in")
        .of(Tag::Auth)
        .about(
            "With a user name or an e-mail address. An unknown user and a wrong password are \
             answered alike; attempts that fail are limited by address and by account.",
        )
        .body::<Login>(example)
        .answers(Answer::json::<Tokens>(200, "Signed in.", tokens))
        .fails(&[Code::InvalidCredentials, Code::UnsupportedMediaType, Code::ValidationFailed])
        .keeps("token", Kept::Body("accessToken"))
}

fn me() -> Operation {
    let example = json!({
        "principal": "user:admin", "kind": "user", "username": "admin", "email": null,
        "roles": ["admin"], "session": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "expiresAt": "2026-11-21T10:51:44.000Z",
    });
    Operation::get("/api/auth/me", "whoAmI", "Who sends the request")
        .of(Tag::Auth)
        .answers(Answer::json::<Me>(200, "Name and roles.", example))
}
