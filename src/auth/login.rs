//! Signing in, staying signed in, signing out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ingest::now_ms;
use crate::shared_state::{Decision, LimitClass, Subject};
use crate::telemetry::{Incident, IncidentKind, LoginOutcome};

use super::accounts::Accounts;
use super::authenticate::Auth;
use super::error::FamilyError;
use super::families::{Origin, Refreshed, Session};
use super::jwt::{Grant, SignError};
use super::password::{self, HashCost, PASSWORD_BYTES_MAX};
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
    /// Too many attempts on the account, or sign-ins of it.
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

/// A login as it is counted.
fn typed(login: &str) -> String {
    login.trim().to_lowercase().chars().take(LOGIN_CHARS_MAX).collect()
}

/// Slow hashes, few at a time.
pub(super) struct Hashing {
    pub(super) cost: HashCost,
    places: Semaphore,
    waiting: Semaphore,
}

impl Hashing {
    pub(super) fn new(cost: HashCost) -> Self {
        let (places, waiting) = (Semaphore::new(HASHED_AT_ONCE), Semaphore::new(WAITING_MAX));
        Self { cost, places, waiting }
    }

    /// Whether it is the user's password. Without a user it takes as long, and is not.
    pub(super) async fn verify(
        &self,
        user: Option<&User>,
        password: String,
    ) -> Result<bool, LoginError> {
        let hash = user.map_or_else(|| self.cost.decoy(), |user| user.password.clone());
        let verified = self.run(move || password::verify(&password, &hash)).await?;
        Ok(verified && user.is_some())
    }

