//! Ids of their own that sources have for contacts.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::texts::hex;

/// Sources that may have an id for one contact.
pub const EXTERNAL_IDS_MAX: usize = 16;
/// What these ids are called in a contact.
pub const EXTERNAL_IDS: &str = "externalIds";

/// Changing it gives every such contact another id.
const NAMESPACE: Uuid = Uuid::from_u128(0x2c9b_1f0e_6f4d_4f0a_9d53_6b7a_c0de_1d05);
/// Begins what is left of an id that was erased, and so many bytes of its hash follow.
const ERASED: &str = "erased:";
const ERASED_BYTES: usize = 16;
/// Between source and id in what is hashed; neither may hold it.
const SEPARATOR: u8 = 0x1f;

/// The contact that a source's own id stands for where it was not tied to another one: UUIDv5 of both, so
/// that everybody comes to the same at any time.
pub fn contact_id_of(source: &[u8], id: &[u8]) -> String {
    let name = [source, &[SEPARATOR], id].concat();
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}

/// What an erased contact keeps of a source's id: enough to be found by it, and not the id.
pub fn erased_form(source: &[u8], id: &[u8]) -> String {
    let hash = Sha256::digest([source, &[SEPARATOR], id].concat());
    let kept = hash.get(..ERASED_BYTES).unwrap_or_default();
    format!("{ERASED}{}", hex(kept))
}

/// Whether it is such a form already.
pub(crate) fn is_erased_form(id: &[u8]) -> bool {
    id.len() == ERASED.len() + 2 * ERASED_BYTES && id.starts_with(ERASED.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contact_of_an_id_is_the_same_for_ever() {
        assert_eq!(contact_id_of(b"hubspot", b"1148"), "2c6ce228-aca0-5ef4-b0bb-41eaa69b0520");
        assert_ne!(contact_id_of(b"hubspot", b"1148"), contact_id_of(b"hub", b"spot1148"));
        let erased = erased_form(b"hubspot", b"1148");
        assert!(is_erased_form(erased.as_bytes()) && !is_erased_form(b"1148"), "{erased}");
    }
}
