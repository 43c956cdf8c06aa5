//! Users as the API lists and changes them: those of the file.

use super::accounts::Accounts;
use super::authenticate::Auth;
use super::error::FamilyError;
use super::roles::{Principal, Roles};
use super::users_file::UsersFileError;
use crate::ingest::now_ms;

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of that name.
    #[error("there is no user {0}")]
    NotFound(String),
    /// Who asks would lock the door behind themselves.
    #[error("nobody can disable themselves")]
    Oneself,
    /// The file can't be written.
    #[error(transparent)]
    File(#[from] UsersFileError),
    /// It is not known who is signed in.
    #[error(transparent)]
    Family(#[from] FamilyError),
}

/// A user as lists show it.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// As it is signed in with.
    pub name: String,
    /// To sign in with as well.
    pub email: Option<String>,
    /// What it may do.
    pub roles: Roles,
    /// Can't sign in.
    pub is_disabled: bool,
    /// How many sign-ins it has.
    pub sign_ins: usize,
}

impl Auth {
    /// Users by name, at most `limit` after `after`.
    ///
    /// # Errors
    /// When sign-ins can't be read yet.
    pub fn known_users(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KnownUser>, UserError> {
        let mut users = self.users.with(|directory| {
            let users = directory.users().values();
            users.map(|user| self.known(user)).collect::<Vec<KnownUser>>()
        });
        users.sort_by(|one, other| one.name.cmp(&other.name));
        users.retain(|user| after.is_none_or(|after| user.name.as_str() > after));
        users.truncate(limit);
        let now_ms = now_ms();
        for user in &mut users {
            user.sign_ins = self.families.of(&user.name, now_ms)?.len();
        }
        Ok(users)
    }

    fn known(&self, user: &super::users::User) -> KnownUser {
        KnownUser {
            name: user.name.to_string(),
            email: user.email.clone(),
            roles: user.roles,
            is_disabled: user.is_disabled,
            sign_ins: 0,
        }
    }

    /// Keeps a user out, signed in or not, or lets one in again. Blocks for the file.
    ///
    /// # Errors
    /// When there is no such user, or the file can't be written.
    pub fn set_disabled(
        &self,
        who: &Principal,
        name: &str,
        disabled: bool,
    ) -> Result<KnownUser, UserError> {
        let find = || {
            let user = self.users.with(|directory| directory.users().get(name).cloned());
            user.ok_or_else(|| UserError::NotFound(name.to_owned()))
        };
        find()?;
        if disabled && who.name.strip_prefix("user:") == Some(name) {
            return Err(UserError::Oneself);
        }
        let accounts = Accounts::at(self.users.path()).by(&who.name);
        let changed =
            if disabled { accounts.disable_user(name) } else { accounts.enable_user(name) };
        changed?;
        self.users.look(&self.metrics);
        let changed = find()?;
        let mut user = self.known(&changed);
        user.sign_ins = self.families.of(name, now_ms())?.len();
        Ok(user)
    }
}
