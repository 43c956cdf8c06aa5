//! Families of refresh tokens: one for every sign-in, kept as control records, so that every
//! instance decides alike.
//!
//! A family has one token that is current. A refresh replaces it by compare-and-set. The token before it
//! gets the same successor once more for a short while (`auth.refresh_grace`), since an answer may be lost
//! and two tabs may ask at once; that is noted in the record, whose time then says whether it was in
//! time. After that a token that was replaced proves that somebody has a copy, and ends the family. A
//! family that is ended stays as a mark until the last access token that came of it is over; that mark is
//! what revokes those tokens.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::AuthConfig;
use crate::domain::control::ControlEntry;
use crate::domain::verdict::DeadLetterReason;
use crate::ingest::{Control, ControlOutcome, ControlWrite, IngestError};
use crate::shared_state::Revocations;

use super::error::FamilyError;
use super::jwt::{Jwt, LEEWAY_S};
use super::random::{self, sha256_hex};
use super::refresh_token::RefreshToken;

/// Entries that are looked at for one user.
const LISTED_MAX: usize = 1000;
/// How long a token may be known elsewhere before it is known here.
const LAG_MAX: Duration = Duration::from_secs(2);
/// Bytes of what a client says of itself.
const AGENT_CHARS_MAX: usize = 200;
/// Looks at a family that changes under a refresh.
const TRIES_MAX: usize = 4;

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
    /// What its tokens are derived from, with a secret that is not on the log.
    pub(super) seed: String,
    /// Record time of the last refresh, where the record has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refreshed_at_ms: Option<u64>,
    /// How often the current token was given again.
    #[serde(default)]
    pub(super) repeats: u32,
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

/// What a refresh hands on: whose family it is, and its new token.
pub(super) struct Refreshed {
    pub(super) user: String,
    pub(super) family: String,
    pub(super) token: String,
    pub(super) stamp: String,
    pub(super) ends_ms: u64,
}

impl Refreshed {
    fn of(named: RefreshToken, token: String, family: Family) -> Self {
        let RefreshToken { user, family: id, .. } = named;
        Self { user, family: id, token, stamp: family.stamp, ends_ms: family.ends_ms }
    }
}

/// All families, through the control records of the open store.
pub(super) struct Families {
    /// Empty until the store is open.
    control: OnceLock<Arc<Control>>,
    pub(super) revocations: Arc<Revocations>,
    idle_ms: u64,
    longest_ms: u64,
    grace_ms: u64,
    /// Of one user at once; the one that was not used for the longest time makes room.
    sessions_max: usize,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn key(user: &str, family: &str) -> String {
    format!("family/{user}/{family}")
}

impl Families {
    pub(super) fn new(config: &AuthConfig, revocations: Arc<Revocations>) -> Self {
        Self {
            control: OnceLock::new(),
            revocations,
            idle_ms: millis(config.refresh_lifetime),
            longest_ms: millis(config.refresh_lifetime_max),
            grace_ms: millis(config.refresh_grace),
            sessions_max: config.sessions_max,
        }
    }

    /// How long a refresh token waits to be used.
    pub(super) fn idle_ms(&self) -> u64 {
        self.idle_ms
    }

    pub(super) fn open(&self, control: Arc<Control>) {
        // Only the first store counts, and there is no other.
        let _ = self.control.set(control);
    }

    pub(super) fn control(&self) -> Result<&Arc<Control>, FamilyError> {
        self.control
            .get()
            .ok_or_else(|| FamilyError::Unavailable("the store is not open yet".to_owned()))
    }

    /// Moves with every revocation, and now and then without one.
    pub(super) fn generation(&self) -> u64 {
        let records = self.control.get().map_or(0, |control| control.reader().control_version());
        records.wrapping_add(self.revocations.version())
    }

