//! Passwords: what can be one, and the slow hash that is kept of it.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use crate::config::AuthConfig;

/// ASVS 5.0, 6.2.1.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Far above any passphrase; what is hashed must have a bound.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;

/// The most used ones that are long enough to be one, of which guessing starts: 15,000 and more, in lower
/// case. Where they are from stands in `common_passwords.licence.txt`.
const COMMON: &str = include_str!("common_passwords.txt");

/// What can't be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Guessed too soon.
    #[error("a password has {PASSWORD_CHARS_MIN} characters or more")]
    TooShort,
    /// More than anybody types.
    #[error("a password has {PASSWORD_BYTES_MAX} bytes at most")]
    TooLong,
    /// Guessed among the first.
    #[error("this password is among those that are tried first; choose another one")]
    Common,
    /// No randomness, or no memory.
    #[error("the password can't be hashed: {0}")]
    Hash(String),
}

/// Whether it may become the password of `user`.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str, user: &str) -> Result<(), PasswordError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordError::TooShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let plain = password.to_lowercase();
    // With digits and marks around it, it is still the name.
    let bare = plain.trim_matches(|c: char| !c.is_alphabetic());
    let is_common = COMMON.lines().any(|common| common == plain);
    if is_common || bare == user || is_pattern(&plain) {
        return Err(PasswordError::Common);
    }
    Ok(())
}

/// Keys that lie beside each other, as fingers find them.
const KEYBOARD: [&str; 8] = [
    "qwertyuiop[]",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmik",
    "1234567890-=",
];

/// `aaaaaaaa`, `abcabcabc`, `12345678`, `hgfedcba`, `qwertyui`.
fn is_pattern(plain: &str) -> bool {
    let letters: Vec<char> = plain.chars().collect();
    let repeats =
        (1..=4).any(|unit| letters.iter().zip(letters.iter().skip(unit)).all(|(a, b)| a == b));
    let steps: Vec<i64> = letters
        .iter()
        .zip(letters.iter().skip(1))
        .map(|(a, b)| i64::from(u32::from(*b)) - i64::from(u32::from(*a)))
        .collect();
    let counts = steps.iter().all(|step| *step == 1) || steps.iter().all(|step| *step == -1);
    repeats || counts || KEYBOARD.iter().any(|row| row.contains(plain))
}

/// What hashing a password takes, and so guessing one: Argon2id over so much memory, so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// KiB.
    memory_kib: u32,
    passes: u32,
}

impl Default for HashCost {
    /// OWASP's least: 19 MiB, 2 passes.
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

impl HashCost {
    /// As configured; never less than the least.
    pub fn of(config: &AuthConfig) -> Self {
        let least = Self::default();
        let memory_kib = u32::try_from(config.password_memory / 1024).unwrap_or(u32::MAX);
        Self {
            memory_kib: memory_kib.max(least.memory_kib),
            passes: config.password_passes.max(least.passes),
        }
    }

    fn hasher(self) -> Result<Argon2<'static>, PasswordError> {
        let Self { memory_kib, passes } = self;
        let params = Params::new(memory_kib, passes, Params::DEFAULT_P_COST, None);
        let params = params.map_err(|error| PasswordError::Hash(error.to_string()))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// Nobody's hash that takes as long to compare with.
    pub(super) fn decoy(self) -> String {
        let Self { memory_kib, passes } = self;
        format!(
            "$argon2id$v=19$m={memory_kib},t={passes},p=1$Y29udGFjdGQgZGVjb3kgIQ$\
             OFtq7oJ6mJbkW0gq9h4oWcFVnnl0qA6wGm5l3kqJp1E"
        )
    }

    fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

/// Argon2id with a salt of its own, as a PHC string. Takes tens of milliseconds or more.
pub(super) fn hash(password: &str, cost: HashCost) -> Result<String, PasswordError> {
    let hash = cost
        .hasher()?
        .hash_password(password.as_bytes())
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether it is the password of this hash. Takes as long whatever the answer.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Whether guessing it costs less than guessing a hash of that cost.
pub(super) fn is_weak(hash: &str, cost: HashCost) -> bool {
    let params = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    params.is_some_and(|params| {
        HashCost { memory_kib: params.m_cost(), passes: params.t_cost() }.work() < cost.work()
    })
}

/// Whether the text is a hash that can be verified.
pub(super) fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        hash.algorithm == argon2::ARGON2ID_IDENT && hash.hash.is_some() && hash.salt.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_with_owasps_parameters_and_its_own_salt() {
        let cost = HashCost::default();
        let one = hash("correct horse", cost).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash("correct horse", cost).unwrap());
        assert!(is_hash(&one));
        assert!(verify("correct horse", &one));
        assert!(!verify("correct horsf", &one) && !verify("", &one));
        assert!(!verify("correct horse", "nonsense"));
        assert!(is_hash(&cost.decoy()) && !verify("correct horse", &cost.decoy()));
    }

    #[test]
    fn a_weaker_hash_still_verifies_and_other_text_is_none() {
        let params = Params::new(8192, 1, 1, None).unwrap();
        let weak = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let weak = weak.hash_password(b"correct horse").unwrap().to_string();
        assert!(is_hash(&weak) && verify("correct horse", &weak));
        let cost = HashCost::default();
        let strong = hash("correct horse", cost).unwrap();
        assert!(is_weak(&weak, cost) && !is_weak(&strong, cost));
        let dearer = HashCost { passes: cost.passes + 1, ..cost };
        assert!(is_weak(&strong, dearer) && is_weak(&cost.decoy(), dearer));
        assert!(!is_weak(&dearer.decoy(), dearer));
        assert!(!is_hash("correct horse") && !is_hash("$argon2id$v=19$m=1,t=1,p=1"));
    }

    #[test]
    fn the_list_of_common_ones_is_long_and_holds_no_other() {
        let mut last = "";
        let mut count = 0;
        for common in COMMON.lines() {
            assert!(last < common && common.chars().count() >= PASSWORD_CHARS_MIN, "{common}");
            assert_eq!(common, common.to_lowercase());
            if count % 500 == 0 {
                assert_eq!(check_password(common, "ada"), Err(PasswordError::Common), "{common}");
            }
            (last, count) = (common, count + 1);
        }
        assert!(count > 10_000, "{count}");
    }

    #[test]
    fn what_is_guessed_first_is_no_password() {
        assert_eq!(check_password("1234567", "ada"), Err(PasswordError::TooShort));
        assert_eq!(check_password(&"x1".repeat(600), "ada"), Err(PasswordError::TooLong));
        for common in [
            "password",
            "PassWord1",
            "12345678",
            "87654321",
            "zzzzzzzzzzz",
            "abcabcabcab",
            "qwertyui",
            "lovelace2026!",
            "Letmein123",
            "iloveyou2",
            "ferrari1",
        ] {
            assert_eq!(check_password(common, "lovelace"), Err(PasswordError::Common), "{common}");
        }
        let long = "a long sentence, with 64 characters and some more, is just fine!";
        for fine in ["räuberin", "8xcharsq", long] {
            assert_eq!(check_password(fine, "ada"), Ok(()), "{fine}");
        }
    }
}
