//! The body's format, fixed by a fixture, and what is shown of it.

use super::rings::RING_LEN;
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
        head,
        source: b"acme",
        timed: Some((1_763_719_000_000_000, 1_763_719_200_000_000)),
        first_is_edit: false,
        source_version: Some(12),
        created: Some(clock(1_763_719_000_000_000, Some(1))),
        restored: Some(clock(1_763_719_050_000_000, None)),
        put: Some(old),
        reset: Some(clock(1_763_718_000_000_000, None)),
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
    }
}

fn full_body() -> Vec<u8> {
    let mut canonical = Vec::new();
    full_state().write(&mut canonical);
    let mut body = 41_u64.to_le_bytes().to_vec();
    body.extend_from_slice(&(canonical.len() as u32).to_le_bytes());
    body.extend_from_slice(&canonical);
    Rings::default().write_with(Some(5), &mut body);
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
            r#""title":"","attributes":{"plan":{"tier":[1,2.50]}},"status":"DELETED","version":41,"sourceVersion":12,"#,
            r#""source":"acme","createdAt":"2025-11-21T09:56:40.000Z","updatedAt":"2025-11-21T10:00:00.000Z"}"#
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

#[test]
fn rings_keep_the_last_sixteen() {
    let mut bytes = Vec::new();
    Rings::default().write_with(None, &mut bytes);
    for id in 0..20 {
        let before = std::mem::take(&mut bytes);
        let rings = Rings::read(&mut Wire::new(&before)).unwrap();
        rings.write_with(Some(id), &mut bytes);
    }
    let rings = Rings::read(&mut Wire::new(&bytes)).unwrap();
    let kept = (0..20).filter(|id| rings.has_untimed(*id));
    assert_eq!(kept.collect::<Vec<_>>(), (20 - RING_LEN as u64..20).collect::<Vec<_>>());
}
