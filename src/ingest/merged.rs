//! What contacts say of their merges, in attributes.

use crate::domain::contact::ContactView;

/// The survivor's attribute that lists whom it has taken in.
pub(super) const MERGED_FROM: &str = "mergedFrom";
/// The other's attribute that names the survivor.
pub(super) const MERGED_INTO: &str = "mergedInto";

/// Into whom a contact was merged last, as its merge has written there.
pub(super) fn merged_into(contact: &ContactView<'_>) -> Option<String> {
    listed(contact, MERGED_INTO).pop()
}

/// The ids that an attribute holds: one text, or a list of such.
pub(super) fn listed(contact: &ContactView<'_>, attribute: &str) -> Vec<String> {
    let Some((_, json)) = contact.attributes().find(|(name, _)| *name == attribute) else {
        return Vec::new();
    };
    match serde_json::from_str::<Vec<String>>(json) {
        Ok(list) => list,
        Err(_) => serde_json::from_str::<String>(json).into_iter().collect(),
    }
}
