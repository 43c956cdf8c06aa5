//! What a machine of its own is given: a key for the command line beside the data, and in `dev` a
//! secret and a first user.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Secret;

use super::accounts::Accounts;
use super::random::{NoRandomness, base64url, bytes, secret_text, sha256};
use super::roles::{Principal, Role, Roles};
use super::users::LOCAL_KEY_NAME;
use super::users_file::UsersFileError;

/// In the data directory.
pub const LOCAL_KEY_FILE: &str = "local.key";
const JWT_SECRET_FILE: &str = "jwt.secret";
/// In the data directory, of `dev` only.
pub const WEBHOOK_SECRET_FILE: &str = "webhook.secret";
/// Where the key to the mock of Acme is that `dev` runs beside it.
pub const ACME_KEY_FILE: &str = "acme.key";
/// The first user of `dev`.
pub const FIRST_USER: &str = "admin";

/// A file beside the data that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The file system's.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system's generator.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The file of users.
    #[error(transparent)]
    Users(#[from] UsersFileError),
}

impl LocalError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A key of this process alone, which whoever may read its data directory may use: the command
/// line finds it there.
pub(super) struct LocalKey {
    key: Secret,
    hash: [u8; 32],
    principal: Arc<Principal>,
}

impl LocalKey {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let key = format!("ck_local_{}", secret_text()?);
        let principal = Principal {
            name: Arc::from(format!("key:{LOCAL_KEY_NAME}")),
            roles: Roles::of(&[Role::Admin]),
            withheld: Roles::NONE,
            session: None,
            expires_at_s: None,
        };
        let hash = sha256(key.as_bytes());
        Ok(Self { key: Secret::new(key), hash, principal: Arc::new(principal) })
    }

    pub(super) fn is_called(&self, principal: &str) -> bool {
        *self.principal.name == *principal
    }

    pub(super) fn whose(&self, hash: &[u8; 32]) -> Option<&Arc<Principal>> {
        use subtle::ConstantTimeEq as _;
        bool::from(self.hash.ct_eq(hash)).then_some(&self.principal)
    }

    /// Puts it where the command line looks. Only who has locked the directory may do this.
    pub(super) fn publish(&self, store: &Path) -> Result<(), LocalError> {
        replace(&store.join(LOCAL_KEY_FILE), self.key.expose())
    }
}

/// The key of the instance whose data is here, if one has left it.
pub fn local_key(store: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(store.join(LOCAL_KEY_FILE)).ok()?;
    Some(Secret::new(text.trim())).filter(|key| !key.expose().is_empty())
}

/// The secret that `dev` signs tokens with: made once, kept beside the data.
///
/// # Errors
/// When it can't be read or written.
pub fn kept_jwt_secret(store: &Path) -> Result<Secret, LocalError> {
    kept_secret(store, JWT_SECRET_FILE)
}

/// The secret that `dev` takes webhooks with: made once, kept beside the data.
///
/// # Errors
/// When it can't be read or written.
pub fn kept_webhook_secret(store: &Path) -> Result<Secret, LocalError> {
    kept_secret(store, WEBHOOK_SECRET_FILE)
}

/// The key to the mock of Acme that `dev` runs beside it: made once, kept beside the data.
///
/// # Errors
/// When it can't be read or written.
pub fn kept_acme_key(store: &Path) -> Result<Secret, LocalError> {
    kept_secret(store, ACME_KEY_FILE)
}

/// The secret of webhooks of the instance whose data is here, if `dev` has made one.
pub fn local_webhook_secret(store: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(store.join(WEBHOOK_SECRET_FILE)).ok()?;
    Some(Secret::new(text.trim())).filter(|secret| !secret.expose().is_empty())
}

fn kept_secret(store: &Path, name: &str) -> Result<Secret, LocalError> {
    let path = store.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LocalError::io(&path)(error)),
    }
    let secret = base64url(&bytes::<48>()?);
    std::fs::create_dir_all(store).map_err(LocalError::io(store))?;
    replace(&path, &secret)?;
    Ok(Secret::new(secret))
}

/// Where there is no file of users yet: one with an admin, whose password is returned.
///
/// # Errors
/// When it can't be written.
pub fn first_user(users_file: &Path) -> Result<Option<Secret>, LocalError> {
    if users_file.exists() {
        return Ok(None);
    }
    // 96 bits: not to be guessed, and still typed by hand.
    let password = base64url(&bytes::<12>()?);
    let admin = Roles::of(&[Role::Admin]);
    Accounts::at(users_file).add_user(FIRST_USER, None, admin, &password)?;
    Ok(Some(Secret::new(password)))
}

/// At once or not at all, for its owner only.
fn replace(path: &Path, text: &str) -> Result<(), LocalError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LocalError::io(&new)(error));
        }
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(LocalError::io(path))
}
