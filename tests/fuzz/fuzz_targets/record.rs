//! Records, decoded as applying does it and merged: texts are texts, and in whatever order timed events
//! come, and however often, they make the same contact.

#![no_main]

use std::sync::LazyLock;

use contactd::domain::contact::{Contact, ContactView, write_json};
use contactd::domain::decode::{Decoder, contact_id_problem};
use contactd::domain::event::{Event, Patch};
use contactd::domain::limits::ID_BYTES_MAX;
use contactd::domain::merge::{CommandTimes, decide, merge};
use contactd::domain::verdict::Verdict;
use contactd_fuzz::{NOW_MS, records, world};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

static DECODER: LazyLock<Decoder> = LazyLock::new(world::decoder);
const TIMES: CommandTimes = CommandTimes { record_ms: NOW_MS as i64, latest_us: 1000 * NOW_MS };

fuzz_target!(|data: &[u8]| {
    let mut batch = records::batch(data);
    let before = batch.arena.clone();
    let decoded = (0..batch.records.len()).map(|index| DECODER.decode(&mut batch, index));
    let events: Vec<Event> = decoded.collect::<Vec<_>>().into_iter().flatten().collect();
    let arena = &batch.arena;
    assert!(arena.starts_with(&before));
    events.iter().for_each(|event| check(event, arena));
    let timed = events.iter().filter(|event| event.command.is_none() && event.body_hash.is_none());
    let forwards = merged(timed.clone(), arena);
    if let (Some(one), Some(other)) = (&forwards, merged(timed.rev(), arena)) {
        let canonical = |body| ContactView::parse(body).expect("a body").canonical().to_vec();
        assert_eq!(canonical(one), canonical(&other));
    }
    for event in &events {
        let (Some(command), mut out) = (&event.command, Vec::new()) else { continue };
        let (current, limits) = (forwards.as_deref(), DECODER.limits());
        if let Ok(Verdict::Applied) =
            decide(current, (event, command), arena, TIMES, limits, &mut out)
        {
            shown(&out);
        }
    }
});

fn check(event: &Event, arena: &[u8]) {
    let text = |bytes| std::str::from_utf8(bytes).expect("a text");
    assert_eq!(contact_id_problem(event.contact_id.of(arena)), None);
    assert!((1..=ID_BYTES_MAX).contains(&event.event_id.of(arena).len()));
    for span in [event.contact_id, event.event_id, event.source] {
        text(span.of(arena));
    }
    for patch in &event.fields {
        if let Patch::Set(span) = patch {
            text(span.of(arena));
        }
    }
    assert!(event.attributes.is_sorted_by(|one, other| one.0.of(arena) < other.0.of(arena)));
    for (key, patch) in &event.attributes {
        text(key.of(arena));
        if let Patch::Set(span) = patch {
            serde_json::from_slice::<&RawValue>(span.of(arena)).expect("JSON");
        }
    }
}

/// None: there is none, or it grew too large.
fn merged<'e>(events: impl Iterator<Item = &'e Event>, arena: &[u8]) -> Option<Vec<u8>> {
    let (mut body, mut out, limits) = (None::<Vec<u8>>, Vec::new(), DECODER.limits());
    for event in events {
        merge(body.as_deref(), event, arena, 0, limits, &mut out).ok()?;
        if !out.is_empty() {
            body = Some(out.clone());
        }
        let again = merge(body.as_deref(), event, arena, 0, limits, &mut out).ok()?;
        assert_ne!(again, Verdict::Applied);
        assert!(out.is_empty(), "the same event has changed something");
        shown(body.as_deref()?);
    }
    body
}

fn shown(body: &[u8]) {
    let (view, mut json) = (ContactView::parse(body).expect("a body"), Vec::new());
    write_json("id", &view, &mut json);
    let contact = serde_json::to_string(&Contact::from_view("id", &view)).expect("JSON");
    assert_eq!(std::str::from_utf8(&json), Ok(contact.as_str()));
    serde_json::from_str::<serde_json::Value>(&contact).expect("JSON");
}
