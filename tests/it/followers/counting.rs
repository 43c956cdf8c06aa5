//! A follower of the tests alone: it tells of every change of a contact, and its target is a list.

use std::sync::Arc;

use contactd::effects::follower::{Answer, Change, Delivery, Picked, Row, Sink, Start};
use contactd::store::journal::Entry;
use contactd::store::{Reader, StoreError};
use parking_lot::Mutex;

/// What was delivered: contact and version.
#[derive(Clone, Default)]
pub struct Counting(pub Arc<Mutex<Vec<(String, u64)>>>);

impl Counting {
    pub fn row() -> Row {
        let about = "Counts every change of a contact.";
        Row { start: Start::Beginning, ..Row::new("counting", "counting", about) }
    }
}

impl Sink for Counting {
    type Item = ();

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<()>> {
        let Change { id, view, .. } = Change::of(entry)?;
        Some(Picked { key: id.to_owned(), version: view.version(), bytes: 64, item: () })
    }

    async fn deliver(&self, deliveries: &[Delivery<()>]) -> Vec<Answer> {
        let told = deliveries.iter().map(|delivery| (delivery.key.clone(), delivery.version));
        self.0.lock().extend(told);
        vec![Answer::Delivered; deliveries.len()]
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(&self, reader: &Reader, key: &str) -> Result<Option<Picked<()>>, StoreError> {
        let contact = reader.contact(key.as_bytes())?;
        let version = contact.and_then(|contact| Some(contact.view().ok()?.version()));
        Ok(version.map(|version| Picked { key: key.to_owned(), version, bytes: 64, item: () }))
    }
}
