//! The mock's tokens: JWTs that it signs and reads itself, by HS256 and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970, by Acme's clock.
    iat: u64,
    exp: u64,
}

/// What tokens are signed with; with another one those of before are worth nothing.
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    pub(super) fn new() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Hmac::new_from_slice(&bytes).map(Self).map_err(std::io::Error::other)
    }

    pub(super) fn token(&self, now_s: u64, seconds: u64) -> String {
        let (sub, exp) = ("api-key".to_owned(), now_s.saturating_add(seconds));
        let claims = serde_json::to_vec(&Claims { sub, iat: now_s, exp }).unwrap_or_default();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(HEADER.as_bytes()), encode(&claims));
        let signature = self.0.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", encode(&signature))
    }

    /// Whether it is ours.
    ///
    /// # Errors
    /// Why it is not, or no more.
    pub(super) fn check(&self, token: &str, now_s: u64) -> Result<(), &'static str> {
        let wrong = "the token is none of this server's";
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong);
        let (signed, signature) = token.rsplit_once('.').ok_or(wrong)?;
        let mac = self.0.clone().chain_update(signed);
        mac.verify_slice(&decode(signature)?).map_err(|_| wrong)?;
        let (_, claims) = signed.split_once('.').ok_or(wrong)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| wrong)?;
        if now_s < claims.exp { Ok(()) } else { Err("the token has expired") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_time_and_its_key() {
        let key = Key::new().unwrap();
        let token = key.token(1_000, 900);
        assert_eq!(key.check(&token, 1_899), Ok(()));
        assert_eq!(key.check(&token, 1_900), Err("the token has expired"));
        assert!(Key::new().unwrap().check(&token, 1_000).is_err());
        let (start, _) = token.rsplit_once('.').unwrap();
        for wrong in ["", "a", "a.b", start, &format!("{token}x"), &format!("{start}.")] {
            assert!(key.check(wrong, 1_000).is_err(), "{wrong}");
        }
    }
}
