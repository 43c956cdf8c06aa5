//! Access tokens: one is believed only under our signature, and says then who and how long.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use contactd::auth::{Auth, Credentials, Principal};
use contactd::shared_state::SharedState;
use contactd::telemetry::Metrics;
use contactd_fuzz::keyed::{SECRET, base64url, mac};
use contactd_fuzz::parts;
use contactd_fuzz::world::{PASSWORD_HASH, config};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    Auth::new(&config(), &SharedState::default(), metrics).expect("users")
});

fuzz_target!(|data: &[u8]| {
    let [header, claims, token] = parts(data);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    if believed(token).is_some() {
        let (signed, given) = token.split_at(token.iter().rposition(|byte| *byte == b'.').unwrap());
        assert_eq!(given[1..], *base64url(&mac(SECRET.as_bytes(), &[signed])).as_bytes());
    }
    // What can't be known when a seed is written.
    let kid = base64url(&mac(SECRET.as_bytes(), &[b"contactd kid"])[..8]);
    let stamp = base64url(&Sha256::digest(format!("viewer {PASSWORD_HASH} "))[..9]);
    let header = String::from_utf8_lossy(header).replace("KID", &kid);
    let claims = String::from_utf8_lossy(claims).replace("NOW", &now.to_string());
    let claims = claims.replace("STAMP", &stamp);
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let token = format!("{signed}.{}", base64url(&mac(SECRET.as_bytes(), &[signed.as_bytes()])));
    let Some(principal) = believed(token.as_bytes()) else { return };
    let header: Value = serde_json::from_str(&header).expect("a header");
    let claims: Value = serde_json::from_str(&claims).expect("claims");
    assert_eq!(header["alg"], "HS256");
    assert!(header["typ"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("at+jwt")));
    assert_eq!(principal.name.strip_prefix("user:"), claims["sub"].as_str());
    assert_eq!(claims["roles"], serde_json::json!(["viewer"]));
    let ends = claims["exp"].as_u64().expect("an end");
    assert!(ends + 32 >= now && ends <= now + 16 * 60, "{ends} at {now}");
    let cut = &token.as_bytes()[..token.len() - 1];
    assert!(believed(cut).is_none());
});

fn believed(token: &[u8]) -> Option<Arc<Principal>> {
    let authorization = [b"Bearer ", token].concat();
    let credentials = Credentials { authorization: Some(&authorization), api_key: None };
    AUTH.authenticate(credentials).ok()
}
