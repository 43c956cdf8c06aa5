//! What `contactd user` and `contactd key` do to the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::format_rfc3339;

use super::password::{HashCost, check_password, hash};
use super::random::sha256_hex;
use super::roles::Roles;
use super::users::{KeyText, UserText, UsersText, check_name, checked_email, new_key};
use super::users_file::{UsersFileError, change, read_text};

/// The file with users and keys, to be changed.
#[derive(Clone, Debug)]
pub struct Accounts {
    path: PathBuf,
    /// Who changes it.
    by: String,
    cost: HashCost,
}

impl Accounts {
    /// In this file, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let by = format!("uid:{}", rustix::process::getuid().as_raw());
        Self { path: path.into(), by, cost: HashCost::default() }
    }

    /// In the name of a principal, instead of the user that the process runs as.
    #[must_use]
    pub fn by(self, principal: &str) -> Self {
        Self { by: principal.to_owned(), ..self }
    }

    /// Hashes passwords at that cost.
    #[must_use]
    pub fn with_cost(self, cost: HashCost) -> Self {
        Self { cost, ..self }
    }

    fn change<T>(
        &self,
        change_text: impl FnOnce(&mut UsersText) -> Result<T, UsersFileError>,
    ) -> Result<T, UsersFileError> {
        change(&self.path, |text| {
            let done = change_text(text)?;
            (text.changed_by, text.changed) = (Some(self.by.clone()), Some(now()));
            Ok(done)
        })
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
        let password = self.hashed(password, name)?;
        self.change(|text| {
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
                disabled: None,
                enabled: None,
            });
            Ok(())
        })
    }

    /// Sets a user's password; whoever is signed in as that user is not any more.
    ///
    /// # Errors
    /// When there is no such user, or it can't be a password.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), UsersFileError> {
        let password = self.hashed(password, name)?;
        self.change(|text| {
            let user = text.users.iter_mut().find(|user| user.name == name);
            user.ok_or_else(|| no_user(name))?.password = password;
            Ok(())
        })
    }

    /// Keeps a user out, signed in or not, until [`Accounts::enable_user`].
    ///
    /// # Errors
    /// When there is no such user.
    pub fn disable_user(&self, name: &str) -> Result<(), UsersFileError> {
        self.change(|text| {
            let user = text.users.iter_mut().find(|user| user.name == name);
            user.ok_or_else(|| no_user(name))?.disabled.get_or_insert_with(now);
            Ok(())
        })
    }

    /// Lets a disabled user in again. Tokens of before are of no use.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn enable_user(&self, name: &str) -> Result<(), UsersFileError> {
        self.change(|text| {
            let user = text.users.iter_mut().find(|user| user.name == name);
            let user = user.ok_or_else(|| no_user(name))?;
            if user.disabled.take().is_some() {
                user.enabled = Some(now());
            }
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
        let hash = hash(password, self.cost);
        let hash = hash.map_err(|error| UsersFileError::Refused(error.to_string()))?;
        self.change(|text| {
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
        self.change(|text| {
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
        self.change(|text| {
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
        self.change(|text| {
            let before = text.keys.len();
            text.keys.retain(|key| key.name != name);
            if text.keys.len() == before {
                return refused(format!("there is no key {name}; `contactd key list` shows them"));
            }
            Ok(())
        })
    }

    fn hashed(&self, password: &str, user: &str) -> Result<String, UsersFileError> {
        check_password(password, user)
            .and_then(|()| hash(password, self.cost))
            .map_err(|error| UsersFileError::Refused(error.to_string()))
    }
}

fn refused<T>(text: String) -> Result<T, UsersFileError> {
    Err(UsersFileError::Refused(text))
}

fn no_user(name: &str) -> UsersFileError {
    UsersFileError::Refused(format!("there is no user {name}; `contactd user list` shows them"))
}

fn now() -> String {
    rfc3339(SystemTime::now())
}

fn rfc3339(time: SystemTime) -> String {
    let ms = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format_rfc3339(u64::try_from(ms).unwrap_or(u64::MAX))
}
