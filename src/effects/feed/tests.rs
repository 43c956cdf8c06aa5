//! The rules of the parts; the whole is tested over sockets in `tests/it/http/feed`.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::EventKind;
use crate::domain::position::{Lane, NextOffset, Position};
use crate::segments::FrameNo;
use crate::store::ChangeRef;

use super::chunk::Chunk;
use super::filter::Filter;
use super::ring::{Found, Ring};
use super::sse;

fn place(frame: u64) -> ChangeRef {
    ChangeRef::new(FrameNo(frame), 0)
}

fn seen(next: u64) -> Position {
    Position::of_lanes(1, [(Lane(0), NextOffset(next))].into())
}

/// A ring that holds the frames from one to another, a chunk each.
fn ring(from: u64, to: u64, bytes_max: usize) -> Ring {
    let mut ring = Ring::new(bytes_max);
    ring.restart(place(from), Arc::new(seen(from * 10)));
    for frame in from..to {
        let after = seen(frame * 10 + 10);
        ring.push(Arc::new(Chunk::spanning(place(frame), place(frame + 1), after)));
    }
    ring
}

#[test]
fn a_client_joins_where_a_chunk_begins_at_its_place_and_nowhere_else() {
    let ring = ring(5, 8, 1 << 20);
    let first = ring.next() - 3;
    assert_eq!(ring.number_at(place(6), &seen(60)), Some(first + 1));
    assert_eq!(ring.number_at(place(8), &seen(80)), Some(first + 3), "the end");
    assert_eq!(ring.number_at(place(4), &seen(40)), None, "before the oldest");
    assert_eq!(ring.number_at(ChangeRef(place(6).0 + 1), &seen(61)), None, "within a chunk");
    assert_eq!(ring.number_at(place(9), &seen(90)), None, "ahead of the ring");
}

#[test]
fn a_client_that_has_seen_more_elsewhere_does_not_join_before_that_is_passed() {
    let ring = ring(5, 8, 1 << 20);
    assert_eq!(ring.number_at(place(6), &seen(61)), None);
    assert_eq!(ring.number_at(place(8), &seen(81)), None);
}

#[test]
fn old_chunks_go_and_a_restart_leaves_none_of_the_old_numbers() {
    let mut ring = ring(0, 100, 1_000);
    let next = ring.next();
    assert!(matches!(ring.get(next), Found::NotYet));
    assert!(matches!(ring.get(next - 1), Found::Chunk(chunk) if chunk.end == place(100)));
    assert!(matches!(ring.get(next - 50), Found::Gone));
    assert!(matches!(ring.get(next + 1), Found::Gone));
    ring.restart(place(200), Arc::new(seen(2_000)));
    assert!(matches!(ring.get(next), Found::Gone));
    assert!(matches!(ring.get(next - 1), Found::Gone));
    assert_eq!(ring.number_at(place(200), &seen(2_000)), Some(ring.next()));
}

#[test]
fn filters_go_by_kind_and_contact() {
    let all = Filter::default();
    assert!(all.is_open() && all.passes(EventKind::Erased, b"a"));
    assert!(Filter::new(&[], Vec::new()).is_open());
    let some = Filter::new(
        &[EventKind::Created, EventKind::Deleted],
        vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
    );
    assert_eq!(some.contacts(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
    assert!(some.passes(EventKind::Created, b"b"));
    assert!(!some.passes(EventKind::Updated, b"b"));
    assert!(!some.passes(EventKind::Created, b"c"));
}

#[test]
fn texts_are_server_sent_events() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let at = seen(26);
    let id = "id: p1-0000000000000001-0.1a\n";
    let retry = Duration::from_millis(1500);
    assert_eq!(text(sse::opening(retry, Some(&at))), format!("retry: 1500\n{id}\n"));
    assert_eq!(text(sse::heartbeat(Some(&at))), format!(": heartbeat\n{id}\n"));
    assert_eq!(
        text(sse::ready(&at, 3)),
        format!(
            "event: ready\ndata: {{\"position\":\"p1-0000000000000001-0.1a\",\"contacts\":3}}\n{id}\n"
        )
    );
    assert_eq!(
        text(sse::reset(sse::ResetReason::TooSlow)),
        "event: reset\ndata: {\"reason\":\"too_slow\",\"resume\":true}\n\n"
    );
}
