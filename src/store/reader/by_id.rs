//! Contacts by the ids that sources have for them, and what is known of one by its own.

use crate::domain::clock::Clock;
use crate::domain::external_ids::{contact_id_of, erased_form};
use crate::store::StoreError;
use crate::store::ordered::{PageKey, PageRequest, Total};

use super::{Page, PageEntry, Reader, Value};

impl Reader {
    /// The contacts that a source has this id for, DELETED and erased ones too: those first that it was tied
    /// to. One whose own id is made of it comes last.
    pub fn contacts_of(&self, source: &str, id: &str) -> Result<Vec<(String, Value)>, StoreError> {
        let ids = &self.shared.external_ids;
        let erased = erased_form(source.as_bytes(), id.as_bytes());
        let itself = contact_id_of(source.as_bytes(), id.as_bytes()).into_bytes().into();
        let candidates = [ids.tied(source, id), ids.tied(source, &erased), vec![itself]];
        let mut found = Vec::new();
        for contact_id in candidates.into_iter().flatten() {
            // An erased one whose own id is made of it is tied as well.
            let is_found = |(id, _): &(String, Value)| id.as_bytes() == &*contact_id;
            if found.iter().any(is_found) {
                continue;
            }
            let Some(value) = self.contact(&contact_id)? else {
                continue;
            };
            let view = self.shared.contacts.view(&contact_id, &value)?;
            if view.external_ids().any(|at| at == (source, id) || at == (source, &erased)) {
                found.push((String::from_utf8_lossy(&contact_id).into_owned(), value));
            }
        }
        Ok(found)
    }

    /// Whether the next page waits until the lists are made again.
    pub fn lists_are_put_off(&self) -> bool {
        self.shared.ordered.are_put_off()
    }

    /// Whether a contact was erased at that time or later, in ms since 1970: what came before is not shown.
    pub fn was_erased_since(&self, contact_id: &[u8], time_ms: i64) -> Result<bool, StoreError> {
        let erased = self.last_erased(contact_id)?;
        let erased_ms = erased.map(|at| i64::try_from(at.ts_us / 1000).unwrap_or(i64::MAX));
        Ok(erased_ms.is_some_and(|erased_ms| erased_ms >= time_ms))
    }

    /// Whether a contact may have been erased; false: it never was. Waits for nothing.
    pub(crate) fn may_be_erased(&self, contact_id: &[u8]) -> bool {
        self.shared.erased.may_have(contact_id)
    }

    /// When a contact was last erased. Waits for the disk only where it may have been.
    pub(crate) fn last_erased(&self, contact_id: &[u8]) -> Result<Option<Clock>, StoreError> {
        if !self.shared.erased.may_have(contact_id) {
            return Ok(None);
        }
        let Some(value) = self.contact(contact_id)? else {
            return Ok(None);
        };
        Ok(self.shared.contacts.view(contact_id, &value)?.erased())
    }

    /// [`Self::contacts_of`] as a page: as many as are asked for, of the status that is asked for.
    pub fn page_of_id(
        &self,
        source: &str,
        id: &str,
        request: &PageRequest,
    ) -> Result<Page, StoreError> {
        let mut contacts = Vec::new();
        for (id, value) in self.contacts_of(source, id)? {
            let status = self.shared.contacts.view(id.as_bytes(), &value)?.status();
            if request.status.is_none_or(|wanted| wanted == status) {
                let key = PageKey { sort: Vec::new(), id: id.clone().into_bytes() };
                contacts.push(PageEntry { id, key, value });
            }
        }
        let total = Total::Exact(contacts.len() as u64);
        contacts.truncate(request.limit);
        Ok(Page { contacts, first: None, rest: None, total })
    }
}
