//! Tokens that are not ours, users that change, and a file that breaks.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::jwt::{Grant, Jwt};
use super::random::base64url;
use super::*;
use crate::config::{Config, FlagSetting, Mode, Secret, Sources, load};
use crate::shared_state::SharedState;
use crate::telemetry::Metrics;

const SECRET: &str = "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
const OLDER: &str = "a7Kd93hfPq20slcnvbtrYEUW82jdlLmcnvb37djskaLq";
const NOW: u64 = 1_795_255_200;

fn config(directory: &TempDir, more: &[(&str, &str)]) -> Config {
    let path = directory.path().display().to_string();
    let all = [("store.path", path.as_str()), ("jwt.secret", SECRET)];
    let flags = all.iter().chain(more).map(|(key, value)| FlagSetting {
        flag: "test".to_owned(),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    load(&Sources { flags: flags.collect(), ..Sources::new(Mode::Serve) }).unwrap()
}

fn jwt(more: &[(&str, &str)]) -> Jwt {
    Jwt::new(&config(&tempfile::tempdir().unwrap(), more).jwt).unwrap()
}

fn grant<'a>() -> Grant<'a> {
    Grant { user: "ada", roles: &["viewer"], stamp: "s", session: "f", ends_s: u64::MAX }
}

fn signed(jwt: &Jwt) -> String {
    jwt.sign(&grant(), NOW).unwrap().0
}

/// Header and claims of a token of ours, to be bent.
fn parts(token: &str) -> (Value, Value) {
    let part = |index: usize| {
        let text = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&random::from_base64url(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

/// Signed with our own secret, whatever it says.
fn forged(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    hs256::install();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[track_caller]
fn refused(jwt: &Jwt, token: &str, now_s: u64, as_what: AuthError) {
    assert_eq!(jwt.verify(token.as_bytes(), now_s).unwrap_err(), as_what);
}

#[test]
fn a_token_says_what_was_granted() {
    let jwt = jwt(&[]);
    let (token, ends) = jwt.sign(&grant(), NOW).unwrap();
    assert_eq!(ends, NOW + 900);
    let claims = jwt.verify(token.as_bytes(), NOW).unwrap();
    assert_eq!((claims.sub.as_str(), claims.sid.as_str(), claims.exp), ("ada", "f", ends));
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("contactd", "contactd"));
    let (header, _) = parts(&token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("HS256"), &json!("at+jwt")));
    let capped = Grant { ends_s: NOW + 5, ..grant() };
    assert_eq!(jwt.sign(&capped, NOW).unwrap().1, NOW + 5);
    assert_ne!(signed(&jwt), signed(&jwt), "each token has an id of its own");
}

#[test]
fn a_forged_token_signed_as_ours_would_be_accepted() {
    // The tests below are only worth something if this passes.
    let jwt = jwt(&[]);
    let (header, claims) = parts(&signed(&jwt));
    assert!(jwt.verify(forged(&header, &claims).as_bytes(), NOW).is_ok());
}

#[test]
fn another_algorithm_key_or_kind_is_refused() {
    let jwt = jwt(&[]);
    let (header, claims) = parts(&signed(&jwt));
    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS384")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", Value::Null),
        ("kid", json!("another")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR 1=1")),
        ("kid", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("refresh+jwt")),
        ("typ", Value::Null),
        ("crit", json!(["exp"])),
    ] {
        let mut bent = header.clone();
        bent[field] = value;
        refused(&jwt, &forged(&bent, &claims), NOW, AuthError::InvalidToken);
    }
    let mut unsigned = header.clone();
    unsigned["alg"] = json!("none");
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let unsigned = format!("{}.{}.", part(&unsigned), part(&claims));
    refused(&jwt, &unsigned, NOW, AuthError::InvalidToken);
    // What points to a key elsewhere is not followed: the token is good by our own.
    let mut pointing = header;
    pointing["jku"] = json!("https://evil.example.com/keys");
    pointing["x5u"] = json!("https://evil.example.com/chain");
    assert!(jwt.verify(forged(&pointing, &claims).as_bytes(), NOW).is_ok());
}

#[test]
fn claims_that_are_missing_or_of_another_kind_are_refused() {
    let jwt = jwt(&[]);
    let (header, claims) = parts(&signed(&jwt));
    for (claim, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("another-service")),
        ("exp", json!("1795256100")),
        ("exp", json!(1_795_256_100.5)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(NOW + 900 + 31)),
        ("exp", json!(NOW - 1)),
        ("nbf", json!("0")),
        ("nbf", json!(0.5)),
        ("nbf", json!(NOW + 31)),
        ("iat", json!(NOW + 31)),
        ("iat", json!(u64::MAX)),
        ("sub", json!(7)),
        ("roles", json!("admin")),
    ] {
        let mut bent = claims.clone();
        bent[claim] = value.clone();
        let error = jwt.verify(forged(&header, &bent).as_bytes(), NOW).unwrap_err();
        assert_eq!(error, AuthError::InvalidToken, "{claim} {value}");
    }
    for claim in ["exp", "nbf", "iat", "jti", "iss", "aud", "sub", "roles", "sid", "stamp"] {
        let mut bent = claims.clone();
        bent.as_object_mut().unwrap().remove(claim);
        refused(&jwt, &forged(&header, &bent), NOW, AuthError::InvalidToken);
    }
}

#[test]
fn clocks_may_differ_by_half_a_minute_and_no_more() {
    let jwt = jwt(&[]);
    let token = signed(&jwt);
    for now in [NOW - 30, NOW, NOW + 900 + 30] {
        assert!(jwt.verify(token.as_bytes(), now).is_ok(), "{now}");
    }
    refused(&jwt, &token, NOW + 900 + 31, AuthError::ExpiredToken);
    refused(&jwt, &token, NOW - 31, AuthError::InvalidToken);
}

#[test]
fn any_changed_byte_is_noticed() {
    let jwt = jwt(&[]);
    let token = signed(&jwt);
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        // The last character of an encoded part may have bits that say nothing.
        if let Ok(claims) = jwt.verify(&bytes, NOW) {
            panic!("byte {index} of {} does not count: {claims:?}", token.len());
        }
    }
    for text in ["", ".", "..", "a.b.c", "a.b", "a.b.c.d", &"x".repeat(5000)] {
        refused(&jwt, text, NOW, AuthError::InvalidToken);
    }
}

#[test]
fn during_a_rotation_both_secrets_verify_and_the_new_one_signs() {
    let before = jwt(&[("jwt.secret", OLDER)]);
    let during = jwt(&[("jwt.secret_previous", OLDER)]);
    let after = jwt(&[]);
    let old = signed(&before);
    let new = signed(&during);
    assert!(during.verify(old.as_bytes(), NOW).is_ok());
    assert!(during.verify(new.as_bytes(), NOW).is_ok());
    assert!(after.verify(new.as_bytes(), NOW).is_ok());
    refused(&after, &old, NOW, AuthError::InvalidToken);
    refused(&before, &new, NOW, AuthError::InvalidToken);
    assert!(
        during.is_proof("x", &before.current().proof("x"))
            && after.is_proof("x", &during.current().proof("x"))
    );
    assert!(
        !after.is_proof("x", &before.current().proof("x"))
            && !after.is_proof("y", &after.current().proof("x"))
    );
}

struct Setup {
    directory: TempDir,
    auth: Auth,
    metrics: Arc<Metrics>,
}

const PASSWORD: &str = "seven paper cranes";

impl Setup {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory, &[]);
        let accounts = Accounts::at(&config.auth.users_file);
        let roles = Roles::of(&[Role::Editor]);
        accounts.add_user("ada", Some("Ada@Example.com"), roles, PASSWORD).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let auth = Auth::new(&config, &SharedState::default(), Arc::clone(&metrics)).unwrap();
        Self { directory, auth, metrics }
    }

    fn accounts(&self) -> Accounts {
        Accounts::at(self.directory.path().join("users.toml"))
    }

    fn look(&self) {
        self.auth.users.look(&self.metrics);
    }

    fn with_token(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        let header = format!("Bearer {token}");
        let authorization = Some(header.as_bytes());
        self.auth.authenticate(Credentials { authorization, api_key: None })
    }

    fn with_key(&self, key: &str) -> Result<Arc<Principal>, AuthError> {
        let api_key = Some(key.as_bytes());
        self.auth.authenticate(Credentials { authorization: None, api_key })
    }

    fn metric(&self, line: &str) -> bool {
        String::from_utf8(self.metrics.render().unwrap()).unwrap().contains(line)
    }

    fn token(&self) -> String {
        let user = self.auth.users.with(|directory| directory.user("ada").cloned()).unwrap();
        let roles = user.roles.words();
        let grant = Grant { roles: &roles, stamp: &user.stamp, ..grant() };
        self.auth.jwt.load().sign(&grant, authenticate::unix_seconds()).unwrap().0
    }
}

