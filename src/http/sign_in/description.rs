//! Signing in, and who one is.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::description::operation::{Answer, Kept, Operation, Param, Tag, text};
use crate::http::exchange::error::Code;

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
    /// For `POST /api/auth/refresh`; good once.
    refresh_token: String,
    /// `Bearer`.
    token_type: String,
    /// Seconds until the access token ends.
    #[schema(minimum = 0)]
    expires_in: u64,
}

/// The refresh token that came last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Refresh {
    refresh_token: String,
}

/// The present password and the one that shall be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePassword {
    #[schema(format = Password)]
    current_password: String,
    #[schema(format = Password, min_length = 8)]
    new_password: String,
}

/// Sign-ins, the last used first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sessions {
    data: Vec<Session>,
}

/// One sign-in: a family of refresh tokens, of which one is current.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Session {
    id: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last refreshed.
    #[schema(format = DateTime)]
    last_used_at: String,
    /// When it ends, unless it is refreshed before.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Of the last use.
    address: String,
    /// Of the last use.
    user_agent: String,
    /// Whether the request's access token came of it.
    current: bool,
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

pub(super) fn login() -> Operation {
    let example = json!({ "username": "{{username}}", "password": "{{password}}" });
    let operation = Operation::new("login", "Sign in")
        .of(Tag::Auth)
        .about(
            "With a user name or an e-mail address. An unknown user and a wrong password are \
             answered alike; attempts that fail are limited by address and by account.",
        )
        .body::<Login>(example);
    lets_in(operation, "Signed in.", Code::InvalidCredentials)
}

/// Its answer has the tokens; `refused`: where what was sent is wrong.
fn lets_in(operation: Operation, about: &'static str, refused: Code) -> Operation {
    let tokens = json!({
        "accessToken": "{{token}}", "refreshToken": "{{refreshToken}}", "tokenType": "Bearer",
        "expiresIn": 900,
    });
    operation
        .answers(Answer::json::<Tokens>(200, about, tokens))
        .fails(&[
            refused,
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
            Code::SessionsUnavailable,
        ])
        .keeps("token", Kept::Body("accessToken"))
        .keeps("refreshToken", Kept::Body("refreshToken"))
}

pub(super) fn refresh() -> Operation {
    let example = json!({ "refreshToken": "{{refreshToken}}" });
    let operation = Operation::new("refresh", "Stay signed in")
        .of(Tag::Auth)
        .about(
            "Each refresh token is good once, and its answer has the next one. One that was used \
             before ends the sign-in, since somebody else may have it; of two requests at once with \
             the same one, one wins.",
        )
        .body::<Refresh>(example);
    lets_in(operation, "The next tokens.", Code::InvalidRefreshToken)
}

pub(super) fn change_password() -> Operation {
    let example = json!({ "currentPassword": "{{password}}", "newPassword": "{{password}}" });
    let operation = Operation::new("changePassword",
        "Change one's own password",
    )
    .of(Tag::Auth)
    .about(
        "Ends every sign-in of the user, this one too, and signs in anew. A wrong present password \
             counts as a sign-in that failed. API keys have no password.",
    )
    .body::<ChangePassword>(example);
    lets_in(operation, "Changed; the tokens of the new sign-in.", Code::InvalidCredentials)
}

pub(super) fn logout() -> Operation {
    Operation::new("logout", "Sign out")
        .of(Tag::Auth)
        .about("Ends the sign-in of the access token, and every token that came of it, everywhere.")
        .answers(Answer::empty(204, "Signed out."))
        .fails(&[Code::SessionNotFound, Code::SessionsUnavailable])
        .last()
}

fn of_user() -> Param {
    let about = "Another user's, for the role admin; without it one's own.";
    Param::query("user", text(), "admin", about)
}

pub(super) fn sessions() -> Operation {
    let session = json!({
        "id": "{{sessionId}}", "createdAt": "2026-11-21T10:00:00.000Z",
        "lastUsedAt": "2026-11-21T10:36:44.451Z", "expiresAt": "2026-11-28T10:36:44.451Z",
        "address": "203.0.113.7", "userAgent": "curl/8.5.0", "current": true,
    });
    Operation::new("listSessions", "Where a user is signed in")
        .of(Tag::Auth)
        .param(of_user())
        .answers(Answer::json::<Sessions>(200, "Sign-ins.", json!({ "data": [session] })))
        .fails(&[Code::SessionsUnavailable])
}

pub(super) fn end_session() -> Operation {
    let id = Param::path("id", "{{sessionId}}", "As `GET /api/auth/tokens` names it.");
    Operation::new("endSession", "End a sign-in")
        .of(Tag::Auth)
        .about("Its tokens are refused everywhere from then on.")
        .param(id)
        .param(of_user())
        .answers(Answer::empty(204, "It is ended."))
        .fails(&[Code::SessionNotFound, Code::SessionsUnavailable])
}

pub(super) fn me() -> Operation {
    let example = json!({
        "principal": "user:admin", "kind": "user", "username": "admin", "email": null,
        "roles": ["admin"], "session": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "expiresAt": "2026-11-21T10:51:44.000Z",
    });
    Operation::new("whoAmI", "Who sends the request").of(Tag::Auth).answers(Answer::json::<Me>(
        200,
        "Name and roles.",
        example,
    ))
}
