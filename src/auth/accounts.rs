//! What `contactd user` and `contactd key` do to the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::format_rfc3339;

use super::password::{check_password, hash};
use super::random::sha256_hex;
use super::roles::Roles;
use super::users::{KeyText, UserText, UsersText, check_name, checked_email, new_key};
use super::users_file::{UsersFileError, change, read_text};

/// The file with users and keys, to be changed.
#[derive(Clone, Debug)]
pub struct Accounts {
    path: PathBuf,
}

impl Accounts {
    /// In this file, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list(&self) -> Result<UsersText, UsersFileError> {
        read_text(&self.path)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When there is one of that name, or name, e-mail address or password can't be.
    pub fn add_user(
        &self,
        name: &str,
        email: Option<&str>,
        roles: Roles,
        password: &str,
    ) -> Result<(), UsersFileError> {
        check_name(name).map_err(UsersFileError::Refused)?;
        let email = email.map(checked_email).transpose().map_err(UsersFileError::Refused)?;
        let password = hashed(password, name)?;
        change(&self.path, |text| {
            if text.users.iter().any(|user| user.name == name) {
                return refused(format!(
                    "there is a user {name} already; `contactd user passwd {name}` sets a password"
                ));
            }
            text.users.push(UserText {
                name: name.to_owned(),
                email,
                roles: roles.words().into_iter().map(str::to_owned).collect(),
                password,
                created: now(),
            });
            Ok(())
        })
    }

    /// Sets a user's password; whoever is signed in as that user is not any more.
    ///
    /// # Errors
    /// When there is no such user, or it can't be a password.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), UsersFileError> {
        let password = hashed(password, name)?;
        change(&self.path, |text| {
            let user = text.users.iter_mut().find(|user| user.name == name);
            user.ok_or_else(|| no_user(name))?.password = password;
            Ok(())
        })
    }

    /// Hashes a password that was right anew, at today's cost, unless another was set meanwhile.
    /// Whoever else is signed in as that user is not any more, as after any change of the hash.
    pub(super) fn upgrade_password(
        &self,
        name: &str,
        password: &str,
        old_hash: &str,
    ) -> Result<(), UsersFileError> {
        let hash = hash(password).map_err(|error| UsersFileError::Refused(error.to_string()))?;
        change(&self.path, |text| {
            let user = text.users.iter_mut().find(|user| user.name == name);
            match user.filter(|user| user.password == old_hash) {
                Some(user) => user.password = hash,
                None => return refused(format!("{name} has another password by now")),
            }
            Ok(())
        })
    }

    /// Removes a user, and with it every sign-in.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn remove_user(&self, name: &str) -> Result<(), UsersFileError> {
        change(&self.path, |text| {
            let before = text.users.len();
            text.users.retain(|user| user.name != name);
            if text.users.len() == before { Err(no_user(name)) } else { Ok(()) }
        })
    }

    /// Makes a key, which is nowhere but in the answer.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn create_key(
        &self,
        name: &str,
        roles: Roles,
        lifetime: Option<Duration>,
    ) -> Result<String, UsersFileError> {
        check_name(name).map_err(UsersFileError::Refused)?;
        let (key, prefix) =
            new_key().map_err(|error| UsersFileError::Refused(error.to_string()))?;
        let expires = lifetime.map(|lifetime| rfc3339(SystemTime::now() + lifetime));
        change(&self.path, |text| {
            if text.keys.iter().any(|key| key.name == name) {
                return refused(format!(
                    "there is a key {name} already; `contactd key revoke {name}` ends it"
                ));
            }
            text.keys.push(KeyText {
                name: name.to_owned(),
                roles: roles.words().into_iter().map(str::to_owned).collect(),
                prefix,
                sha256: sha256_hex(key.as_bytes()),
                created: now(),
                expires,
            });
            Ok(())
        })?;
        Ok(key)
    }

    /// Ends a key.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn revoke_key(&self, name: &str) -> Result<(), UsersFileError> {
        change(&self.path, |text: &mut UsersText| {
            let before = text.keys.len();
            text.keys.retain(|key| key.name != name);
            if text.keys.len() == before {
                return refused(format!("there is no key {name}; `contactd key list` shows them"));
            }
            Ok(())
        })
    }
}

fn refused<T>(text: String) -> Result<T, UsersFileError> {
    Err(UsersFileError::Refused(text))
}

fn no_user(name: &str) -> UsersFileError {
    UsersFileError::Refused(format!("there is no user {name}; `contactd user list` shows them"))
}

fn hashed(password: &str, user: &str) -> Result<String, UsersFileError> {
    check_password(password, user)
        .and_then(|()| hash(password))
        .map_err(|error| UsersFileError::Refused(error.to_string()))
}

fn now() -> String {
    rfc3339(SystemTime::now())
}

fn rfc3339(time: SystemTime) -> String {
    let ms = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format_rfc3339(u64::try_from(ms).unwrap_or(u64::MAX))
}