#[test]
fn a_token_is_let_in_again_and_again_until_its_end() {
    let setup = Setup::new();
    let token = setup.token();
    let principal = setup.with_token(&token).unwrap();
    assert_eq!((&*principal.name, principal.roles), ("user:ada", Roles::of(&[Role::Editor])));
    let again = setup.with_token(&token).unwrap();
    assert!(Arc::ptr_eq(&principal, &again), "it is remembered");
    let end = principal.expires_at_s.unwrap();
    let header = format!("bearer {token}");
    let credentials = Credentials { authorization: Some(header.as_bytes()), api_key: None };
    assert!(setup.auth.authenticate_at(credentials, end + 30).is_ok());
    for _ in 0..2 {
        let refused = setup.auth.authenticate_at(credentials, end + 31);
        assert_eq!(refused.unwrap_err(), AuthError::ExpiredToken);
    }
}

#[test]
fn a_user_who_changes_or_goes_is_not_let_in_with_earlier_tokens() {
    let setup = Setup::new();
    let token = setup.token();
    setup.with_token(&token).unwrap();
    setup.accounts().set_password("ada", "another long password").unwrap();
    setup.look();
    assert_eq!(setup.with_token(&token).unwrap_err(), AuthError::OutdatedToken);
    let token = setup.token();
    setup.with_token(&token).unwrap();
    // Someone else's coming changes nothing for her.
    setup.accounts().add_user("bob", None, Roles::of(&[Role::Viewer]), PASSWORD).unwrap();
    setup.look();
    setup.with_token(&token).unwrap();
    let path = setup.accounts().path().to_owned();
    let text = std::fs::read_to_string(&path).unwrap().replace("editor", "admin");
    std::fs::write(&path, text).unwrap();
    setup.look();
    assert_eq!(setup.with_token(&token).unwrap_err(), AuthError::OutdatedToken);
    let token = setup.token();
    setup.with_token(&token).unwrap();
    setup.accounts().remove_user("ada").unwrap();
    setup.look();
    assert_eq!(setup.with_token(&token).unwrap_err(), AuthError::OutdatedToken);
}

