//! What is answered about sign-ins, as it is sent and as it is described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{self, Principal, SignedIn};
use crate::domain::timestamp::format_rfc3339;
use crate::http::exchange::page::PageMeta;

/// What lets one in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tokens {
    /// For `Authorization: Bearer`; opaque.
    access_token: String,
    /// For `POST /api/auth/refresh`; good once.
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    #[schema(minimum = 0)]
    expires_in: u64,
}

impl Tokens {
    pub(super) fn of(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token,
            refresh_token: signed_in.refresh_token,
            token_type: "Bearer",
            expires_in: signed_in.expires_in_s,
        }
    }
}

/// What lets the page in; what it refreshes with is in a cookie.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccessToken {
    /// For `Authorization: Bearer`; opaque.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    #[schema(minimum = 0)]
    expires_in: u64,
}

impl AccessToken {
    pub(super) fn of(signed_in: SignedIn) -> Self {
        let Tokens { access_token, token_type, expires_in, .. } = Tokens::of(signed_in);
        Self { access_token, token_type, expires_in }
    }
}

/// Sign-ins, the last used first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sessions {
    pub(super) data: Vec<Session>,
    pub(super) meta: PageMeta,
}

/// One sign-in: a family of refresh tokens, of which one is current.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Session {
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

impl Session {
    pub(super) fn of(session: auth::Session, principal: &Principal) -> Self {
        Self {
            current: principal.session.as_deref() == Some(session.id.as_str()),
            id: session.id,
            created_at: format_rfc3339(session.created_ms),
            last_used_at: format_rfc3339(session.used_ms),
            expires_at: format_rfc3339(session.expires_ms),
            address: session.address,
            user_agent: session.agent,
        }
    }
}

/// Who sends the request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Me {
    /// As histories name it: `user:ada`, `key:ci`.
    principal: String,
    /// `user` or `key`.
    kind: String,
    username: String,
    #[schema(required = true)]
    email: Option<String>,
    roles: Vec<&'static str>,
    /// The sign-in; null for an API key.
    #[schema(required = true)]
    session: Option<String>,
    /// When the access token or API key ends; null: never.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
}

impl Me {
    pub(super) fn of(principal: &Principal, email: Option<String>) -> Self {
        let (kind, name) = principal.name.split_once(':').unwrap_or(("user", &principal.name));
        let expires_at = principal.expires_at_s.map(|at| format_rfc3339(at.saturating_mul(1000)));
        Self {
            principal: principal.name.to_string(),
            kind: kind.to_owned(),
            username: name.to_owned(),
            email,
            roles: principal.roles.words(),
            session: principal.session.as_deref().map(str::to_owned),
            expires_at,
        }
    }
}
