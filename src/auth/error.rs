//! Why a request's credentials do not hold, and why a sign-in does not.

use crate::domain::Class;
use crate::ingest::IngestError;

use super::random::NoRandomness;

/// Why a request is nobody's. The texts are for clients: they say what to do, and nothing that
/// helps to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither token nor key.
    #[error(
        "this needs an access token (Authorization: Bearer …, from POST /api/auth/login) or an \
         API key (X-API-Key: …)"
    )]
    Missing,
    /// Two at once.
    #[error("send either Authorization or X-API-Key, and that once")]
    Ambiguous,
    /// `Authorization` of another form.
    #[error("Authorization must be: Bearer, one space, an access token")]
    Malformed,
    /// Not signed by us, or not meant for us.
    #[error("the access token is not valid")]
    InvalidToken,
    /// Past its time.
    #[error("the access token has expired; POST /api/auth/refresh gives a new one")]
    ExpiredToken,
    /// Signed out, or revoked.
    #[error("the access token was revoked; sign in again")]
    RevokedToken,
    /// The user is gone, or has another password or other roles.
    #[error("the user has changed since the access token was issued; sign in again")]
    OutdatedToken,
    /// No such key.
    #[error("there is no such API key")]
    UnknownKey,
    /// Past its time.
    #[error("the API key has expired")]
    ExpiredKey,
}

impl AuthError {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::Ambiguous,
        Self::Malformed,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::OutdatedToken,
        Self::UnknownKey,
        Self::ExpiredKey,
    ];

    /// The word that counts it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Malformed => "malformed",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::OutdatedToken => "outdated_token",
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
        }
    }

    /// What to do about it.
    pub fn class(self) -> Class {
        Class::Poison
    }
}

/// Why a family was not begun, refreshed or ended.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// No token of ours, or one of a family that is over.
    #[error("the refresh token is not valid; sign in again")]
    Invalid,
    /// Used before.
    #[error("the refresh token was used before, so this sign-in is ended; sign in again")]
    Reused {
        /// Whose.
        user: String,
        /// Which sign-in.
        family: String,
    },
    /// Another refresh with the same token was faster.
    #[error("another request has just used this refresh token")]
    Lost,
    /// No such sign-in.
    #[error("there is no such sign-in")]
    NotFound,
    /// No room for more of them.
    #[error("too many sign-ins are kept; some must end before anybody can sign in")]
    Full,
    /// The log can't be written, or is not read yet.
    #[error("sign-ins can't be kept now: {0}")]
    Unavailable(String),
    /// Our fault.
    #[error("sign-ins can't be kept: {0}")]
    Failed(String),
}

impl From<IngestError> for FamilyError {
    fn from(error: IngestError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<NoRandomness> for FamilyError {
    fn from(error: NoRandomness) -> Self {
        Self::Failed(error.to_string())
    }
}
