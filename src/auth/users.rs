//! Users and API keys: what the file holds, and how a request finds them.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::domain::timestamp::parse_rfc3339_us;

use super::password;
use super::random::{base64url, from_hex, sha256};
use super::roles::{Principal, Roles};

/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// Every key begins with it, so that people and scanners know one when they see it.
pub(super) const KEY_PREFIX: &str = "ck_";
/// Characters after it that name the key: shown in lists, too few to help.
const KEY_LABEL_CHARS: usize = 8;
/// Bytes of the stamp that ties a token to a user's password and roles.
const STAMP_BYTES: usize = 9;
/// Of the key that a start makes for whoever reads its data directory: no other one has it.
pub(super) const LOCAL_KEY_NAME: &str = "local";

/// The file, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersText {
    /// Who changed it last by a command or over the API, for the security log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// When that was, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Those who sign in.
    #[serde(default, rename = "user", skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserText>,
    /// Programs.
    #[serde(default, rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyText>,
}

impl UsersText {
    /// From the file's text.
    ///
    /// # Errors
    /// The line, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
            });
            format!("line {line}: {}", error.message())
        })
    }

    /// As the file has it.
    ///
    /// # Errors
    /// What can't be: an entry, or its way into the file.
    pub fn to_file(&self) -> Result<String, String> {
        Directory::new(self)?;
        toml::to_string(self).map_err(|error| format!("can't be written: {error}"))
    }
}

/// Someone who signs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserText {
    /// Lower-case letters, digits and `._-`.
    pub name: String,
    /// To sign in with as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the user may do.
    pub roles: Vec<String>,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// RFC 3339.
    pub created: String,
    /// Since when the user can't sign in, RFC 3339; none: the user can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// When the user was let in again the last time, RFC 3339: tokens of before are of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<String>,
}

/// A program's way in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyText {
    /// As a user's.
    pub name: String,
    /// What the program may do.
    pub roles: Vec<String>,
    /// How the key begins, to recognise it by.
    pub prefix: String,
    /// Of the whole key, in hexadecimal digits.
    pub sha256: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl fmt::Debug for UserText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserText")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyText")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A user as requests need one.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    pub(super) email: Option<String>,
    pub(super) roles: Roles,
    pub(super) password: String,
    pub(super) is_disabled: bool,
    /// Differs after any change of password or roles, so that earlier tokens no longer fit.
    pub(super) stamp: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// Everybody, by what a request names them with.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    users: HashMap<String, Arc<User>>,
    names_by_email: HashMap<String, String>,
    /// By the SHA-256 of the key, so that the time of a look-up tells nothing about it.
    keys: HashMap<[u8; 32], Arc<Principal>>,
    /// Who says to have changed the file, and when.
    pub(super) changed: Option<(String, String)>,
}

impl Directory {
    /// Checks the file's text as a whole.
    ///
    /// # Errors
    /// The first entry that can't be, and why.
    pub(super) fn new(text: &UsersText) -> Result<Self, String> {
        let changed = text.changed_by.clone().zip(text.changed.clone());
        let mut directory = Self { changed, ..Self::default() };
        for entry in &text.users {
            directory.add_user(entry).map_err(|why| format!("user \"{}\": {why}", entry.name))?;
        }
        let mut names: Vec<&str> = Vec::new();
        for entry in &text.keys {
            if names.contains(&entry.name.as_str()) {
                return Err(format!("key \"{}\" stands there twice", entry.name));
            }
            names.push(&entry.name);
            directory.add_key(entry).map_err(|why| format!("key \"{}\": {why}", entry.name))?;
        }
        Ok(directory)
    }

    fn add_user(&mut self, entry: &UserText) -> Result<(), String> {
        check_name(&entry.name)?;
        if !password::is_hash(&entry.password) {
            return Err("password is no Argon2id hash; `contactd user passwd` sets one".to_owned());
        }
        let email = entry.email.as_deref().map(checked_email).transpose()?;
        if let Some(email) = &email
            && self.names_by_email.insert(email.clone(), entry.name.clone()).is_some()
        {
            return Err("has another user's e-mail address".to_owned());
        }
        let roles = roles(&entry.roles)?;
        let enabled = entry.enabled.as_deref().unwrap_or_default();
        let stamped = format!("{} {} {enabled}", roles.words().join(" "), entry.password);
        let hash = sha256(stamped.as_bytes());
        let user = User {
            name: Arc::from(entry.name.as_str()),
            email,
            roles,
            password: entry.password.clone(),
            is_disabled: entry.disabled.is_some(),
            stamp: base64url(hash.get(..STAMP_BYTES).unwrap_or_default()),
        };
        match self.users.insert(entry.name.clone(), Arc::new(user)) {
            None => Ok(()),
            Some(_) => Err("stands there twice".to_owned()),
        }
    }

