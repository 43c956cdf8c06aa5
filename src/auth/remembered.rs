//! Tokens that were verified, so that the next request with one costs a look-up.
//!
//! Bounded, and for each token until it ends. What may be revoked meanwhile is not remembered: each
//! entry knows the [`generation`](Entry::generation) of everything that revokes, and is looked at
//! again when that has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;

use super::jwt::Claims;
use super::roles::Principal;

const SHARDS: usize = 16;
/// In each shard; some 600 bytes an entry.
const ENTRIES_MAX: usize = 512;

/// A verified token.
pub(super) struct Entry {
    token: Box<[u8]>,
    hash: u64,
    pub(super) claims: Claims,
    pub(super) principal: Arc<Principal>,
    generation: AtomicU64,
}

impl Entry {
    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// Was looked at again, when this was the generation.
    pub(super) fn still_holds(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }
}

pub(super) struct Remembered {
    shards: Vec<RwLock<HashTable<Arc<Entry>>>>,
    /// Another one in every process. Only tokens that were verified are kept, so nobody can choose
    /// some that meet in one place.
    seed: u64,
}

impl Default for Remembered {
    fn default() -> Self {
        let shards = std::iter::repeat_with(RwLock::default).take(SHARDS).collect();
        Self { shards, seed: fastrand::u64(..) }
    }
}

impl Remembered {
    fn hash(&self, token: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(token, self.seed)
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<HashTable<Arc<Entry>>>> {
        self.shards.get(usize::try_from(hash >> 32).unwrap_or(0) % SHARDS)
    }

    /// The same bytes, verified before.
    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<Entry>> {
        let hash = self.hash(token);
        let shard = self.shard(hash)?.read();
        shard.find(hash, |entry| *entry.token == *token).cloned()
    }

    pub(super) fn insert(
        &self,
        token: &[u8],
        claims: Claims,
        principal: Arc<Principal>,
        generation: u64,
        now_s: u64,
    ) {
        let hash = self.hash(token);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let entry = Arc::new(Entry {
            token: token.into(),
            hash,
            claims,
            principal,
            generation: AtomicU64::new(generation),
        });
        let mut shard = shard.write();
        if shard.len() >= ENTRIES_MAX {
            shard.retain(|entry| !entry.claims.has_ended(now_s));
        }
        if shard.len() >= ENTRIES_MAX {
            // Which of them go is all the same: each is verified again when it is met.
            let mut kept = 0;
            shard.retain(|_| {
                kept += 1;
                kept <= ENTRIES_MAX / 2
            });
        }
        if shard.find(hash, |known| known.token == entry.token).is_none() {
            shard.insert_unique(hash, entry, |entry| entry.hash);
        }
    }

    pub(super) fn forget_all(&self) {
        for shard in &self.shards {
            shard.write().clear();
        }
    }

    pub(super) fn forget(&self, token: &[u8]) {
        let hash = self.hash(token);
        let Some(shard) = self.shard(hash) else {
            return;
        };
        if let Ok(entry) = shard.write().find_entry(hash, |entry| *entry.token == *token) {
            entry.remove();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Roles;

    fn claims(exp: u64) -> Claims {
        let text = || "x".to_owned();
        Claims {
            exp,
            nbf: 0,
            iat: 0,
            jti: text(),
            iss: text(),
            aud: text(),
            sub: text(),
            roles: Vec::new(),
            sid: text(),
            stamp: text(),
        }
    }

    fn remember(remembered: &Remembered, token: &str, exp: u64, now_s: u64) {
        let principal = Principal {
            name: Arc::from(token),
            roles: Roles::NONE,
            withheld: Roles::NONE,
            session: None,
            expires_at_s: Some(exp),
        };
        remembered.insert(token.as_bytes(), claims(exp), Arc::new(principal), 1, now_s);
    }

    #[test]
    fn only_the_same_bytes_are_found() {
        let remembered = Remembered::default();
        remember(&remembered, "a.b.c", 10, 0);
        assert_eq!(&*remembered.get(b"a.b.c").unwrap().principal.name, "a.b.c");
        assert!(remembered.get(b"a.b.d").is_none());
        remembered.forget(b"a.b.c");
        assert!(remembered.get(b"a.b.c").is_none());
    }

    #[test]
    fn it_is_bounded_however_many_tokens_come() {
        let remembered = Remembered::default();
        for number in 0..3 * SHARDS * ENTRIES_MAX {
            remember(&remembered, &format!("token {number}"), 10, 0);
        }
        assert!(remembered.len() <= SHARDS * ENTRIES_MAX);
        let last = format!("token {}", 3 * SHARDS * ENTRIES_MAX - 1);
        assert!(remembered.get(last.as_bytes()).is_some(), "the newest is kept");
    }

    #[test]
    fn what_has_ended_makes_room_first() {
        let remembered = Remembered::default();
        for number in 0..3 * SHARDS * ENTRIES_MAX {
            let exp = if number < 20 { 1000 } else { 5 };
            let now_s = 100;
            remember(&remembered, &format!("token {number}"), exp, now_s);
        }
        for number in 0..20 {
            let token = format!("token {number}");
            assert!(remembered.get(token.as_bytes()).is_some(), "{token} was dropped");
        }
    }
}
