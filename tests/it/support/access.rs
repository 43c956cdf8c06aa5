//! A file of users and keys for tests: one key and one user of each role, all known here.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use contactd::auth::{Accounts, Auth, Role, Roles};
use contactd::config::{Config, FlagSetting, Mode, Sources, load};
use contactd::shared_state::SharedState;
use contactd::telemetry::Metrics;
use sha2::{Digest as _, Sha256};

/// Of every user; the user's name is the role's.
pub const PASSWORD: &str = "seven paper cranes";
/// Random enough for `serve`.
pub const JWT_SECRET: &str = "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";

/// The key of each role, `key:<role>`.
pub fn key(role: Role) -> String {
    format!("ck_test{}_for-tests-and-nothing-else", role.as_str())
}

/// Hashing passwords is slow on purpose, so once.
static FILE: LazyLock<String> = LazyLock::new(|| {
    use std::fmt::Write as _;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("users.toml");
    for role in Role::ALL {
        let email = format!("{}@example.com", role.as_str());
        Accounts::at(&path)
            .add_user(role.as_str(), Some(&email), Roles::of(&[role]), PASSWORD)
            .expect("a user");
    }
    let mut text = std::fs::read_to_string(&path).expect("a file of users");
    for role in Role::ALL {
        let (name, key) = (role.as_str(), key(role));
        let hash: String =
            Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        write!(
            text,
            "\n[[key]]\nname = \"{name}\"\nroles = [\"{name}\"]\nprefix = \"ck_test{name}\"\n\
             sha256 = \"{hash}\"\ncreated = \"2026-11-21T10:00:00.000Z\"\n"
        )
        .expect("text");
    }
    text
});

/// Puts the file there, unless there is one.
pub fn write_users(path: &Path) {
    if !path.exists() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        let new = path.with_extension("new");
        std::fs::write(&new, &*FILE).expect("a file of users");
        std::fs::set_permissions(&new, Permissions::from_mode(0o600)).expect("its mode");
        std::fs::rename(&new, path).expect("a file of users");
    }
}

/// Authentication without an instance around it, over that file in this directory.
pub fn auth(directory: &Path, metrics: &Arc<Metrics>) -> Arc<Auth> {
    let config = config(directory);
    write_users(&config.auth.users_file);
    let shared = SharedState::default();
    Arc::new(Auth::new(&config, &shared, Arc::clone(metrics)).expect("authentication"))
}

/// The configuration of [`auth`].
pub fn config(directory: &Path) -> Config {
    let set = |key: &str, value: &str| FlagSetting {
        flag: "test".to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let path = directory.display().to_string();
    let flags = vec![set("store.path", &path), set("jwt.secret", JWT_SECRET)];
    load(&Sources { flags, ..Sources::new(Mode::Serve) }).expect("a right configuration")
}

/// Of [`PASSWORD`], cheaper to guess than the hashes that are made today: 8 MiB, 1 pass.
pub fn weak_hash() -> String {
    let params = Params::new(8192, 1, 1, None).expect("parameters");
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    weak.hash_password(PASSWORD.as_bytes()).expect("a hash").to_string()
}
