//! Secrets that targets sign with, and signing by ourselves, so that what is looked at comes past it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Of every webhook source but the standard ones.
pub const SECRET: &str = "Jx0b8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
/// Of those.
pub const STANDARD_SECRET: &str = "whsec_Sngwejh2MVl5NXd6Mm0xYlVxOHJXNHBRN245TGswVHpWZlgyY0g2cw==";

/// HMAC-SHA-256 over the parts, one behind the other.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// In small hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As tokens and cursors have it.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
