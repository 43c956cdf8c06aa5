//! Families of refresh tokens: one for every sign-in, kept as control records, so that every
//! instance decides alike.
//!
//! A family has one token that is current. A refresh replaces it by compare-and-set: of two at once
//! one wins, and the other is just refused. A token that was replaced before proves that somebody
//! has a copy, and ends the family. A family that is ended stays as a mark until the last access
//! token that came of it is over; that mark is what revokes those tokens.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::control::ControlEntry;
use crate::ingest::{Control, ControlOutcome, ControlWrite, IngestError};
use crate::shared_state::Revocations;

use super::jwt::{Jwt, LEEWAY_S};
use super::random::{self, NoRandomness, base64url, from_base64url, sha256_hex};

/// At once; the one that was not used for the longest time makes room.
const FAMILIES_MAX: usize = 32;
/// Entries that are looked at for one user.
const LISTED_MAX: usize = 1000;
/// How long a token may be known elsewhere before it is known here.
const LAG_MAX: Duration = Duration::from_secs(2);
/// Bytes of what a client says of itself.
const AGENT_CHARS_MAX: usize = 200;
/// Begins every refresh token.
const PREFIX: &str = "rt1";

/// Where a sign-in or refresh comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub address: String,
    /// Its `User-Agent`.
    pub agent: String,
    /// The request's id.
    pub request_id: String,
}

/// A family, as its control record holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Family {
    pub(super) created_ms: u64,
    pub(super) used_ms: u64,
    /// However often it is refreshed.
    pub(super) ends_ms: u64,
    /// Of the current token, from 1.
    pub(super) number: u64,
    /// SHA-256 of the current token.
    pub(super) token: String,
    /// The user's password and roles at the sign-in.
    pub(super) stamp: String,
    pub(super) address: String,
    pub(super) agent: String,
    #[serde(default)]
    pub(super) revoked: bool,
}

/// A family as its user sees it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Names it.
    pub id: String,
    /// Signed in, milliseconds since 1970.
    pub created_ms: u64,
    /// Last refreshed.
    pub used_ms: u64,
    /// Ends unless it is refreshed before.
    pub expires_ms: u64,
    /// Of the last use.
    pub address: String,
    /// Of the last use.
    pub agent: String,
}

/// Why a family was not begun, refreshed or ended.
#[derive(Debug, thiserror::Error)]
pub enum FamilyError {
    /// No token of ours, or one of a family that is over.
    #[error("the refresh token is not valid; sign in again")]
    Invalid,
    /// Used before.
    #[error("the refresh token was used before, so this sign-in is ended; sign in again")]
    Reused,
    /// Another refresh with the same token was faster.
    #[error("another request has just used this refresh token")]
    Lost,
    /// No such sign-in.
    #[error("there is no such sign-in")]
    NotFound,
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

/// A refresh token, read.
struct RefreshToken {
    user: String,
    family: String,
    number: u64,
}

impl RefreshToken {
    /// `rt1.<user>.<family>.<number>.<secret>.<proof>`: the proof says that we made it, so that
    /// nobody who only knows a family's id can end it.
    fn make(jwt: &Jwt, user: &str, family: &str, number: u64) -> Result<String, NoRandomness> {
        let user = base64url(user.as_bytes());
        let secret = random::secret_text()?;
        let text = format!("{PREFIX}.{user}.{family}.{number}.{secret}");
        let proof = jwt.proof(&text);
        Ok(format!("{text}.{proof}"))
    }

    fn read(jwt: &Jwt, token: &str) -> Option<Self> {
        let (text, proof) = token.rsplit_once('.')?;
        if token.len() > 512 || !jwt.is_proof(text, proof) {
            return None;
        }
        let mut parts = text.split('.');
        let (prefix, user, family) = (parts.next()?, parts.next()?, parts.next()?);
        let number = parts.next()?.parse().ok()?;
        let user = String::from_utf8(from_base64url(user)?).ok()?;
        (prefix == PREFIX).then(|| Self { user, family: family.to_owned(), number })
    }
}

/// What a refresh hands on: whose family it is, and its new token.
pub(super) struct Refreshed {
    pub(super) user: String,
    pub(super) family: String,
    pub(super) token: String,
    pub(super) stamp: String,
    pub(super) ends_ms: u64,
}

/// All families, through the control records of the open store.
pub(super) struct Families {
    /// Empty until the store is open.
    control: OnceLock<Arc<Control>>,
    pub(super) revocations: Arc<Revocations>,
    idle_ms: u64,
    longest_ms: u64,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn key(user: &str, family: &str) -> String {
    format!("family/{user}/{family}")
}

impl Families {
    pub(super) fn new(idle: Duration, longest: Duration, revocations: Arc<Revocations>) -> Self {
        let (idle_ms, longest_ms) = (millis(idle), millis(longest));
        Self { control: OnceLock::new(), revocations, idle_ms, longest_ms }
    }

