//! What a receiver holds in the end: the events, merged here as applying would merge them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::contact::{Contact, ContactView};
use crate::domain::decode::Decoder;
use crate::domain::headers::SOURCE;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;

/// Contacts by id, as the events so far make them.
pub(super) struct Expected {
    decoder: Arc<Decoder>,
    source: String,
    bodies: BTreeMap<String, Vec<u8>>,
}

impl Expected {
    pub(super) fn new(decoder: Arc<Decoder>, source: &str) -> Self {
        Self { decoder, source: source.to_owned(), bodies: BTreeMap::new() }
    }

    /// One event, as it comes by this source's webhook. The order of events is no matter.
    ///
    /// # Errors
    /// Why no receiver would take it.
    pub(super) fn take(&mut self, event: &[u8], now_ms: u64) -> Result<(), String> {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = [(SOURCE, Some(self.source.as_bytes()))];
        let time = i64::try_from(now_ms).unwrap_or(i64::MAX);
        batch.push(Offset(0), time, None, Some(event), headers.into_iter());
        let event = self.decoder.decode(&mut batch, 0).map_err(|reject| reject.to_string())?;
        let id = String::from_utf8_lossy(event.contact_id.of(&batch.arena)).into_owned();
        let mut body = Vec::new();
        let current = self.bodies.get(&id).map(Vec::as_slice);
        let limits = self.decoder.limits();
        merge(current, &event, &batch.arena, time, limits, &mut body)
            .map_err(|error| error.to_string())?;
        if !body.is_empty() {
            self.bodies.insert(id, body);
        }
        Ok(())
    }

    /// The contacts, by id.
    pub(super) fn contacts(&self) -> impl Iterator<Item = Contact> {
        self.bodies.iter().filter_map(|(id, body)| {
            ContactView::parse(body).ok().map(|view| Contact::from_view(id, &view))
        })
    }
}