#[test]
fn keys_are_let_in_until_they_are_revoked_or_expire() {
    let setup = Setup::new();
    let roles = Roles::of(&[Role::Ingest]);
    let key = setup.accounts().create_key("ci", roles, None).unwrap();
    let short =
        setup.accounts().create_key("short", roles, Some(std::time::Duration::from_secs(60)));
    let short = short.unwrap();
    assert_eq!(setup.with_key(&key).unwrap_err(), AuthError::UnknownKey);
    setup.look();
    let principal = setup.with_key(&key).unwrap();
    assert_eq!((&*principal.name, principal.roles), ("key:ci", roles));
    // Prometheus and many proxies set no other header.
    assert!(Arc::ptr_eq(&setup.with_token(&key).unwrap(), &principal));
    assert_eq!(setup.with_token("ck_").unwrap_err(), AuthError::UnknownKey);
    assert!(setup.with_key(&short).is_ok());
    let later = authenticate::unix_seconds() + 61;
    let credentials = Credentials { api_key: Some(short.as_bytes()), authorization: None };
    let refused = setup.auth.authenticate_at(credentials, later).unwrap_err();
    assert_eq!(refused, AuthError::ExpiredKey);
    for other in ["", "ck_", &key[1..], &format!("{key}x"), &key.to_uppercase()] {
        assert_eq!(setup.with_key(other).unwrap_err(), AuthError::UnknownKey);
    }
    setup.accounts().revoke_key("ci").unwrap();
    setup.look();
    assert_eq!(setup.with_key(&key).unwrap_err(), AuthError::UnknownKey);
    let text = std::fs::read_to_string(setup.accounts().path()).unwrap();
    assert!(!text.contains(&short) && !text.contains(PASSWORD), "a secret is in the file");
}

