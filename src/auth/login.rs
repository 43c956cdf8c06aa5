//! Signing in, staying signed in, signing out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ingest::now_ms;
use crate::shared_state::{Decision, LimitClass, Subject};
use crate::telemetry::LoginOutcome;

use super::accounts::Accounts;
use super::authenticate::Auth;
use super::error::FamilyError;
use super::families::{Origin, Refreshed, Session};
use super::jwt::{Grant, SignError};
use super::password::{self, PASSWORD_BYTES_MAX};
use super::roles::{Principal, Role};
use super::users::User;

/// Passwords hashed at once: each takes 19 MiB and a core.
const HASHED_AT_ONCE: usize = 2;
/// Those that may wait for that; more are sent away at once.
const WAITING_MAX: usize = 32;
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Of what is counted as a name that nobody has.
const LOGIN_CHARS_MAX: usize = 254;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, or another password; which of them is not told.
    #[error("user name or password is wrong")]
    InvalidCredentials,
    /// Too many attempts on the account.
    #[error("too many attempts to sign in to this account")]
    Limited(Decision),
    /// Too many at once.
    #[error("too many sign-ins are under way; try again")]
    Overloaded,
    /// The sign-in can't be kept.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// Our fault.
    #[error("signing in failed: {0}")]
    Failed(String),
}