    pub(super) fn open(&self, control: Arc<Control>) {
        // Only the first store counts, and there is no other.
        let _ = self.control.set(control);
    }

    fn control(&self) -> Result<&Arc<Control>, FamilyError> {
        self.control
            .get()
            .ok_or_else(|| FamilyError::Unavailable("the store is not open yet".to_owned()))
    }

    /// Moves with every revocation, and now and then without one.
    pub(super) fn generation(&self) -> u64 {
        let records = self.control.get().map_or(0, |control| control.reader().control_version());
        records.wrapping_add(self.revocations.version())
    }

    /// Whether access tokens of this family are revoked.
    pub(super) fn is_revoked(&self, user: &str, family: &str) -> bool {
        if self.revocations.is_revoked(family) {
            return true;
        }
        let entry = self.control.get().and_then(|it| it.reader().control(&key(user, family)));
        entry.as_ref().and_then(read).is_some_and(|family| family.revoked)
    }

    /// Begins a family: its id, its first token, and when it ends at the latest.
    pub(super) async fn begin(
        &self,
        jwt: &Jwt,
        user: &str,
        stamp: &str,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<Refreshed, FamilyError> {
        self.make_room(jwt, user, origin, now_ms).await?;
        let id = random::id()?;
        let token = RefreshToken::make(jwt, user, &id, 1)?;
        let family = Family {
            created_ms: now_ms,
            used_ms: now_ms,
            ends_ms: now_ms.saturating_add(self.longest_ms),
            number: 1,
            token: sha256_hex(token.as_bytes()),
            stamp: stamp.to_owned(),
            address: origin.address.clone(),
            agent: origin.agent.chars().take(AGENT_CHARS_MAX).collect(),
            revoked: false,
        };
        match self.write(user, &id, &family, Some(0), origin).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => Ok(Refreshed {
                user: user.to_owned(),
                family: id,
                token,
                stamp: family.stamp,
                ends_ms: family.ends_ms,
            }),
            ControlOutcome::Conflict { .. } => Err(FamilyError::Failed("an id came twice".into())),
            ControlOutcome::Refused { detail, .. } => Err(FamilyError::Failed(detail)),
        }
    }

    /// Replaces a family's token.
    pub(super) async fn refresh(
        &self,
        jwt: &Jwt,
        token: &str,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<Refreshed, FamilyError> {
        let given = RefreshToken::read(jwt, token).ok_or(FamilyError::Invalid)?;
        let (entry, family) = self.seen(&given).await?;
        let is_over = entry.expires_at_ms.is_some_and(|end| end <= now_ms);
        if family.revoked || is_over || family.ends_ms <= now_ms {
            return Err(FamilyError::Invalid);
        }
        if given.number < family.number {
            self.end(jwt, &given.user, &given.family, origin, now_ms).await?;
            return Err(FamilyError::Reused);
        }
        if family.token != sha256_hex(token.as_bytes()) {
            return Err(FamilyError::Invalid);
        }
        let number = family.number + 1;
        let token = RefreshToken::make(jwt, &given.user, &given.family, number)?;
        let next = Family {
            used_ms: now_ms,
            number,
            token: sha256_hex(token.as_bytes()),
            address: origin.address.clone(),
            agent: origin.agent.chars().take(AGENT_CHARS_MAX).collect(),
            ..family
        };
        let expected = Some(entry.revision);
        match self.write(&given.user, &given.family, &next, expected, origin).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => Ok(Refreshed {
                user: given.user,
                family: given.family,
                token,
                stamp: next.stamp,
                ends_ms: next.ends_ms,
            }),
            ControlOutcome::Conflict { .. } => Err(FamilyError::Lost),
            ControlOutcome::Refused { detail, .. } => Err(FamilyError::Failed(detail)),
        }
    }