#[test]
fn headers_that_say_two_things_or_none_are_refused() {
    let setup = Setup::new();
    let token = setup.token();
    let both = format!("Bearer {token}");
    let credentials = Credentials { authorization: Some(both.as_bytes()), api_key: Some(b"ck_x") };
    assert_eq!(setup.auth.authenticate(credentials).unwrap_err(), AuthError::Ambiguous);
    let none = Credentials::default();
    assert_eq!(setup.auth.authenticate(none).unwrap_err(), AuthError::Missing);
    let basic = format!("Basic {token}");
    let spaced = format!("Bearer  {token}");
    for header in ["", "Bearer", "Bearer ", &basic, &spaced, &token, "Bearer \u{e4}"] {
        let authorization = Some(header.as_bytes());
        let refused = setup.auth.authenticate(Credentials { authorization, api_key: None });
        assert_eq!(refused.unwrap_err(), AuthError::Malformed, "{header:?}");
    }
}

#[test]
fn a_broken_file_changes_nothing_until_it_is_mended() {
    let setup = Setup::new();
    let token = setup.token();
    let path = setup.accounts().path().to_owned();
    let good = std::fs::read_to_string(&path).unwrap();
    for bad in [
        "[[user]\n",
        "[[user]]\nname = \"eve\"\n",
        "[[user]]\nname = \"Eve\"\nroles = [\"admin\"]\npassword = \"x\"\ncreated = \"x\"\n",
        "other = 1\n",
        &format!("{good}{}", good.replace('#', "# ")),
        &good.replace("editor", "emperor"),
        &good.replace("[\"editor\"]", "[]"),
        &good.replace("$argon2id", "$argon2i"),
    ] {
        std::fs::write(&path, bad).unwrap();
        setup.look();
        assert!(setup.with_token(&token).is_ok(), "{bad}");
        assert!(setup.metric("contactd_auth_users_file_good 0\n"), "{bad}");
        let again = config(&setup.directory, &[]);
        let shared = SharedState::default();
        assert!(Auth::new(&again, &shared, Arc::clone(&setup.metrics)).is_err());
    }
    std::fs::write(&path, good.replace("ada", "adele")).unwrap();
    setup.look();
    assert!(setup.metric("contactd_auth_users_file_good 1\n"));
    assert_eq!(setup.with_token(&token).unwrap_err(), AuthError::OutdatedToken);
}

#[test]
fn the_file_is_its_owners_and_changed_as_a_whole() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::new();
    let accounts = setup.accounts();
    let mode = std::fs::metadata(accounts.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let accounts = accounts.clone();
            scope.spawn(move || {
                let roles = Roles::of(&[Role::Viewer]);
                accounts.create_key(&format!("k{number}"), roles, None).unwrap();
            });
        }
    });
    assert_eq!(accounts.list().unwrap().keys.len(), 8);
    let again = accounts.add_user("ada", None, Roles::of(&[Role::Viewer]), PASSWORD);
    assert!(again.unwrap_err().to_string().contains("contactd user passwd ada"));
    for (name, email) in
        [("Ada", None), ("", None), ("a/b", None), ("eve", Some("ada@example.com"))]
    {
        assert!(accounts.add_user(name, email, Roles::of(&[Role::Viewer]), PASSWORD).is_err());
    }
    assert!(accounts.set_password("nobody", PASSWORD).is_err());
    assert!(accounts.remove_user("nobody").is_err() && accounts.revoke_key("nobody").is_err());
    assert_eq!(accounts.list().unwrap().users.len(), 1);
}

#[test]
fn nothing_shows_a_secret() {
    let setup = Setup::new();
    let key = setup.accounts().create_key("ci", Roles::of(&[Role::Admin]), None).unwrap();
    let text = setup.accounts().list().unwrap();
    let secret = Secret::new(SECRET);
    let shown = format!("{text:?} {secret:?} {:?}", setup.accounts());
    let hash = &text.users[0].password;
    for secret in [key.as_str(), hash, SECRET, &text.keys[0].sha256] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_dev_is_given_is_made_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("data");
    let secret = kept_jwt_secret(&store).unwrap();
    assert_eq!(kept_jwt_secret(&store).unwrap(), secret);
    let users = store.join("users.toml");
    let password = first_user(&users).unwrap().expect("a password");
    assert!(first_user(&users).unwrap().is_none(), "only the first time");
    assert!(check_password(password.expose(), FIRST_USER).is_ok());
    local::LocalKey::new().unwrap().publish(&store).unwrap();
    assert!(local_key(&store).unwrap().expose().starts_with("ck_local_"));
    for name in ["jwt.secret", "users.toml", LOCAL_KEY_FILE] {
        let mode = std::fs::metadata(store.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
