//! Contacts by e-mail address: 64 bits of the lowercased address lead to ids, the contacts decide.

use std::collections::BTreeSet;

use super::StoreError;
use super::codec::{email_hash, email_prefix};
use super::reader::Reader;
use crate::domain::event::EMAIL;

/// Ids of the contacts that have the address now, sorted, at most `limit` of those after `after`.
pub(super) fn ids_by_email(
    reader: &Reader,
    email: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Box<[u8]>>, StoreError> {
    let shared = reader.shared();
    let hash = email_hash(email);
    // Before the engine is read: what retires in between is then seen there.
    let changes = shared.dirty.email_changes(hash);
    let prefix = email_prefix(hash);
    let mut ids: BTreeSet<Box<[u8]>> = BTreeSet::new();
    let after_key = after.map(|id| [prefix.as_slice(), id].concat());
    // Changes may take back as many as they are.
    let enough = limit.saturating_add(changes.len());
    for entry in shared.engine.scan(&prefix, after_key.as_deref()).take(enough) {
        let (key, _) = entry.map_err(|error| shared.fail(error.into()))?;
        ids.insert(key.get(prefix.len()..).unwrap_or_default().into());
    }
    let horizon = (ids.len() >= enough).then(|| ids.last().cloned()).flatten();
    for (id, has_it) in changes {
        let is_asked_for = after.is_none_or(|after| &*id > after)
            && horizon.as_ref().is_none_or(|horizon| id <= *horizon);
        if has_it && is_asked_for {
            ids.insert(id);
        } else if !has_it {
            ids.remove(&id);
        }
    }
    let mut found = Vec::new();
    for id in ids {
        if found.len() == limit {
            break;
        }
        if has_email(reader, &id, email)? {
            found.push(id);
        }
    }
    Ok(found)
}

/// The hash may be another address's, and the contact may have changed meanwhile.
fn has_email(reader: &Reader, id: &[u8], email: &str) -> Result<bool, StoreError> {
    let Some(value) = reader.contact(id)? else {
        return Ok(false);
    };
    let view = reader.view(id, &value)?;
    Ok(view.field(EMAIL).is_some_and(|has| has.to_lowercase() == email.to_lowercase()))
}