    /// The family as the token knows it: a token that was made elsewhere may be known here only in
    /// a moment.
    async fn seen(&self, given: &RefreshToken) -> Result<(ControlEntry, Family), FamilyError> {
        let reader = self.control()?.reader();
        let mut changes = reader.control_watch();
        let look = || {
            let entry = reader.control(&key(&given.user, &given.family))?;
            read(&entry).map(|family| (entry, family))
        };
        let in_time = async {
            loop {
                changes.borrow_and_update();
                if let Some(known) = look().filter(|(_, family)| family.number >= given.number) {
                    return Some(known);
                }
                changes.changed().await.ok()?;
            }
        };
        match (tokio::time::timeout(LAG_MAX, in_time).await, look()) {
            (Ok(Some(known)), _) => Ok(known),
            (Ok(None) | Err(_), Some(_)) => {
                Err(FamilyError::Unavailable("this instance is behind the others".to_owned()))
            }
            // It was ours once, and is gone: expired, in all likelihood.
            (Ok(None) | Err(_), None) => Err(FamilyError::Invalid),
        }
    }

    /// Ends a family, and the access tokens that came of it.
    pub(super) async fn end(
        &self,
        jwt: &Jwt,
        user: &str,
        id: &str,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<(), FamilyError> {
        let lives = jwt.lifetime() + Duration::from_secs(LEEWAY_S);
        // At once, here and over Redis; the record is what lasts.
        self.revocations.revoke(id, lives).await;
        let known = self.control()?.reader().control(&key(user, id));
        let family = known.as_ref().and_then(read).unwrap_or(Family {
            created_ms: now_ms,
            used_ms: now_ms,
            ends_ms: now_ms,
            number: u64::MAX,
            token: String::new(),
            stamp: String::new(),
            address: String::new(),
            agent: String::new(),
            revoked: true,
        });
        // A refresh that is under way elsewhere expects another revision, and loses.
        let ends_ms = now_ms.saturating_add(millis(lives));
        let ended = Family { revoked: true, token: String::new(), ends_ms, ..family };
        match self.write(user, id, &ended, None, origin).await? {
            ControlOutcome::Refused { detail, .. } => Err(FamilyError::Failed(detail)),
            ControlOutcome::Applied { .. }
            | ControlOutcome::Unchanged { .. }
            | ControlOutcome::Conflict { .. } => Ok(()),
        }
    }

    /// A user's families that are not over, the last used first.
    pub(super) fn of(&self, user: &str, now_ms: u64) -> Result<Vec<Session>, FamilyError> {
        let prefix = format!("family/{user}/");
        let entries = self.control()?.reader().controls(&prefix, None, LISTED_MAX);
        let mut sessions: Vec<Session> = entries
            .into_iter()
            .filter_map(|(key, entry)| {
                let family = read(&entry).filter(|family| !family.revoked)?;
                let expires_ms = entry.expires_at_ms.filter(|end| *end > now_ms)?;
                Some(Session {
                    id: key.strip_prefix(&prefix)?.to_owned(),
                    created_ms: family.created_ms,
                    used_ms: family.used_ms,
                    expires_ms,
                    address: family.address,
                    agent: family.agent,
                })
            })
            .collect();
        sessions.sort_by(|one, other| {
            other.used_ms.cmp(&one.used_ms).then_with(|| one.id.cmp(&other.id))
        });
        Ok(sessions)
    }

    async fn make_room(
        &self,
        jwt: &Jwt,
        user: &str,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<(), FamilyError> {
        for session in self.of(user, now_ms)?.into_iter().skip(FAMILIES_MAX - 1) {
            self.end(jwt, user, &session.id, origin, now_ms).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        user: &str,
        id: &str,
        family: &Family,
        expected_revision: Option<u64>,
        origin: &Origin,
    ) -> Result<ControlOutcome, FamilyError> {
        let expires = family.used_ms.saturating_add(self.idle_ms).min(family.ends_ms);
        let expires = if family.revoked { family.ends_ms } else { expires };
        let value =
            serde_json::to_vec(family).map_err(|error| FamilyError::Failed(error.to_string()))?;
        let write = ControlWrite {
            key: key(user, id),
            expected_revision,
            expires_at_ms: Some(expires),
            value: Some(value),
            principal: Some(format!("user:{user}")),
            request_id: Some(origin.request_id.clone()).filter(|id| !id.is_empty()),
            id: None,
        };
        Ok(self.control()?.put(write).await?)
    }
}

/// A family of an entry that holds one.
fn read(entry: &ControlEntry) -> Option<Family> {
    if entry.is_removed() { None } else { serde_json::from_slice(&entry.value).ok() }
}
