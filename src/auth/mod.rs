//! Who may do what: users, keys, tokens and roles.
//!
//! ```text
//! users.toml ─► live (read again on change) ─┐
//! Authorization ─► remembered, else jwt ─────┼─► Auth::authenticate ─► Principal
//! X-API-Key ─► its SHA-256, else key (control record) ─┘
//! POST /api/auth/login ─► password (argon2id) ─► family (control record) ─► jwt, refresh token
//! ```

mod accounts;
mod authenticate;
mod changes;
mod error;
mod families;
mod hs256;
mod jwt;
mod keys;
mod known_users;
mod live;
mod local;
mod login;
mod own_password;
mod password;
mod random;
mod refresh_token;
mod remembered;
mod roles;
mod used;
mod users;
mod users_file;

pub use accounts::Accounts;
pub use authenticate::{Auth, AuthSetupError, Credentials};
pub use error::{AuthError, FamilyError};
pub use families::{Origin, Session};
pub use jwt::SignError;
pub use keys::{ApiKey, KEYS_MAX, KeyError};
pub use known_users::{KnownUser, UserError};
pub use local::{
    ACME_KEY_FILE, FIRST_USER, LOCAL_KEY_FILE, LocalError, WEBHOOK_SECRET_FILE, first_user,
    kept_acme_key, kept_jwt_secret, kept_webhook_secret, local_key, local_webhook_secret,
};
pub use login::{LoginError, SignedIn};
pub use own_password::ChangePasswordError;
pub use password::{HashCost, PASSWORD_CHARS_MIN, PasswordError, check_password};
pub use random::NoRandomness;
pub use roles::{Principal, Role, Roles};
pub use users::{KeyText, UserText, UsersText};
pub use users_file::UsersFileError;

#[cfg(test)]
mod tests;
