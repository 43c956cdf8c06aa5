//! Ids of their own that sources have for contacts.

use uuid::Uuid;

/// Sources that may have an id for one contact.
pub const EXTERNAL_IDS_MAX: usize = 16;
/// What these ids are called in a contact.
pub const EXTERNAL_IDS: &str = "externalIds";

/// Changing it gives every such contact another id.
const NAMESPACE: Uuid = Uuid::from_u128(0x2c9b_1f0e_6f4d_4f0a_9d53_6b7a_c0de_1d05);
/// Between source and id in what is hashed; neither may hold it.
const SEPARATOR: u8 = 0x1f;

/// The contact that a source's own id stands for where it was not tied to another one: UUIDv5 of both, so
/// that everybody comes to the same at any time.
pub fn contact_id_of(source: &[u8], id: &[u8]) -> String {
    let name = [source, &[SEPARATOR], id].concat();
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contact_of_an_id_is_the_same_for_ever() {
        assert_eq!(contact_id_of(b"hubspot", b"1148"), "2c6ce228-aca0-5ef4-b0bb-41eaa69b0520");
        assert_ne!(contact_id_of(b"hubspot", b"1148"), contact_id_of(b"hub", b"spot1148"));
    }
}
