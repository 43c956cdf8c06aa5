//! From a request's headers to who sends it.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, JwtConfig};
use crate::ingest::{Control, now_ms};
use crate::shared_state::{Limiter, SharedState};
use crate::telemetry::Metrics;

use super::error::AuthError;
use super::families::Families;
use super::jwt::{Claims, Jwt};
use super::live::LiveUsers;
use super::local::{LocalError, LocalKey};
use super::login::Hashing;
use super::password::HashCost;
use super::random::{NoRandomness, sha256};
use super::remembered::Remembered;
use super::roles::{Principal, Role, Roles};
use super::used::Used;
use super::users::KEY_PREFIX;
use super::users_file::UsersFileError;

/// What a request brings along.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The one `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// The one `X-API-Key` header.
    pub api_key: Option<&'a [u8]>,
}

/// What keeps authentication from starting.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// The system's generator.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The file of users can't be read; nobody is let in on a guess.
    #[error(transparent)]
    Users(#[from] UsersFileError),
}

/// Knows who sends a request; one a process.
pub struct Auth {
    /// When keys were used.
    pub(super) used: Used,
    pub(super) jwt: ArcSwap<Jwt>,
    pub(super) users: LiveUsers,
    pub(super) hashing: Hashing,
    pub(super) families: Families,
    pub(super) limiter: Arc<Limiter>,
    pub(super) metrics: Arc<Metrics>,
    remembered: Remembered,
    local_key: LocalKey,
}

impl Auth {
    /// Reads the file of users.
    ///
    /// # Errors
    /// When that can't be understood, or there is no randomness.
    pub fn new(
        config: &Config,
        shared: &SharedState,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AuthSetupError> {
        Ok(Self {
            jwt: ArcSwap::from_pointee(Jwt::new(&config.jwt)?),
            users: LiveUsers::open(config.auth.users_file.clone())?,
            hashing: Hashing::new(HashCost::of(&config.auth)),
            families: Families::new(&config.auth, Arc::clone(&shared.revocations)),
            limiter: Arc::clone(&shared.limiter),
            metrics,
            remembered: Remembered::default(),
            local_key: LocalKey::new()?,
            used: Used::default(),
        })
    }

    /// Signs and verifies with these secrets from now on.
    ///
    /// # Errors
    /// Without a source of randomness, where there is no secret.
    pub fn set_secrets(&self, config: &JwtConfig) -> Result<(), NoRandomness> {
        self.jwt.store(Arc::new(Jwt::new(config)?));
        self.remembered.forget_all();
        Ok(())
    }

    /// From now on sign-ins can be kept, and revocations are read. Only the first call counts.
    pub fn store_opened(&self, control: Arc<Control>) {
        self.families.open(control);
    }

    /// Leaves a key for the command line in the data directory, which this process has locked.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn publish_local_key(&self, store: &Path) -> Result<(), LocalError> {
        self.local_key.publish(store)
    }

    /// Whether there is nobody to let in but the command line.
    pub fn knows_nobody(&self) -> bool {
        self.users.with(super::users::Directory::is_empty)
    }

