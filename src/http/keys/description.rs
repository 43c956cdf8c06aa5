//! Keys and users.

use serde_json::{Value, json};

use super::answers::{KeyPage, NewApiKey, User, UserPage};
use super::requests::{NewKey, UserChange};
use crate::http::description::operation::{Answer, Header, Operation, Param, Tag, page_params};
use crate::http::exchange::error::Code;

fn described(operation: Operation) -> Operation {
    operation.of(Tag::Auth).fails(&[Code::NotAcceptable, Code::NotReady])
}

fn key() -> Value {
    json!({
        "name": "ci", "roles": ["viewer"], "prefix": "ck_ci~Zm9v", "createdAt": "2026-12-01T10:00:00.000Z",
        "createdBy": "user:admin", "expiresAt": null, "lastUsedAt": null, "keptIn": "log",
    })
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [key()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<KeyPage>(200, "A page, by name.", example);
    described(
        Operation::new("listKeys", "List API keys")
            .about("Those that were made here, which all instances know, and those of the file of users.")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn create() -> Operation {
    let example =
        json!({ "key": "ck_ci~Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6", "about": key() });
    described(
        Operation::new("createKey", "Create an API key")
            .about(
                "All instances know it at once. The key is shown in this answer, and never again.",
            )
            .body::<NewKey>(json!({ "name": "ci", "roles": ["viewer"] }))
            .not_sent()
            .answers(Answer::json::<NewApiKey>(201, "The key.", example))
            .fails(&[
                Code::UnsupportedMediaType,
                Code::ValidationFailed,
                Code::KeyConflict,
                Code::WriteUnavailable,
            ]),
    )
}

pub(super) fn revoke() -> Operation {
    described(
        Operation::new("revokeKey", "Revoke an API key")
            .about("No instance lets it in any more. A key of the file of users is revoked there.")
            .param(Param::path("name", "ci", "As `GET /api/keys` lists it."))
            .not_sent()
            .answers(Answer::empty(204, "It is revoked."))
            .fails(&[Code::KeyNotFound, Code::KeyConflict, Code::WriteUnavailable]),
    )
}

fn user() -> Value {
    json!({
        "username": "ada", "email": "ada@example.com", "roles": ["editor"], "disabled": false, "signIns": 2,
    })
}

pub(super) fn users() -> Operation {
    let example = json!({ "data": [user()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<UserPage>(200, "A page, by name.", example);
    described(
        Operation::new("listUsers", "List users")
            .about("Those of this instance's file of users, which `contactd user` changes.")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor, Code::SessionsUnavailable]),
    )
}

pub(super) fn change_user() -> Operation {
    described(
        Operation::new("changeUser", "Disable or enable a user")
            .about("In this instance's file of users. A disabled user is signed out everywhere.")
            .param(Param::path("name", "ada", "The user's name."))
            .body::<UserChange>(json!({ "disabled": true }))
            .not_sent()
            .answers(Answer::json::<User>(200, "The user since.", user()))
            .fails(&[
                Code::UnsupportedMediaType,
                Code::ValidationFailed,
                Code::UserNotFound,
                Code::SessionsUnavailable,
            ]),
    )
}
