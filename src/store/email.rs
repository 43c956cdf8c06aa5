//! Contacts by e-mail address: 64 bits of the lowercased address lead to ids, the contacts decide.

use super::StoreError;
use super::codec::email_hash;
use super::reader::Reader;
use crate::domain::event::EMAIL;

/// Ids of the contacts that have the address now, sorted, at most `limit` of those after `after`.
pub(super) fn ids_by_email(
    reader: &Reader,
    email: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Box<[u8]>>, StoreError> {
    if email.is_empty() {
        return Ok(Vec::new());
    }
    let shared = reader.shared();
    let hash = email_hash(email);
    // Before the index is asked: what retires in between is then found there.
    let new = shared.dirty.ids_with_email(hash);
    let mut found = Vec::new();
    let mut after: Option<Box<[u8]>> = after.map(Into::into);
    while found.len() < limit {
        let mut ids = shared.ordered.ids_with_email(email, after.as_deref(), limit);
        let last = (ids.len() == limit).then(|| ids.last().cloned()).flatten();
        let is_between = |id: &[u8]| {
            after.as_deref().is_none_or(|after| id > after)
                && last.as_deref().is_none_or(|last| id <= last)
        };
        ids.extend(new.iter().filter(|id| is_between(id)).cloned());
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            if found.len() < limit && has_email(reader, &id, email)? {
                found.push(id);
            }
        }
        if last.is_none() {
            break;
        }
        after = last;
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