    /// Reads the file of users again when it has changed, until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        self.users.run(&self.metrics, stop).await;
    }

    /// Whether a principal, by its name, has a role now.
    pub fn has_role(&self, principal: &str, role: Role) -> bool {
        let now_s = unix_seconds();
        self.local_key.is_called(principal)
            || self.users.with(|directory| directory.roles_of(principal, now_s)).has(role)
            || self.roles_on_log(principal, now_s.saturating_mul(1000)).has(role)
    }

    /// Seconds that a refresh token waits to be used.
    pub fn refresh_lifetime_s(&self) -> u64 {
        self.families.idle_ms() / 1000
    }

    /// The e-mail address of a user who has one.
    pub fn email_of(&self, principal: &Principal) -> Option<String> {
        let name = principal.name.strip_prefix("user:")?;
        self.users.with(|directory| directory.user(name)?.email.clone())
    }

    /// Whom credentials name that may no longer hold: a user, or a key as histories have it. None:
    /// nobody that ever was.
    pub fn named_by(&self, credentials: Credentials<'_>) -> Option<String> {
        if let Some(key) = credentials.api_key {
            let hash = sha256(key);
            let of_file = self.users.with(|directory| directory.key(&hash).cloned());
            let known = of_file.or_else(|| self.key_on_log(key));
            return known.map(|principal| principal.name.to_string());
        }
        let token = bearer(credentials.authorization?).ok()?;
        if is_key(token) {
            return self.named_by(Credentials { authorization: None, api_key: Some(token) });
        }
        self.jwt.load().verify(token, unix_seconds()).ok().map(|claims| claims.sub)
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// Why it is nobody.
    pub fn authenticate(&self, credentials: Credentials<'_>) -> Result<Arc<Principal>, AuthError> {
        self.authenticate_at(credentials, unix_seconds())
    }

    pub(super) fn authenticate_at(
        &self,
        credentials: Credentials<'_>,
        now_s: u64,
    ) -> Result<Arc<Principal>, AuthError> {
        match (credentials.authorization, credentials.api_key) {
            (None, None) => Err(AuthError::Missing),
            (Some(_), Some(_)) => Err(AuthError::Ambiguous),
            (Some(authorization), None) => match bearer(authorization)? {
                key if is_key(key) => self.by_key(key, now_s),
                token => self.by_token(token, now_s),
            },
            (None, Some(key)) => self.by_key(key, now_s),
        }
    }

    fn by_token(&self, token: &[u8], now_s: u64) -> Result<Arc<Principal>, AuthError> {
        // Read before anything is looked at: what changes meanwhile is looked at again.
        let generation = self.generation();
        if let Some(entry) = self.remembered.get(token) {
            if entry.claims.has_ended(now_s) {
                self.remembered.forget(token);
                return Err(AuthError::ExpiredToken);
            }
            if !entry.is_of(generation) {
                if let Err(error) = self.still_holds(&entry.claims, entry.principal.roles) {
                    self.remembered.forget(token);
                    return Err(error);
                }
                entry.still_holds(generation);
            }
            return Ok(Arc::clone(&entry.principal));
        }
        // RFC 6750's b64token, so that nothing else gets to the parser.
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if token.is_empty() || !token.iter().all(legal) {
            return Err(AuthError::Malformed);
        }
        let jwt = self.jwt.load_full();
        let claims = jwt.verify(token, now_s)?;
        let roles = Roles::from_words(&claims.roles).map_err(|_| AuthError::InvalidToken)?;
        self.still_holds(&claims, roles)?;
        let principal = Arc::new(Principal {
            name: Arc::from(format!("user:{}", claims.sub)),
            roles,
            withheld: Roles::NONE,
            session: Some(Arc::from(claims.sid.as_str())),
            expires_at_s: Some(claims.exp),
        });
        self.remembered.insert(token, claims, Arc::clone(&principal), generation, now_s);
        // The secret that it was verified with may be none any more.
        if !Arc::ptr_eq(&jwt, &self.jwt.load_full()) {
            self.remembered.forget(token);
        }
        Ok(principal)
    }

    /// Moves whenever a token that was good may no longer be: each of its parts only counts up.
    fn generation(&self) -> u64 {
        self.users.generation().wrapping_add(self.families.generation())
    }

    /// What may change while a token lives.
    fn still_holds(&self, claims: &Claims, roles: Roles) -> Result<(), AuthError> {
        let is_current = self.users.with(|directory| {
            directory
                .user(&claims.sub)
                .is_some_and(|user| user.stamp == claims.stamp && user.roles == roles)
        });
        if !is_current {
            return Err(AuthError::OutdatedToken);
        }
        if self.families.is_revoked(&claims.sub, &claims.sid) {
            return Err(AuthError::RevokedToken);
        }
        Ok(())
    }

    fn by_key(&self, key: &[u8], now_s: u64) -> Result<Arc<Principal>, AuthError> {
        let hash = sha256(key);
        let known = self.users.with(|directory| directory.key(&hash).cloned());
        let known = known.or_else(|| self.local_key.whose(&hash).cloned());
        let known = known.or_else(|| self.key_on_log(key)).ok_or(AuthError::UnknownKey)?;
        if known.expires_at_s.is_some_and(|end| end <= now_s) {
            return Err(AuthError::ExpiredKey);
        }
        self.used.note(known.name.strip_prefix("key:").unwrap_or(&known.name), now_s * 1000);
        Ok(known)
    }
}

/// The token of `Authorization: Bearer …`.
fn bearer(header: &[u8]) -> Result<&[u8], AuthError> {
    let (scheme, token) = header.split_at_checked(7).ok_or(AuthError::Malformed)?;
    if scheme.eq_ignore_ascii_case(b"bearer ") { Ok(token) } else { Err(AuthError::Malformed) }
}

/// Scrapers and proxies can often set no header but `Authorization`; no token begins as keys do.
fn is_key(token: &[u8]) -> bool {
    token.starts_with(KEY_PREFIX.as_bytes())
}

pub(super) fn unix_seconds() -> u64 {
    now_ms() / 1000
}
