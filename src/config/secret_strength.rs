//! Whether a secret can be one: long enough, and not what an example file holds.

use super::secret::Secret;

/// HS256 is as strong as its key, up to the hash's own 32 bytes (RFC 7518, 3.2).
pub(super) const BYTES_MIN: usize = 32;
/// Random text of that length has more, in any alphabet that is in use.
const DISTINCT_MIN: usize = 8;

/// What stands in examples, in lower case and without `-` and `_`.
const PLACEHOLDERS: [&str; 14] = [
    "yoursecret",
    "yourjwt",
    "yourkey",
    "yoursuper",
    "mysecret",
    "supersecret",
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "placeholder",
    "example",
    "insertsecret",
    "donotuse",
];

/// What is wrong with it; none: it will do.
pub(super) fn weakness(secret: &Secret) -> Option<String> {
    let text = secret.expose();
    let plain: String =
        text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    if PLACEHOLDERS.iter().any(|placeholder| plain.contains(placeholder)) {
        return Some("is a placeholder from an example; anybody can know it".to_owned());
    }
    if text.len() < BYTES_MIN {
        return Some(format!("has {} bytes, and must have {BYTES_MIN} at least", text.len()));
    }
    let mut bytes: Vec<u8> = text.bytes().collect();
    bytes.sort_unstable();
    bytes.dedup();
    (bytes.len() < DISTINCT_MIN).then(|| "repeats a few characters; it must be random".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_short_secrets_are_weak_and_random_ones_are_not() {
        for weak in [
            "your-secret-key",
            "Your_Secret_Key_that_is_long_enough_to_pass",
            "change-me-change-me-change-me-change-me",
            "0123456789012345678901234567890",
            "abababababababababababababababababababab",
        ] {
            assert!(weakness(&Secret::new(weak)).is_some(), "{weak}");
        }
        for fine in [
            "5f0c2b9a7d3e4f1860a1b2c3d4e5f697",
            "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s=",
            "correct horse battery staple, and then some",
        ] {
            assert_eq!(weakness(&Secret::new(fine)), None, "{fine}");
        }
    }
}