    /// Whether access tokens of this family are revoked, or that is not known here.
    pub(super) fn is_revoked(&self, user: &str, family: &str) -> bool {
        if self.revocations.is_revoked(family) {
            return true;
        }
        let Some(control) = self.control.get() else {
            return false;
        };
        let (reader, key) = (control.reader(), key(user, family));
        let entry = reader.control(&key);
        !reader.is_control_settled(&key)
            || entry.as_ref().and_then(read).is_some_and(|family| family.revoked)
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
        let (id, seed) = (random::id()?, random::secret_text()?);
        let first = RefreshToken { user: user.to_owned(), family: id.clone(), number: 1 };
        let token = first.make(jwt, &seed);
        let family = Family {
            created_ms: now_ms,
            used_ms: now_ms,
            ends_ms: now_ms.saturating_add(self.longest_ms),
            number: 1,
            token: sha256_hex(token.as_bytes()),
            seed,
            refreshed_at_ms: None,
            repeats: 0,
            stamp: stamp.to_owned(),
            address: origin.address.clone(),
            agent: origin.agent.chars().take(AGENT_CHARS_MAX).collect(),
            revoked: false,
        };
        match self.write(user, &id, &family, Some(0), origin).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                Ok(Refreshed::of(first, token, family))
            }
            ControlOutcome::Conflict { .. } => Err(FamilyError::Failed("an id came twice".into())),
            ControlOutcome::Refused { reason, detail } => Err(refused(reason, detail)),
        }
    }

    /// Replaces a family's token, or gives its successor once more where it was replaced a moment ago.
    pub(super) async fn refresh(
        &self,
        jwt: &Jwt,
        token: &str,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<Refreshed, FamilyError> {
        let given = RefreshToken::read(jwt, token).ok_or(FamilyError::Invalid)?;
        // The revision at the first look: a later one was made while this refresh was under way.
        let mut began = None;
        for _ in 0..TRIES_MAX {
            let (entry, family) = self.seen(&given).await?;
            let is_over = entry.expires_at_ms.is_some_and(|end| end <= now_ms);
            if family.revoked || is_over || family.ends_ms <= now_ms {
                return Err(FamilyError::Invalid);
            }
            let is_changed = *began.get_or_insert(entry.revision) < entry.revision;
            if given.number == family.number {
                if family.token != sha256_hex(token.as_bytes()) {
                    return Err(FamilyError::Invalid);
                }
                let replaced = self.replace(jwt, &given, (&entry, family), origin, now_ms).await?;
                if let Some(refreshed) = replaced {
                    return Ok(refreshed);
                }
            } else if is_changed && (self.grace_ms == 0 || given.successor().number < family.number)
            {
                break;
            } else if self.grace_ms == 0 || given.successor().number < family.number {
                return Err(self.reused(jwt, &given, origin, now_ms).await?);
            } else if !is_changed {
                self.note_repeat(&given, (&entry, family), origin).await?;
            } else if self.is_in_grace(&entry, &family) {
                return again(jwt, &given, family);
            } else {
                return Err(self.reused(jwt, &given, origin, now_ms).await?);
            }
        }
        Err(FamilyError::Lost)
    }

    /// Makes the next token current. None: another refresh was faster.
    async fn replace(
        &self,
        jwt: &Jwt,
        given: &RefreshToken,
        (entry, family): (&ControlEntry, Family),
        origin: &Origin,
        now_ms: u64,
    ) -> Result<Option<Refreshed>, FamilyError> {
        let successor = given.successor();
        let token = successor.make(jwt, &family.seed);
        let next = Family {
            used_ms: now_ms,
            number: successor.number,
            token: sha256_hex(token.as_bytes()),
            refreshed_at_ms: None,
            repeats: 0,
            address: origin.address.clone(),
            agent: origin.agent.chars().take(AGENT_CHARS_MAX).collect(),
            ..family
        };
        let expected = Some(entry.revision);
        match self.write(&given.user, &given.family, &next, expected, origin).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                Ok(Some(Refreshed::of(successor, token, next)))
            }
            ControlOutcome::Conflict { .. } => Ok(None),
            ControlOutcome::Refused { reason, detail } => Err(refused(reason, detail)),
        }
    }

    /// Writes down that a token came again. The time of that record, or of the one that was faster, is
    /// by the same clock as the time of the refresh's.
    async fn note_repeat(
        &self,
        given: &RefreshToken,
        (entry, family): (&ControlEntry, Family),
        origin: &Origin,
    ) -> Result<(), FamilyError> {
        let noted = Family {
            refreshed_at_ms: family.refreshed_at_ms.or(Some(entry.changed_at_ms)),
            repeats: family.repeats.saturating_add(1),
            ..family
        };
        let expected = Some(entry.revision);
        match self.write(&given.user, &given.family, &noted, expected, origin).await? {
            ControlOutcome::Refused { reason, detail } => Err(refused(reason, detail)),
            ControlOutcome::Applied { .. }
            | ControlOutcome::Unchanged { .. }
            | ControlOutcome::Conflict { .. } => Ok(()),
        }
    }

    fn is_in_grace(&self, entry: &ControlEntry, family: &Family) -> bool {
        let refreshed_at_ms = family.refreshed_at_ms.unwrap_or(entry.changed_at_ms);
        entry.changed_at_ms.saturating_sub(refreshed_at_ms) <= self.grace_ms
    }

    /// Somebody has a copy of a token.
    async fn reused(
        &self,
        jwt: &Jwt,
        given: &RefreshToken,
        origin: &Origin,
        now_ms: u64,
    ) -> Result<FamilyError, FamilyError> {
        self.end(jwt, &given.user, &given.family, origin, now_ms).await?;
        Ok(FamilyError::Reused { user: given.user.clone(), family: given.family.clone() })
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
            (Ok(None) | Err(_), None) if reader.is_control_unsettled() => {
                Err(IngestError::Unsettled.into())
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
            seed: String::new(),
            refreshed_at_ms: None,
            repeats: 0,
            stamp: String::new(),
            address: String::new(),
            agent: String::new(),
            revoked: true,
        });
        // A refresh that is under way elsewhere expects another revision, and loses.
        let ends_ms = now_ms.saturating_add(millis(lives));
        let (token, seed) = (String::new(), String::new());
        // A mark is all that stays, and a small one.
        let (stamp, address, agent) = (String::new(), String::new(), String::new());
        let ended = Family { revoked: true, token, seed, ends_ms, stamp, address, agent, ..family };
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
        for session in self.of(user, now_ms)?.into_iter().skip(self.sessions_max.saturating_sub(1))
        {
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
            revokes: family.revoked,
            ..ControlWrite::default()
        };
        Ok(self.control()?.put(write).await?)
    }
}

fn refused(reason: DeadLetterReason, detail: String) -> FamilyError {
    if reason == DeadLetterReason::ControlFull {
        FamilyError::Full
    } else {
        FamilyError::Failed(detail)
    }
}

/// The successor of a token that was replaced before.
fn again(jwt: &Jwt, given: &RefreshToken, family: Family) -> Result<Refreshed, FamilyError> {
    let successor = given.successor();
    // None where it was made by a secret that is gone.
    let token = successor.make_again(jwt, &family.seed, &family.token).ok_or(FamilyError::Lost)?;
    Ok(Refreshed::of(successor, token, family))
}

/// A family of an entry that holds one.
fn read(entry: &ControlEntry) -> Option<Family> {
    if entry.is_removed() { None } else { serde_json::from_slice(&entry.value).ok() }
}
