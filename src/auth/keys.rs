//! API keys that are made over the API: control entries, so that every instance knows them at once.
//!
//! The entry `key/<name>` holds the SHA-256 of a key that names it: `ck_<name>~<secret>`. So one look-up
//! tells whose it is, and two instances can't give one name twice. The file of users has keys of its own,
//! for the first ones; a key is looked for there first.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ingest::{ControlOutcome, ControlWrite, IngestError, now_ms};
use crate::telemetry::{Incident, IncidentKind};

use super::authenticate::Auth;
use super::families::Origin;
use super::random::{NoRandomness, secret_text, sha256_hex};
use super::roles::{Principal, Roles};
use super::users::{KEY_PREFIX, LOCAL_KEY_NAME, check_name};

/// Keys at once, of all that are kept on the log.
pub const KEYS_MAX: usize = 1000;
/// Between the name and the secret: no name has it.
const SEPARATOR: char = '~';
const PREFIX: &str = "key/";
/// Characters of the secret that lists show.
const SHOWN_CHARS: usize = 4;

/// Why a key was not made or ended.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be called so.
    #[error("{0}")]
    Name(String),
    /// There is one of that name.
    #[error("there is a key {0} already; revoke it first, or take another name")]
    Exists(String),
    /// There is none of that name.
    #[error("there is no key {0}")]
    NotFound(String),
    /// It stands in the file of users.
    #[error("the key {0} stands in the file of users; `contactd key revoke {0}` ends it there")]
    InFile(String),
    /// There are as many as may be.
    #[error("there are {KEYS_MAX} keys, and more are not kept; revoke some")]
    TooMany,
    /// The log can't be written, or is not read yet.
    #[error("keys can't be kept now: {0}")]
    Unavailable(String),
    /// No secret can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<IngestError> for KeyError {
    fn from(error: IngestError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A key as its control entry holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptKey {
    roles: Vec<String>,
    sha256: String,
    prefix: String,
    created_ms: u64,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

/// A key as lists show it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Names it, and its principal `key:<name>`.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// How it begins, where that is known.
    pub prefix: Option<String>,
    /// Milliseconds since 1970, where that is known.
    pub created_ms: Option<u64>,
    /// Who made it, where that is known.
    pub created_by: Option<String>,
    /// When it ends; none: never.
    pub expires_ms: Option<u64>,
    /// Whether it stands in this instance's file of users.
    pub is_in_file: bool,
    /// When it was last used here, since the start.
    pub used_ms: Option<u64>,
}

fn entry_key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Auth {
    /// All keys, by name: those of the log, and those of this instance's file.
    pub fn keys(&self) -> Vec<ApiKey> {
        let mut keys: Vec<ApiKey> = self.users.with(|directory| {
            let principals = directory.keys().values();
            principals.map(|principal| self.in_file(principal)).collect()
        });
        if let Ok(control) = self.families.control() {
            let entries = control.reader().controls(PREFIX, None, KEYS_MAX);
            keys.extend(entries.into_iter().filter_map(|(key, entry)| {
                let name = key.strip_prefix(PREFIX)?.to_owned();
                let kept: KeptKey = serde_json::from_slice(&entry.value).ok()?;
                Some(self.on_log(name, kept))
            }));
        }
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        keys
    }

    fn in_file(&self, principal: &Principal) -> ApiKey {
        let name = principal.name.strip_prefix("key:").unwrap_or(&principal.name).to_owned();
        ApiKey {
            used_ms: self.used.last(&name),
            roles: principal.roles,
            prefix: None,
            created_ms: None,
            created_by: None,
            expires_ms: principal.expires_at_s.map(|s| s.saturating_mul(1000)),
            is_in_file: true,
            name,
        }
    }

    fn on_log(&self, name: String, kept: KeptKey) -> ApiKey {
        ApiKey {
            used_ms: self.used.last(&name),
            roles: Roles::from_words(&kept.roles).unwrap_or(Roles::NONE),
            prefix: Some(kept.prefix),
            created_ms: Some(kept.created_ms),
            created_by: Some(kept.created_by),
            expires_ms: kept.expires_ms,
            is_in_file: false,
            name,
        }
    }

    /// Makes a key, which is nowhere but in the answer.
    ///
    /// # Errors
    /// When it can't be called so, or can't be kept.
    pub async fn create_key(
        &self,
        who: &Principal,
        name: &str,
        roles: Roles,
        expires_ms: Option<u64>,
        origin: &Origin,
    ) -> Result<(String, ApiKey), KeyError> {
        check_name(name).map_err(KeyError::Name)?;
        if name == LOCAL_KEY_NAME || self.is_in_file(name) {
            return Err(KeyError::Exists(name.to_owned()));
        }
        let control = self.families.control().map_err(unavailable)?;
        if control.reader().control_count(PREFIX, KEYS_MAX) >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let secret = secret_text()?;
        let shown: String = secret.chars().take(SHOWN_CHARS).collect();
        let key = format!("{KEY_PREFIX}{name}{SEPARATOR}{secret}");
        let kept = KeptKey {
            roles: roles.words().into_iter().map(str::to_owned).collect(),
            sha256: sha256_hex(key.as_bytes()),
            prefix: format!("{KEY_PREFIX}{name}{SEPARATOR}{shown}"),
            created_ms: now_ms(),
            created_by: who.name.to_string(),
            expires_ms,
        };
        let value = serde_json::to_vec(&kept).map_err(|error| KeyError::Name(error.to_string()))?;
        let write = ControlWrite {
            key: entry_key(name),
            expected_revision: Some(0),
            expires_at_ms: expires_ms,
            value: Some(value),
            principal: Some(who.name.to_string()),
            request_id: Some(origin.request_id.clone()).filter(|id| !id.is_empty()),
            ..ControlWrite::default()
        };
        match control.put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {}
            ControlOutcome::Conflict { .. } => return Err(KeyError::Exists(name.to_owned())),
            ControlOutcome::Refused { detail, .. } => return Err(KeyError::Unavailable(detail)),
        }
        self.tell_of_key(who, name, format!("created with {roles}"), origin);
        Ok((key, self.on_log(name.to_owned(), kept)))
    }

    /// Ends a key, on every instance.
    ///
    /// # Errors
    /// When there is none of that name on the log, or that can't be kept.
    pub async fn revoke_key(
        &self,
        who: &Principal,
        name: &str,
        origin: &Origin,
    ) -> Result<(), KeyError> {
        let control = self.families.control().map_err(unavailable)?;
        let key = entry_key(name);
        if control.reader().control(&key).is_none() {
            let name = name.to_owned();
            return Err(match self.is_in_file(&name) {
                true => KeyError::InFile(name),
                false => KeyError::NotFound(name),
            });
        }
        let write = ControlWrite {
            key,
            revokes: true,
            principal: Some(who.name.to_string()),
            request_id: Some(origin.request_id.clone()).filter(|id| !id.is_empty()),
            ..ControlWrite::default()
        };
        match control.put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {}
            ControlOutcome::Conflict { .. } => {
                return Err(KeyError::Unavailable("it has just changed; try again".to_owned()));
            }
            ControlOutcome::Refused { detail, .. } => return Err(KeyError::Unavailable(detail)),
        }
        self.tell_of_key(who, name, "revoked".to_owned(), origin);
        Ok(())
    }

    fn is_in_file(&self, name: &str) -> bool {
        let principal = format!("key:{name}");
        self.users.with(|directory| directory.keys().values().any(|key| *key.name == *principal))
    }

    fn tell_of_key(&self, who: &Principal, name: &str, detail: String, origin: &Origin) {
        self.metrics.security.tell(Incident {
            user: Some(format!("key:{name}")),
            address: origin.address.clone(),
            request_id: origin.request_id.clone(),
            detail,
            by: Some(who.name.to_string()),
            ..Incident::new(IncidentKind::KeyChanged)
        });
    }

    /// Whose key it is, of those on the log.
    pub(super) fn key_on_log(&self, key: &[u8]) -> Option<Arc<Principal>> {
        let text = std::str::from_utf8(key).ok()?.strip_prefix(KEY_PREFIX)?;
        let (name, _) = text.split_once(SEPARATOR)?;
        check_name(name).ok()?;
        let kept = self.kept_key(name)?;
        if kept.sha256 != sha256_hex(key) {
            return None;
        }
        Some(Arc::new(Principal {
            name: Arc::from(format!("key:{name}")),
            roles: Roles::from_words(&kept.roles).ok()?,
            withheld: Roles::NONE,
            session: None,
            expires_at_s: kept.expires_ms.map(|ms| ms / 1000),
        }))
    }

    /// What a principal with a key on the log may do now.
    pub(super) fn roles_on_log(&self, principal: &str, now_ms: u64) -> Roles {
        let kept = principal.strip_prefix("key:").and_then(|name| self.kept_key(name));
        let kept = kept.filter(|kept| kept.expires_ms.is_none_or(|end| end > now_ms));
        kept.and_then(|kept| Roles::from_words(&kept.roles).ok()).unwrap_or(Roles::NONE)
    }

    /// Where it is not known whether it was revoked it counts as revoked.
    fn kept_key(&self, name: &str) -> Option<KeptKey> {
        let reader = self.families.control().ok()?.reader();
        let key = entry_key(name);
        let entry = reader.control(&key).filter(|_| reader.is_control_settled(&key))?;
        serde_json::from_slice(&entry.value).ok()
    }
}

fn unavailable(error: impl std::fmt::Display) -> KeyError {
    KeyError::Unavailable(error.to_string())
}