impl From<SignError> for LoginError {
    fn from(error: SignError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What signing in or refreshing gives.
#[derive(Clone)]
pub struct SignedIn {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// For the next access token; good once.
    pub refresh_token: String,
    /// Seconds that the access token lives.
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
    /// When name and password don't fit, or it can't be found out or kept now.
    pub async fn login(
        &self,
        login: &str,
        password: String,
        origin: &Origin,
    ) -> Result<SignedIn, LoginError> {
        let result = self.try_login(login, password, origin).await;
        self.metrics.auth.login(match &result {
            Ok(_) => LoginOutcome::Success,
            Err(LoginError::InvalidCredentials) => LoginOutcome::InvalidCredentials,
            Err(LoginError::Limited(_)) => LoginOutcome::Limited,
            Err(LoginError::Overloaded) => LoginOutcome::Overloaded,
            Err(LoginError::Family(FamilyError::Unavailable(_))) => LoginOutcome::Unavailable,
            Err(LoginError::Family(_) | LoginError::Failed(_)) => LoginOutcome::Failed,
        });
        result
    }

    async fn try_login(
        &self,
        login: &str,
        password: String,
        origin: &Origin,
    ) -> Result<SignedIn, LoginError> {
        let user = self.users.with(|directory| directory.user_by_login(login).cloned());
        let account = self.account(user.as_deref(), login, origin);
        let account = Subject::Account(&account);
        if let Some(decision) = self.limiter.check(LimitClass::Account, &account).await
            && !decision.is_allowed
        {
            return Err(LoginError::Limited(decision));
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(LoginError::InvalidCredentials);
        }
        let fits = self.hashing.verify(user.as_deref(), password.clone()).await?;
        let user = user.filter(|_| fits).ok_or(LoginError::InvalidCredentials)?;
        let user = self.upgraded(user, password).await;
        // Only what fails counts.
        self.limiter.give_back(LimitClass::Account, &account).await;
        let now_ms = now_ms();
        let begun = self.families.begin(&self.jwt, &user.name, &user.stamp, origin, now_ms).await?;
        self.signed_in(&user, begun, now_ms)
    }

    /// The user with a hash of today's cost. One in a file that can't be written stays as it is.
    async fn upgraded(&self, user: Arc<User>, password: String) -> Arc<User> {
        if !password::is_weak(&user.password) {
            return user;
        }
        let accounts = Accounts::at(self.users.path());
        let upgrade = tokio::task::spawn_blocking({
            let user = Arc::clone(&user);
            move || accounts.upgrade_password(&user.name, &password, &user.password)
        });
        if let Ok(Err(error)) = upgrade.await {
            tracing::warn!(user = %user.name, %error, "the password's weak hash is kept");
            return user;
        }
        self.users.look(&self.metrics);
        let upgraded = self.users.with(|directory| directory.user(&user.name).cloned());
        upgraded.unwrap_or(user)
    }

    /// What attempts are counted by: the account, known or not. From an address at which the user
    /// was signed in lately they count apart, so that nobody elsewhere can keep the user out.
    fn account(&self, user: Option<&User>, login: &str, origin: &Origin) -> String {
        let Some(user) = user else {
            return login.trim().to_lowercase().chars().take(LOGIN_CHARS_MAX).collect();
        };
        let known = self.families.of(&user.name, now_ms()).unwrap_or_default();
        let is_known = known.iter().any(|session| session.address == origin.address);
        if is_known { format!("{} {}", user.name, origin.address) } else { user.name.to_string() }
    }

    /// A new access token, and a new refresh token for the one that is given.
    ///
    /// # Errors
    /// When that is not current, or it can't be found out or kept now.
    pub async fn refresh(&self, token: &str, origin: &Origin) -> Result<SignedIn, LoginError> {
        let result = self.try_refresh(token, origin).await;
        self.metrics.auth.refreshed(match &result {
            Ok(_) => "success",
            Err(LoginError::Family(FamilyError::Reused)) => "reused",
            Err(LoginError::Family(FamilyError::Unavailable(_))) => "unavailable",
            Err(_) => "rejected",
        });
        result
    }

    async fn try_refresh(&self, token: &str, origin: &Origin) -> Result<SignedIn, LoginError> {
        let now_ms = now_ms();
        let refreshed = self.families.refresh(&self.jwt, token, origin, now_ms).await?;
        let user = self.users.with(|directory| directory.user(&refreshed.user).cloned());
        let Some(user) = user.filter(|user| user.stamp == refreshed.stamp) else {
            // Gone, or with another password or other roles since.
            let (user, family) = (&refreshed.user, &refreshed.family);
            self.families.end(&self.jwt, user, family, origin, now_ms).await?;
            return Err(FamilyError::Invalid.into());
        };
        self.signed_in(&user, refreshed, now_ms)
    }

    fn signed_in(
        &self,
        user: &User,
        family: Refreshed,
        now_ms: u64,
    ) -> Result<SignedIn, LoginError> {
        let now_s = now_ms / 1000;
        let roles = user.roles.words();
        let grant = Grant {
            user: &user.name,
            roles: &roles,
            stamp: &user.stamp,
            session: &family.family,
            ends_s: family.ends_ms / 1000,
        };
        let (access_token, ends_s) = self.jwt.sign(&grant, now_s)?;
        let expires_in_s = ends_s.saturating_sub(now_s);
        Ok(SignedIn { access_token, refresh_token: family.token, expires_in_s })
    }

    /// Ends the sign-in that the principal's access token belongs to.
    ///
    /// # Errors
    /// When it belongs to none, as an API key's; or when that can't be kept now.
    pub async fn logout(&self, who: &Principal, origin: &Origin) -> Result<(), FamilyError> {
        let user = who.name.strip_prefix("user:").ok_or(FamilyError::NotFound)?;
        let session = who.session.as_deref().ok_or(FamilyError::NotFound)?;
        self.families.end(&self.jwt, user, session, origin, now_ms()).await
    }

    /// The sign-ins of a user; none named: one's own.
    ///
    /// # Errors
    /// When they are another's and the principal is no admin, or they can't be read now.
    pub fn sessions(
        &self,
        who: &Principal,
        of: Option<&str>,
    ) -> Result<Option<Vec<Session>>, FamilyError> {
        match self.may_see(who, of) {
            Some(user) => self.families.of(user, now_ms()).map(Some),
            None => Ok(None),
        }
    }

    /// Ends one of a user's sign-ins; none named: one's own.
    ///
    /// # Errors
    /// When there is none of that id, or that can't be kept now.
    pub async fn end_session(
        &self,
        who: &Principal,
        of: Option<&str>,
        id: &str,
        origin: &Origin,
    ) -> Result<Option<()>, FamilyError> {
        let Some(user) = self.may_see(who, of) else {
            return Ok(None);
        };
        let now_ms = now_ms();
        if !self.families.of(user, now_ms)?.iter().any(|session| session.id == id) {
            return Err(FamilyError::NotFound);
        }
        self.families.end(&self.jwt, user, id, origin, now_ms).await.map(Some)
    }

    /// The user whose sign-ins are meant, if the principal may see them.
    fn may_see<'a>(&self, who: &'a Principal, of: Option<&'a str>) -> Option<&'a str> {
        let own = who.name.strip_prefix("user:");
        match of {
            None => Some(own.unwrap_or_default()),
            Some(of) if own == Some(of) || who.roles.has(Role::Admin) => Some(of),
            Some(_) => None,
        }
    }
}
