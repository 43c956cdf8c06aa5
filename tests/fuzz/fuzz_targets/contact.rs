//! Stored contacts: whatever is believed can be shown, merged into and read again; of a damaged record
//! of the heap file nothing is.

#![no_main]

use std::sync::{Arc, LazyLock};

use contactd::domain::contact::{Contact, ContactView, write_json};
use contactd::domain::event::Event;
use contactd::domain::limits::Limits;
use contactd::domain::merge::merge;
use contactd::domain::record::RecordBatch;
use contactd::domain::verdict::Verdict;
use contactd::store::{StoredContact, contact_in_heap, contact_of_heap};
use contactd_fuzz::{damage, parts, records, world};
use libfuzzer_sys::fuzz_target;

/// Later than all others.
static EVENT: LazyLock<(RecordBatch, Event)> = LazyLock::new(|| {
    let text = r#"{"id":"e","eventType":"contact.updated","timestamp":"2200-12-31T23:59:59Z","data":{"id":"c","title":"Dr","a":1,"b":null}}"#;
    let mut batch = records::batch(&records::bytes(&[(vec![], vec![], text.into())]));
    let event = world::decoder().decode(&mut batch, 0).expect("an event");
    (batch, event)
});

fuzz_target!(|data: &[u8]| {
    let [how, id, body] = parts(data);
    if let Ok(view) = ContactView::parse(body) {
        let mut json = Vec::new();
        write_json("id", &view, &mut json);
        std::str::from_utf8(&json).expect("a text");
        let _ = (Contact::from_view("id", &view), view.tag(), view.floor(), view.head());
        again(body);
    }
    if let Some(stored) = StoredContact::from_bytes(Arc::from(body)) {
        let built = StoredContact::build(stored.links(), stored.body(), &mut Vec::new());
        assert_eq!(built.bytes(), body);
    }
    let mut bytes = contact_in_heap(id, body);
    assert_eq!(contact_of_heap(&bytes), Some((id, body)));
    damage(&mut bytes, how);
    assert!(contact_of_heap(&bytes).is_none_or(|whole| whole == (id, body)));
    contact_of_heap(body);
});

fn again(body: &[u8]) {
    let ((batch, event), mut out, mut twice) = (&*EVENT, Vec::new(), Vec::new());
    let limits = Limits::default();
    let merged = merge(Some(body), event, &batch.arena, 0, &limits, &mut out);
    if merged.is_err() || out.is_empty() {
        return;
    }
    ContactView::parse(&out).expect("what is written is read");
    let verdict = merge(Some(&out), event, &batch.arena, 0, &limits, &mut twice);
    assert!(verdict.expect("a body") != Verdict::Applied && twice.is_empty());
}
