//! What a limit is counted by, and the names it has in memory and in Redis.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::texts::hex;

/// Longer names stand in Redis as their hash.
const NAME_BYTES_MAX: usize = 128;

/// The kinds of requests that are limited apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LimitClass {
    /// Signing in and out, by address.
    Auth = 0,
    /// Signing in to one account.
    Account,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Webhooks.
    Webhook,
    /// Sign-ins of one user that succeed.
    SignIn,
}

impl LimitClass {
    /// Every one, by its number.
    pub const ALL: [Self; 6] =
        [Self::Auth, Self::Account, Self::Read, Self::Write, Self::Webhook, Self::SignIn];

    /// The word for it in headers, keys and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Read => "read",
            Self::Write => "write",
            Self::Webhook => "webhook",
            Self::SignIn => "sign_in",
        }
    }

    /// Whether an instance may take some ahead, so that not every request asks Redis.
    pub(super) fn is_leased(self) -> bool {
        match self {
            Self::Read => true,
            Self::Auth | Self::Account | Self::Write | Self::Webhook | Self::SignIn => false,
        }
    }
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A user or key, as in [`Principal::name`](crate::auth::Principal).
    Principal(&'a str),
    /// A client that is not known; IPv6 by its /64, which one subscriber has.
    Address(IpAddr),
    /// What somebody types to sign in with, whether there is such an account or not.
    Login(&'a str),
    /// The user that is meant by it.
    User(&'a str),
    /// The same two, from an address at which the user was signed in lately.
    LoginAt(&'a str, &'a str),
    /// As [`Subject::LoginAt`].
    UserAt(&'a str, &'a str),
}

impl Subject<'_> {
    /// Its place in memory. The seed is each process's own, so that nobody can choose collisions.
    pub(super) fn place(&self, class: LimitClass, seed: u64) -> u64 {
        let seed = seed ^ (u64::from(class as u8) << 8);
        match self {
            Self::Principal(name) => xxh3_64_with_seed(name.as_bytes(), seed ^ 1),
            Self::Address(address) => match counted(*address) {
                IpAddr::V4(v4) => xxh3_64_with_seed(&v4.octets(), seed ^ 2),
                IpAddr::V6(v6) => xxh3_64_with_seed(&v6.octets(), seed ^ 2),
            },
            Self::Login(_) | Self::User(_) | Self::LoginAt(..) | Self::UserAt(..) => {
                xxh3_64_with_seed(self.hashed().as_bytes(), seed ^ 3)
            }
        }
    }

    /// Its key in Redis.
    pub(super) fn key(&self, class: LimitClass, prefix: &str) -> String {
        let class = class.as_str();
        match self {
            // Users and keys are named by us, and shortly.
            Self::Principal(name) if is_plain(name) => format!("{prefix}limit:{class}:{name}"),
            Self::Principal(_) => format!("{prefix}limit:{class}:{}", self.hashed()),
            Self::Address(address) => match counted(*address) {
                IpAddr::V4(v4) => format!("{prefix}limit:{class}:ip:{v4}"),
                IpAddr::V6(v6) => format!("{prefix}limit:{class}:ip:{v6}/64"),
            },
            Self::Login(_) | Self::User(_) | Self::LoginAt(..) | Self::UserAt(..) => {
                format!("{prefix}limit:{class}:{}", self.hashed())
            }
        }
    }

    /// Its kind, and a hash of what it is made of: a client may write anything into a part, and gets at
    /// no other subject with it.
    fn hashed(&self) -> String {
        let (kind, parts) = match *self {
            Self::Principal(name) => ("principal", vec![name]),
            Self::Address(_) => ("address", Vec::new()),
            Self::Login(login) => ("login", vec![login]),
            Self::User(name) => ("user", vec![name]),
            Self::LoginAt(login, address) => ("login_at", vec![login, address]),
            Self::UserAt(name, address) => ("user_at", vec![name, address]),
        };
        let mut hash = Sha256::new();
        for part in &parts {
            // With its length before it, so that where one ends is no matter of what stands in it.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        format!("{kind}:{}", hex(hash.finalize().get(..16).unwrap_or_default()))
    }
}

/// What is counted as one address.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & (u128::from(u64::MAX) << 64);
            IpAddr::V6(network.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_one_subscriber_counts_as_one() {
        let key = |text: &str| Subject::Address(text.parse().unwrap()).key(LimitClass::Auth, "c:");
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), "c:limit:auth:ip:10.0.0.1");
    }

    #[test]
    fn classes_and_kinds_are_counted_apart() {
        let address = Subject::Address([10, 0, 0, 1].into());
        let mut places = Vec::new();
        for class in LimitClass::ALL {
            for subject in [
                Subject::Principal("user:ada"),
                Subject::Login("user:ada"),
                Subject::User("user:ada"),
                address,
            ] {
                places.push(subject.place(class, 7));
            }
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 24);
    }

    #[test]
    fn what_clients_write_never_stands_in_a_key() {
        let key = Subject::Login("a b\r\nDEL x").key(LimitClass::Account, "c:");
        assert_eq!(key.len(), "c:limit:account:login:".len() + 32);
        // No login is another user's at an address, however it is written.
        let at = |login, address| Subject::LoginAt(login, address).key(LimitClass::Account, "c:");
        assert_ne!(at("ada 10.0.0.1", ""), at("ada", "10.0.0.1"));
        assert_ne!(at("ada1", "0.0.0.1"), at("ada", "10.0.0.1"));
        let long = "x".repeat(200);
        assert!(Subject::Principal(&long).key(LimitClass::Read, "c:").len() < 64);
    }
}