    fn add_key(&mut self, entry: &KeyText) -> Result<(), String> {
        check_name(&entry.name)?;
        if entry.name == LOCAL_KEY_NAME {
            return Err("is what an instance calls the key that it makes itself".to_owned());
        }
        let hash = from_hex(&entry.sha256).ok_or("sha256 must be 64 hexadecimal digits")?;
        let expires = entry.expires.as_deref().map(|text| {
            parse_rfc3339_us(text.as_bytes())
                .ok_or_else(|| format!("expires is \"{text}\", and must be an RFC 3339 time"))
        });
        let principal = Principal {
            name: Arc::from(format!("key:{}", entry.name)),
            roles: roles(&entry.roles)?,
            withheld: Roles::NONE,
            session: None,
            expires_at_s: expires.transpose()?.map(|us| us / 1_000_000),
        };
        self.keys.insert(hash, Arc::new(principal));
        Ok(())
    }

    /// Nobody can come in.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.keys.is_empty()
    }

    /// One who may be let in.
    pub(super) fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name).filter(|user| !user.is_disabled)
    }

    /// All users, the disabled ones too.
    pub(super) fn users(&self) -> &HashMap<String, Arc<User>> {
        &self.users
    }

    /// All keys, by their SHA-256.
    pub(super) fn keys(&self) -> &HashMap<[u8; 32], Arc<Principal>> {
        &self.keys
    }

    /// What a principal, by its name, may do now.
    pub(super) fn roles_of(&self, principal: &str, now_s: u64) -> Roles {
        if let Some(user) = principal.strip_prefix("user:") {
            return self.user(user).map_or(Roles::NONE, |user| user.roles);
        }
        let key = self.keys.values().find(|key| *key.name == *principal);
        let key = key.filter(|key| key.expires_at_s.is_none_or(|end| end > now_s));
        key.map_or(Roles::NONE, |key| key.roles)
    }

    /// By what was typed: a name or an e-mail address, in any case.
    pub(super) fn user_by_login(&self, login: &str) -> Option<&Arc<User>> {
        let login = login.trim().to_lowercase();
        self.user(&login).or_else(|| self.user(self.names_by_email.get(&login)?))
    }

    /// Whose key has this SHA-256.
    pub(super) fn key(&self, hash: &[u8; 32]) -> Option<&Arc<Principal>> {
        self.keys.get(hash)
    }
}

/// Whether it can be a user's or a key's name: it stands in histories, limits and record keys.
///
/// # Errors
/// What a name must be.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && name.len() <= NAME_CHARS_MAX && name.chars().all(legal) {
        return Ok(());
    }
    Err(format!(
        "a name has 1 to {NAME_CHARS_MAX} lower-case letters, digits, dots, hyphens and \
         underscores, and begins with a letter or digit"
    ))
}

/// The address in lower case.
pub(super) fn checked_email(email: &str) -> Result<String, String> {
    let fine = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@')
    });
    let printable = email.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if fine && printable && email.len() <= 254 {
        return Ok(email.to_lowercase());
    }
    Err(format!("\"{email}\" is no e-mail address"))
}

pub(super) fn roles(words: &[String]) -> Result<Roles, String> {
    let roles = Roles::from_words(words).map_err(|word| {
        format!(
            "\"{word}\" is no role; there are {}",
            super::Role::ALL.map(super::Role::as_str).join(", ")
        )
    })?;
    if roles == Roles::NONE { Err("has no role".to_owned()) } else { Ok(roles) }
}

/// A new key, and the part of it that may be shown later.
pub(super) fn new_key() -> Result<(String, String), super::random::NoRandomness> {
    let label: String = super::random::id()?.chars().take(KEY_LABEL_CHARS).collect();
    let prefix = format!("{KEY_PREFIX}{label}");
    let key = format!("{prefix}_{}", super::random::secret_text()?);
    Ok((key, prefix))
}
