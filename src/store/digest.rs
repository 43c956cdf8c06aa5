//! The order-free sum that tells whether two sets of contacts are the same.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// Wrapping 128-bit sum over all contacts of `xxh3_128(id, 0x00, body)`; the change ref is no part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u128);

impl Digest {
    /// Takes a contact in, given [`contact_hash`].
    pub fn add(&mut self, contact: u128) {
        self.0 = self.0.wrapping_add(contact);
    }

    /// Takes a contact out.
    pub fn remove(&mut self, contact: u128) {
        self.0 = self.0.wrapping_sub(contact);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The summand of one contact; `scratch` is only room to work in.
pub fn contact_hash(id: &[u8], body: &[u8], scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    scratch.extend_from_slice(id);
    scratch.push(0);
    scratch.extend_from_slice(body);
    joined_hash(scratch)
}

/// The same, where `id 0x00 body` already lie together.
pub fn joined_hash(id_0_body: &[u8]) -> u128 {
    xxh3_128(id_0_body)
}
