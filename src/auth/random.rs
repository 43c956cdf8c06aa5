//! Random text that nobody guesses, and what is kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::domain::texts::hex;

/// The system gives no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct NoRandomness(getrandom::Error);

/// As many bytes from the system's generator.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// 256 random bits, 43 characters of base64url.
pub(super) fn secret_text() -> Result<String, NoRandomness> {
    Ok(base64url(&bytes::<32>()?))
}

/// 128 random bits in hexadecimal digits: a name that is met once.
pub(super) fn id() -> Result<String, NoRandomness> {
    Ok(hex(&bytes::<16>()?))
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// All that is kept of a secret of 256 random bits: nobody finds one that fits, so a slow hash
/// would protect nothing more.
pub(super) fn sha256(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// As it stands in files and records.
pub(super) fn sha256_hex(secret: &[u8]) -> String {
    hex(&sha256(secret))
}

/// 32 bytes written as hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_256_bits_and_differ() {
        let one = secret_text().unwrap();
        assert_eq!((one.len(), from_base64url(&one).unwrap().len()), (43, 32));
        assert_ne!(one, secret_text().unwrap());
        assert_ne!(id().unwrap(), id().unwrap());
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(from_hex(&sha256_hex(b"abc")), Some(sha256(b"abc")));
        assert_eq!(from_hex(&"+f".repeat(32)), None);
    }
}