    /// Something that hashes a password, when there is a place for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        hashing: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoginError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| LoginError::Overloaded)?;
        let place = tokio::time::timeout(WAIT_MAX, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(LoginError::Overloaded);
        };
        let hashed = tokio::task::spawn_blocking(hashing).await;
        hashed.map_err(|error| LoginError::Failed(error.to_string()))
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
            Err(LoginError::Family(FamilyError::Full)) => LoginOutcome::Full,
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
        let login = typed(login);
        let attempts = self.attempts(user.as_deref(), &login, origin);
        let name = user.as_deref().map(|user| &*user.name);
        let is_user_let = match self.count(&attempts).await {
            Ok(is_user_let) => is_user_let,
            Err(limited) => return Err(self.failed(name, origin, limited)),
        };
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(self.failed(name, origin, LoginError::InvalidCredentials));
        }
        // Takes as long, and says the same, as where there is no such user.
        let let_in = user.as_deref().filter(|_| is_user_let);
        let fits = self.hashing.verify(let_in, password.clone()).await?;
        if !is_user_let {
            self.incident(IncidentKind::LockedOut, name, origin, LimitClass::Account.as_str());
            return Err(LoginError::InvalidCredentials);
        }
        let Some(user) = user.clone().filter(|_| fits) else {
            return Err(self.failed(name, origin, LoginError::InvalidCredentials));
        };
        let user = self.upgraded(user, password).await;
        // Only what fails counts.
        for attempt in &attempts {
            self.limiter.give_back(LimitClass::Account, attempt).await;
        }
        if let Err(limited) = self.count_sign_in(&user).await {
            return Err(self.failed(Some(&user.name), origin, limited));
        }
        self.begin(&user, origin).await
    }

    /// A new sign-in of a user who has proved to be that.
    pub(super) async fn begin(&self, user: &User, origin: &Origin) -> Result<SignedIn, LoginError> {
        let now_ms = now_ms();
        let begun = self
            .families
            .begin(&self.jwt.load_full(), &user.name, &user.stamp, origin, now_ms)
            .await?;
        self.incident(IncidentKind::SignedIn, Some(&user.name), origin, &begun.family);
        self.signed_in(user, begun, now_ms)
    }

    /// The error, told to the security log. A name that nobody has is not: it may be a password.
    pub(super) fn failed(
        &self,
        user: Option<&str>,
        origin: &Origin,
        error: LoginError,
    ) -> LoginError {
        let (kind, detail) = match &error {
            LoginError::Limited(decision) => (IncidentKind::LockedOut, decision.class.as_str()),
            _ if user.is_some() => (IncidentKind::SignInFailed, "wrong_password"),
            _ => (IncidentKind::SignInFailed, "unknown_user"),
        };
        self.incident(kind, user, origin, detail);
        error
    }

    fn incident(&self, kind: IncidentKind, user: Option<&str>, origin: &Origin, detail: &str) {
        self.metrics.security.tell(Incident {
            user: user.map(str::to_owned),
            address: origin.address.clone(),
            request_id: origin.request_id.clone(),
            detail: detail.to_owned(),
            ..Incident::new(kind)
        });
    }

    /// Each sign-in takes room until its access tokens are over, whoever ends it.
    pub(super) async fn count_sign_in(&self, user: &User) -> Result<(), LoginError> {
        let decision = self.limiter.check(LimitClass::SignIn, &Subject::User(&user.name)).await;
        match decision.filter(|decision| !decision.is_allowed) {
            Some(decision) => Err(LoginError::Limited(decision)),
            None => Ok(()),
        }
    }

    /// The user with a hash of today's cost. One in a file that can't be written stays as it is.
    async fn upgraded(&self, user: Arc<User>, password: String) -> Arc<User> {
        if !password::is_weak(&user.password, self.hashing.cost) {
            return user;
        }
        let accounts = Accounts::at(self.users.path())
            .by(&format!("user:{}", user.name))
            .with_cost(self.hashing.cost);
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

    /// What attempts are counted by: what was typed, and the user that it means, by name or by e-mail
    /// address. From an address at which the user was signed in lately they count apart, so that nobody
    /// elsewhere can keep the user out.
    fn attempts<'a>(
        &self,
        user: Option<&'a User>,
        login: &'a str,
        origin: &'a Origin,
    ) -> Vec<Subject<'a>> {
        let Some(user) = user else {
            return vec![Subject::Login(login)];
        };
        let known = self.families.of(&user.name, now_ms()).unwrap_or_default();
        if known.iter().any(|session| session.address == origin.address) {
            let address = &origin.address;
            vec![Subject::LoginAt(login, address), Subject::UserAt(&user.name, address)]
        } else {
            vec![Subject::Login(login), Subject::User(&user.name)]
        }
    }

    /// Counts an attempt. Too many by what was typed are told so. Too many by the user, of which some
    /// came by another of its names, are not (false): it would say that the two are one.
    async fn count(&self, attempts: &[Subject<'_>]) -> Result<bool, LoginError> {
        let mut is_user_let = true;
        for attempt in attempts {
            let decision = self.limiter.check(LimitClass::Account, attempt).await;
            let Some(decision) = decision.filter(|decision| !decision.is_allowed) else {
                continue;
            };
            match attempt {
                Subject::User(_) | Subject::UserAt(..) => is_user_let = false,
                _ => return Err(LoginError::Limited(decision)),
            }
        }
        Ok(is_user_let)
    }

    /// A new access token, and a new refresh token for the one that is given.
    ///
    /// # Errors
    /// When that is not current, or it can't be found out or kept now.
    pub async fn refresh(&self, token: &str, origin: &Origin) -> Result<SignedIn, LoginError> {
        let result = self.try_refresh(token, origin).await;
        self.metrics.auth.refreshed(match &result {
            Ok(_) => "success",
            Err(LoginError::Family(FamilyError::Reused { .. })) => "reused",
            Err(LoginError::Family(FamilyError::Unavailable(_) | FamilyError::Full)) => {
                "unavailable"
            }
            Err(_) => "rejected",
        });
        result
    }

    async fn try_refresh(&self, token: &str, origin: &Origin) -> Result<SignedIn, LoginError> {
        let now_ms = now_ms();
        let refreshed = self.families.refresh(&self.jwt.load_full(), token, origin, now_ms).await;
        if let Err(FamilyError::Reused { user, family }) = &refreshed {
            self.incident(IncidentKind::RefreshReused, Some(user), origin, family);
        }
        let refreshed = refreshed?;
        let user = self.users.with(|directory| directory.user(&refreshed.user).cloned());
        let Some(user) = user.filter(|user| user.stamp == refreshed.stamp) else {
            // Gone, or with another password or other roles since.
            let (user, family) = (&refreshed.user, &refreshed.family);
            self.families.end(&self.jwt.load_full(), user, family, origin, now_ms).await?;
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
        let (access_token, ends_s) = self.jwt.load().sign(&grant, now_s)?;
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
        self.families.end(&self.jwt.load_full(), user, session, origin, now_ms()).await?;
        self.incident(IncidentKind::SignedOut, Some(user), origin, session);
        Ok(())
    }

    /// The sign-ins of a user; none named: one's own.
    ///
    /// # Errors
    /// When they are another's and the principal is neither admin nor operator, or they can't be read now.
    pub fn sessions(
        &self,
        who: &Principal,
        of: Option<&str>,
    ) -> Result<Option<Vec<Session>>, FamilyError> {
        let is_for_all = who.roles.has(Role::Admin) || who.roles.has(Role::Operator);
        match whose(who, of, is_for_all) {
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
        let Some(user) = whose(who, of, who.roles.has(Role::Admin)) else {
            return Ok(None);
        };
        let now_ms = now_ms();
        if !self.families.of(user, now_ms)?.iter().any(|session| session.id == id) {
            return Err(FamilyError::NotFound);
        }
        self.families.end(&self.jwt.load_full(), user, id, origin, now_ms).await?;
        self.metrics.security.tell(Incident {
            user: Some(user.to_owned()),
            address: origin.address.clone(),
            request_id: origin.request_id.clone(),
            detail: id.to_owned(),
            by: Some(who.name.to_string()),
            ..Incident::new(IncidentKind::SignedOut)
        });
        Ok(Some(()))
    }
}

/// The user whose sign-ins are meant: one's own, or another's for whom all are there.
fn whose<'a>(who: &'a Principal, of: Option<&'a str>, is_for_all: bool) -> Option<&'a str> {
    let own = who.name.strip_prefix("user:");
    match of {
        None => Some(own.unwrap_or_default()),
        Some(of) if own == Some(of) || is_for_all => Some(of),
        Some(_) => None,
    }
}
