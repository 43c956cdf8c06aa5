//! What contacts say of their merges, in attributes.

use crate::domain::contact::ContactView;
use crate::domain::merge_notes::MERGED_INTO;

/// Into whom a contact was merged, if it is only there for that.
pub(super) fn survivor(contact: &ContactView<'_>) -> Option<String> {
    if contact.is_merged() { merged_into(contact) } else { None }
}

/// Into whom a contact was merged last, as its merge has written there.
pub fn merged_into(contact: &ContactView<'_>) -> Option<String> {
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
