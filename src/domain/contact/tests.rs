//! The body's format, fixed by a fixture, and what is shown of it.

use super::rings::{FirstSeen, REPEATS_MAX, REPEATS_MIN, REPEATS_MS};
use super::state::Register;
use super::*;
use crate::domain::event::FIELDS;

/// Format 1: a body with every part in it. It must be readable for ever; a new format gets its own.
const FIXTURE: &str = include_str!("body_v1.hex");

fn clock(ts_us: u64, version: Option<u64>) -> Clock {
    Clock { ts_us, version, hash: 0x1122_3344_5566_7788 }
}

fn full_state() -> State<'static> {
    let head = clock(1_763_719_200_000_000, Some(9));
    let old = clock(1_763_719_100_000_000, None);
    let register = |clock, value| Register { clock, value };
    let value = |text: &'static str| Some(text.as_bytes());
    State {
        merging_into: None,
        head,
        source: b"acme",
        timed: Some((1_763_719_000_000_000, 1_763_719_200_000_000)),
        first_is_edit: false,
        source_version: Some(12),
        created: Some(clock(1_763_719_000_000_000, Some(1))),
        restored: Some(clock(1_763_719_050_000_000, None)),
        put: Some(old),
        reset: Some(clock(1_763_718_000_000_000, None)),
        horizon: Some(clock(1_763_718_500_000_000, None)),
        erased: Some(clock(1_763_717_000_000_000, None)),
        deletes: vec![clock(1_763_719_060_000_000, None), head],
        fields: [
            Some(register(head, value("Ada"))),
            Some(register(old, value("Lövelace \"L\""))),
            Some(register(head, None)),
            Some(register(old, None)),
            None,
            Some(register(old, value(""))),
        ],
        attributes: vec![
            (b"gone".as_slice(), register(old, None)),
            (b"plan".as_slice(), register(head, value("{\"tier\":[1,2.50]}"))),
        ],
        external_ids: vec![
            (b"crm".as_slice(), register(old, None)),
            (b"hubspot".as_slice(), register(old, value("1148"))),
        ],
    }
}

fn full_body() -> Vec<u8> {
    let mut canonical = Vec::new();
    full_state().write(&mut canonical);
    let mut body = head_of(41, Some(1_763_719_200_123), canonical.len()).to_vec();
    body.extend_from_slice(&canonical);
    let first = FirstSeen { id_hash: 5, body_hash: 8, time_us: 9, record_time_ms: 10 };
    Rings::default().write_with(Some(first), &mut body);
    body
}

#[test]
fn format_1_is_written_and_read_as_in_the_fixture() {
    let fixture: Vec<u8> = FIXTURE
        .split_whitespace()
        .flat_map(|line| line.as_bytes().chunks(2))
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let hex: String = full_body().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fixture, full_body(), "now {hex}");
    let view = ContactView::parse(&fixture).unwrap();
    assert_eq!(
        (view.version(), view.source_version(), view.status()),
        (41, Some(12), Status::Deleted)
    );
    assert_eq!((view.first_seen_us(5, 8), view.first_seen_us(5, 7)), (Some(9), None));
    assert!(ContactView::has_external_ids(&fixture));
    let (state, _) = view.into_parts();
    assert_eq!(format!("{state:?}"), format!("{:?}", full_state()));
}

#[test]
fn json_is_flat_and_both_writers_agree() {
    let body = full_body();
    let view = ContactView::parse(&body).unwrap();
    let mut written = Vec::new();
    write_json("c\"1", &view, &mut written);
    let written = String::from_utf8(written).unwrap();
    assert_eq!(
        written,
        concat!(
            r#"{"id":"c\"1","firstName":"Ada","lastName":"Lövelace \"L\"","email":null,"phone":null,"company":null,"#,
            r#""title":"","attributes":{"plan":{"tier":[1,2.50]}},"externalIds":{"hubspot":"1148"},"status":"DELETED","version":41,"sourceVersion":12,"#,
            r#""source":"acme","createdAt":"2025-11-21T09:56:40.000Z","updatedAt":"2025-11-21T10:00:00.000Z","changedAt":"2025-11-21T10:00:00.123Z"}"#
        )
    );
    let contact = Contact::from_view("c\"1", &view);
    assert_eq!(serde_json::to_string(&contact).unwrap(), written);
    let object: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert!(FIELDS.iter().all(|field| object.get(field).is_some()));
}

#[test]
fn cut_or_changed_bodies_never_panic_and_cuts_are_seen() {
    let body = full_body();
    for len in 0..body.len() {
        assert!(ContactView::parse(&body[..len]).is_err(), "cut at {len}");
    }
    let mut changed = body.clone();
    for place in 0..body.len() {
        for bit in 0..8 {
            changed[place] ^= 1 << bit;
            let _ = ContactView::parse(&changed);
            changed[place] ^= 1 << bit;
        }
    }
    changed.push(0);
    assert_eq!(ContactView::parse(&changed).unwrap_err().part, "end");
}

/// A ring that had those come one after the other.
fn ring_of(firsts: impl Iterator<Item = FirstSeen>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Rings::default().write_with(None, &mut bytes);
    for first in firsts {
        let before = std::mem::take(&mut bytes);
        let rings = Rings::read(&mut Wire::new(&before)).unwrap();
        rings.write_with(Some(first), &mut bytes);
    }
    bytes
}

fn first(id_hash: u64, record_time_ms: i64) -> FirstSeen {
    FirstSeen { id_hash, body_hash: 1, time_us: id_hash, record_time_ms }
}

#[test]
fn rings_keep_ten_minutes_of_repeats_between_16_and_256() {
    let repeats = |bytes: &[u8], ids: u64| {
        let rings = Rings::read(&mut Wire::new(bytes)).unwrap();
        (0..ids).filter(|id| rings.first_seen(*id, 1).is_some()).collect::<Vec<_>>()
    };
    // All at once: as many as fit.
    let bytes = ring_of((0..300).map(|id| first(id, 7)));
    assert_eq!(repeats(&bytes, 300), (300 - REPEATS_MAX as u64..300).collect::<Vec<_>>());
    let rings = Rings::read(&mut Wire::new(&bytes)).unwrap();
    assert_eq!(rings.first_seen(299, 2), None, "another body is another event");
    // A minute apart: ten minutes of them would be fewer than 16.
    let bytes = ring_of((0..40).map(|id| first(id, 60_000 * id as i64)));
    assert_eq!(repeats(&bytes, 40), (40 - REPEATS_MIN as u64..40).collect::<Vec<_>>());
    // Four seconds apart: those of ten minutes, not one older.
    let bytes = ring_of((0..700).map(|id| first(id, 4_000 * id as i64)));
    let kept = REPEATS_MS as u64 / 4_000 + 1;
    assert_eq!(repeats(&bytes, 700), (700 - kept..700).collect::<Vec<_>>());
}
