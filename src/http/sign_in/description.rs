//! Signing in, and who one is.

use serde_json::json;

use super::answers::{AccessToken, Me, Sessions, Tokens};
use super::requests::{ChangePassword, Login, Refresh};
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, page_params, text,
};
use crate::http::exchange::error::Code;

pub(super) fn login() -> Operation {
    let example = json!({ "username": "{{username}}", "password": "{{password}}" });
    let operation = Operation::new("login", "Log in")
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
    let operation = Operation::new("refresh", "Refresh the access token")
        .of(Tag::Auth)
        .about(
            "Each refresh token is good once, and its answer has the next one. One that was used \
             before ends the sign-in, since somebody else may have it; of two requests at once with \
             the same one, one wins.",
        )
        .body::<Refresh>(example);
    lets_in(operation, "The next tokens.", Code::InvalidRefreshToken)
}

/// Said by the page alone: what another site's form or link can't send.
fn of_page() -> Param {
    Param::header("X-Contactd-Page", "1", "Anything. Without it the request is refused.")
        .required()
        .sent()
}

pub(super) fn cookie_login() -> Operation {
    let example = json!({ "username": "{{username}}", "password": "{{password}}" });
    let operation = Operation::new("loginByCookie", "Log in, as the page at / does")
        .of(Tag::Auth)
        .about(
            "As `POST /api/auth/login`, but the refresh token is set as a cookie (HttpOnly, \
             SameSite=Strict) that no script can read. For pages of this origin alone, and none \
             where `page.enabled` is false.",
        )
        .param(of_page())
        .body::<Login>(example);
    by_cookie(operation, "Signed in.", Code::InvalidCredentials)
}

pub(super) fn cookie_refresh() -> Operation {
    let operation = Operation::new("refreshByCookie", "Refresh the access token, as the page does")
        .of(Tag::Auth)
        .about("With the refresh token of the cookie, which is replaced.")
        .param(of_page())
        // Clients that keep no cookies have none to send.
        .not_sent();
    by_cookie(operation, "The next access token.", Code::InvalidRefreshToken)
}

fn by_cookie(operation: Operation, about: &'static str, refused: Code) -> Operation {
    let token = json!({ "accessToken": "{{token}}", "tokenType": "Bearer", "expiresIn": 900 });
    operation.answers(Answer::json::<AccessToken>(200, about, token)).fails(&[
        refused,
        Code::Forbidden,
        Code::UnsupportedMediaType,
        Code::ValidationFailed,
        Code::SessionsUnavailable,
    ])
}

pub(super) fn change_password() -> Operation {
    let example = json!({ "currentPassword": "{{password}}", "newPassword": "{{password}}" });
    let operation = Operation::new("changePassword",
        "Change your password",
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
    Operation::new("logout", "Log out")
        .of(Tag::Auth)
        .about("Ends the sign-in of the access token, and every token that came of it, everywhere.")
        .answers(Answer::empty(204, "Signed out."))
        .fails(&[Code::SessionNotFound, Code::SessionsUnavailable])
        .last()
}

fn of_user() -> Param {
    let about = "Another user's: the roles admin and operator see them, admin ends them. Without it one's own.";
    Param::query("user", text(), "admin", about)
}

pub(super) fn sessions() -> Operation {
    let session = json!({
        "id": "{{sessionId}}", "createdAt": "2026-11-21T10:00:00.000Z",
        "lastUsedAt": "2026-11-21T10:36:44.451Z", "expiresAt": "2026-11-28T10:36:44.451Z",
        "address": "203.0.113.7", "userAgent": "curl/8.5.0", "current": true,
    });
    Operation::new("listSessions", "List a user's sign-ins (sessions)")
        .of(Tag::Auth)
        .param(of_user())
        .params(page_params())
        .answers(
            Answer::json::<Sessions>(
                200,
                "Sign-ins.",
                json!({ "data": [session], "meta": { "limit": 50, "nextCursor": null } }),
            )
            .with(&[Header::Link]),
        )
        .fails(&[Code::InvalidCursor, Code::NotReady, Code::SessionsUnavailable])
}

pub(super) fn end_session() -> Operation {
    let id = Param::path("id", "{{sessionId}}", "As `GET /api/auth/tokens` names it.");
    Operation::new("endSession", "End a sign-in (session)")
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
    Operation::new("whoAmI", "Show the current user").of(Tag::Auth).answers(Answer::json::<Me>(
        200,
        "Name and roles.",
        example,
    ))
}
