//! Signing in: a name and a password for tokens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::telemetry::LoginOutcome;

use super::authenticate::{Auth, unix_seconds};
use super::jwt::{Grant, SignError};
use super::password::{self, PASSWORD_BYTES_MAX};
use super::random;
use super::users::User;

/// Passwords hashed at once: each takes 19 MiB and a core.
const HASHED_AT_ONCE: usize = 2;
/// Those that may wait for that; more are sent away at once.
const WAITING_MAX: usize = 32;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, or another password; which of them is not told.
    #[error("user name or password is wrong")]
    InvalidCredentials,
    /// Too many at once.
    #[error("too many sign-ins are under way; try again")]
    Overloaded,
    /// Our fault.
    #[error("signing in failed: {0}")]
    Failed(String),
}

impl From<SignError> for LoginError {
    fn from(error: SignError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What signing in gives.
#[derive(Clone)]
pub struct SignedIn {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds that it lives.
    pub expires_in_s: u64,
}

/// Slow hashes, few at a time.
pub(super) struct Hashing {
    places: Semaphore,
    waiting: Semaphore,
}

/// What an unknown user's password is compared with, so that it takes as long.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29udGFjdGQgZGVjb3kgIQ$\
                     OFtq7oJ6mJbkW0gq9h4oWcFVnnl0qA6wGm5l3kqJp1E";

impl Hashing {
    pub(super) fn new() -> Self {
        Self { places: Semaphore::new(HASHED_AT_ONCE), waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Whether it is the user's password. Without a user it takes as long, and is not.
    async fn verify(&self, user: Option<&User>, password: String) -> Result<bool, LoginError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| LoginError::Overloaded)?;
        let place = tokio::time::timeout(WAIT_MAX, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(LoginError::Overloaded);
        };
        let hash = user.map_or(DECOY, |user| user.password.as_str()).to_owned();
        let verified = tokio::task::spawn_blocking(move || password::verify(&password, &hash));
        let verified = verified.await.map_err(|error| LoginError::Failed(error.to_string()))?;
        Ok(verified && user.is_some())
    }
}

impl Auth {
    /// Signs a user in.
    ///
    /// # Errors
    /// When name and password don't fit, or it can't be found out now.
    pub async fn login(&self, login: &str, password: String) -> Result<SignedIn, LoginError> {
        let result = self.verified(login, password).await;
        let result = match result {
            Ok(user) => self.sign_in(&user),
            Err(error) => Err(error),
        };
        self.metrics.auth.login(match &result {
            Ok(_) => LoginOutcome::Success,
            Err(LoginError::InvalidCredentials) => LoginOutcome::InvalidCredentials,
            Err(LoginError::Overloaded) => LoginOutcome::Overloaded,
            Err(LoginError::Failed(_)) => LoginOutcome::Failed,
        });
        result
    }

    async fn verified(&self, login: &str, password: String) -> Result<Arc<User>, LoginError> {
        let user = self.users.with(|directory| directory.user_by_login(login).cloned());
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(LoginError::InvalidCredentials);
        }
        let fits = self.hashing.verify(user.as_deref(), password).await?;
        user.filter(|_| fits).ok_or(LoginError::InvalidCredentials)
    }

    fn sign_in(&self, user: &User) -> Result<SignedIn, LoginError> {
        let now_s = unix_seconds();
        let session = random::id().map_err(|error| LoginError::Failed(error.to_string()))?;
        let roles = user.roles.words();
        let grant = Grant {
            user: &user.name,
            roles: &roles,
            stamp: &user.stamp,
            session: &session,
            ends_s: u64::MAX,
        };
        let (access_token, ends_s) = self.jwt.sign(&grant, now_s)?;
        Ok(SignedIn { access_token, expires_in_s: ends_s - now_s })
    }
}
