//! A user's own password, changed by its user.

use crate::ingest::now_ms;
use crate::shared_state::{LimitClass, Subject};

use super::accounts::Accounts;
use super::authenticate::Auth;
use super::families::Origin;
use super::login::{LoginError, SignedIn};
use super::password::{PASSWORD_BYTES_MAX, PasswordError, check_password};
use super::roles::Principal;
use super::users_file::UsersFileError;

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// An API key has none.
    #[error("only a user who is signed in has a password to change")]
    NoUser,
    /// It can't be one.
    #[error(transparent)]
    Unfit(#[from] PasswordError),
    /// The present one is wrong, or it can't be found out, or nobody could be signed in after.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The file of users can't be written.
    #[error("the password can't be kept: {0}")]
    Users(#[from] UsersFileError),
}

impl Auth {
    /// Changes the password of the one who asks, ends every sign-in, and begins a new one.
    ///
    /// # Errors
    /// When the present password is wrong, which counts as a sign-in that failed; when the new one
    /// can't be one; or when it can't be kept.
    pub async fn change_password(
        &self,
        who: &Principal,
        present: String,
        new: String,
        origin: &Origin,
    ) -> Result<SignedIn, ChangePasswordError> {
        let name = who.name.strip_prefix("user:").ok_or(ChangePasswordError::NoUser)?;
        let user = self.users.with(|directory| directory.user(name).cloned());
        let user = user.ok_or(ChangePasswordError::NoUser)?;
        check_password(&new, name)?;
        let attempt = Subject::User(name);
        let decision = self.limiter.check(LimitClass::Account, &attempt).await;
        if let Some(decision) = decision.filter(|decision| !decision.is_allowed) {
            return Err(self.failed(Some(name), origin, LoginError::Limited(decision)).into());
        }
        let is_present = present.len() <= PASSWORD_BYTES_MAX
            && self.hashing.verify(Some(&user), present).await?;
        if !is_present {
            return Err(self.failed(Some(name), origin, LoginError::InvalidCredentials).into());
        }
        self.limiter.give_back(LimitClass::Account, &attempt).await;
        // It begins one.
        if let Err(limited) = self.count_sign_in(&user).await {
            return Err(self.failed(Some(name), origin, limited).into());
        }
        self.keep_password(name.to_owned(), new).await?;
        let now_ms = now_ms();
        for session in self.families.of(name, now_ms).map_err(LoginError::from)? {
            let ended =
                self.families.end(&self.jwt.load_full(), name, &session.id, origin, now_ms).await;
            ended.map_err(LoginError::from)?;
        }
        let user = self.users.with(|directory| directory.user(name).cloned());
        let user = user.ok_or(ChangePasswordError::NoUser)?;
        Ok(self.begin(&user, origin).await?)
    }

    async fn keep_password(&self, name: String, new: String) -> Result<(), ChangePasswordError> {
        let accounts = Accounts::at(self.users.path())
            .by(&format!("user:{name}"))
            .with_cost(self.hashing.cost);
        let kept = self.hashing.run(move || accounts.set_password(&name, &new)).await?;
        kept?;
        self.users.look(&self.metrics);
        Ok(())
    }
}
