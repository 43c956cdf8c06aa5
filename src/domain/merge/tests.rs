//! Verdicts and the edges of a contact's life, case by case; the laws are in the domain's tests.

use super::*;
use crate::domain::clock::id_hash;
use crate::domain::contact::Status;
use crate::domain::event::{Command, Patch};
use crate::domain::span::Span;

/// A contact under test, and the last verdict's coordinates.
#[derive(Default)]
struct Subject {
    body: Option<Vec<u8>>,
    arena: Vec<u8>,
    limits: Limits,
}

impl Subject {
    fn text(&mut self, text: &str) -> Span {
        let span = Span::new(self.arena.len(), text.len());
        self.arena.extend_from_slice(text.as_bytes());
        span
    }

    /// An event that sets the first names given by place.
    fn event(
        &mut self,
        kind: EventKind,
        id: &str,
        time: Option<u64>,
        fields: &[(usize, &str)],
    ) -> Event {
        let hash = id_hash(b"", id.as_bytes());
        let mut event = Event {
            kind,
            contact_id: Span::default(),
            is_id_given: true,
            event_id: self.text(id),
            source: Span::default(),
            timestamp: time,
            body_hash: time.is_none().then_some(0),
            clock: time.map(|ts_us| Clock { ts_us, version: None, hash }),
            id_hash: hash,
            source_version: None,
            fields: [Patch::Absent; 6],
            attributes: Vec::new(),
            command: None,
        };
        for (place, text) in fields {
            event.fields[*place] = Patch::Set(self.text(text));
        }
        event
    }

    fn merge(&mut self, event: &Event) -> Result<Verdict, MergeError> {
        let mut out = Vec::new();
        let verdict = merge(self.body.as_deref(), event, &self.arena, &self.limits, &mut out)?;
        if verdict == Verdict::Applied {
            self.body = Some(out);
        }
        Ok(verdict)
    }

    fn apply(&mut self, kind: EventKind, id: &str, time: u64, fields: &[(usize, &str)]) -> Verdict {
        let event = self.event(kind, id, Some(time), fields);
        self.merge(&event).unwrap()
    }

    fn command(
        &mut self,
        kind: EventKind,
        id: &str,
        time: u64,
        fields: &[(usize, &str)],
        expected: Option<u64>,
        replace: bool,
    ) -> Verdict {
        let mut event = self.event(kind, id, Some(time), fields);
        let mut body_hash = [0; 16];
        body_hash[0] = fields.len() as u8;
        event.command = Some(Box::new(Command {
            expected_version: expected,
            replace,
            body_hash,
            principal: None,
            request_id: None,
        }));
        self.merge(&event).unwrap()
    }

    fn view(&self) -> ContactView<'_> {
        ContactView::parse(self.body.as_deref().unwrap()).unwrap()
    }

    fn fields(&self) -> [Option<&str>; 2] {
        let view = self.view();
        [view.field(0), view.field(1)]
    }
}

use EventKind::{Created, Deleted, Erased, Restored, Updated};

#[test]
fn late_and_repeated_events_have_their_verdicts() {
    let mut contact = Subject::default();
    assert_eq!(contact.apply(Created, "a", 10, &[(0, "Ada")]), Verdict::Applied);
    assert_eq!(contact.apply(Updated, "b", 20, &[(0, "Eve")]), Verdict::Applied);
    assert_eq!(contact.apply(Updated, "b", 20, &[(0, "Eve")]), Verdict::Duplicate);
    assert_eq!(contact.apply(Created, "a", 10, &[(0, "Ada")]), Verdict::Duplicate);
    assert_eq!(contact.apply(Updated, "c", 15, &[(0, "Bob")]), Verdict::Stale);
    assert_eq!(contact.apply(Updated, "d", 15, &[]), Verdict::Unchanged);
    assert_eq!(contact.apply(Updated, "e", 15, &[(1, "L")]), Verdict::Applied);
    assert_eq!(contact.apply(Updated, "f", 30, &[(0, "Eve")]), Verdict::Applied);
    assert_eq!((contact.fields(), contact.view().version()), ([Some("Eve"), Some("L")], 4));
    assert_eq!(
        (contact.view().created_at_us(), contact.view().updated_at_us()),
        (Some(10), Some(30))
    );
}

#[test]
fn a_newer_created_raises_the_dead_and_an_updated_does_not() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada"), (1, "L")]);
    contact.apply(Deleted, "b", 20, &[]);
    assert_eq!(contact.apply(Updated, "c", 30, &[(0, "Eve")]), Verdict::Applied);
    assert_eq!(
        (contact.view().status(), contact.fields()),
        (Status::Deleted, [Some("Eve"), Some("L")])
    );
    contact.apply(Created, "d", 40, &[]);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Active, [Some("Eve"), None]));
    assert_eq!(contact.view().created_at_us(), Some(20));
    assert_eq!(contact.apply(Updated, "e", 15, &[(1, "old")]), Verdict::Stale);
}

#[test]
fn restoring_keeps_the_fields_and_erasing_forgets_them() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    contact.apply(Deleted, "b", 20, &[]);
    assert_eq!(contact.command(Restored, "c", 30, &[], None, false), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Active, [Some("Ada"), None]));
    assert_eq!(contact.command(Erased, "d", 40, &[], None, false), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Deleted, [None, None]));
    let body = contact.body.clone().unwrap();
    assert!(!body.windows(3).any(|bytes| bytes == b"Ada"));
}

#[test]
fn put_hides_what_is_older_and_revives() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada"), (1, "L")]);
    contact.apply(Deleted, "b", 20, &[]);
    assert_eq!(contact.command(Updated, "c", 30, &[(0, "Eve")], None, true), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Active, [Some("Eve"), None]));
    assert_eq!(contact.view().created_at_us(), Some(10));
}

#[test]
fn commands_have_their_verdicts() {
    let mut contact = Subject::default();
    for kind in [Deleted, Restored, Erased] {
        assert_eq!(contact.command(kind, "x", 5, &[], None, false), Verdict::NotFound);
    }
    assert_eq!(contact.command(Updated, "x", 5, &[(0, "A")], Some(1), false), Verdict::NotFound);
    assert_eq!(contact.command(Created, "a", 10, &[(0, "Ada")], Some(0), false), Verdict::Applied);
    assert_eq!(contact.command(Created, "b", 11, &[(0, "Bob")], Some(0), false), Verdict::Conflict);
    contact.apply(Updated, "late", 100, &[(0, "Eve")]);
    assert_eq!(contact.command(Updated, "c", 50, &[(0, "C")], None, false), Verdict::Superseded);
    assert_eq!(contact.command(Updated, "d", 50, &[(0, "D")], Some(1), false), Verdict::Conflict);
    assert_eq!(contact.command(Updated, "d", 50, &[(0, "D")], Some(2), false), Verdict::Applied);
    assert_eq!((contact.fields(), contact.view().head().ts_us), ([Some("D"), None], 101));
    assert_eq!(contact.command(Updated, "d", 60, &[(0, "D")], Some(2), false), Verdict::Duplicate);
    assert_eq!(contact.command(Updated, "d", 60, &[], Some(2), false), Verdict::Conflict);
    let outcome = contact.view().command(id_hash(b"", b"d")).unwrap();
    assert_eq!((outcome.verdict, outcome.version), (Verdict::Applied, 3));
    assert_eq!(contact.command(Updated, "e", 50, &[(1, "E")], Some(3), true), Verdict::Applied);
    assert_eq!(contact.fields(), [None, Some("E")]);
}

#[test]
fn an_event_under_the_id_of_a_remembered_command_tells_nothing_new() {
    let mut contact = Subject::default();
    let as_ours = |id: &str| id_hash(API_SOURCE.as_bytes(), id.as_bytes());
    let command = |contact: &mut Subject, id: &str, time: u64| {
        let mut event = contact.event(Updated, id, Some(time), &[(0, "Ada")]);
        event.id_hash = as_ours(id);
        event.clock = Some(Clock { ts_us: time, version: None, hash: event.id_hash });
        event.command = Some(Box::new(Command {
            expected_version: None,
            replace: false,
            body_hash: [0; 16],
            principal: None,
            request_id: None,
        }));
        contact.merge(&event).unwrap()
    };
    assert_eq!(command(&mut contact, "ours", 10), Verdict::Applied);
    let before = contact.body.clone();
    // By another source, later, in another version, about something else: it is ours all the same.
    for kind in [Created, Updated, Deleted] {
        let mut event = contact.event(kind, "ours", Some(20), &[(1, "Byron")]);
        event.source_version = Some(9);
        assert_eq!(contact.merge(&event).unwrap(), Verdict::Duplicate);
    }
    assert_eq!(contact.body, before);
    assert_eq!(contact.apply(Updated, "theirs", 20, &[(1, "Byron")]), Verdict::Applied);
    // As long as the contact remembers it.
    for number in 0..16 {
        assert_eq!(command(&mut contact, &format!("c{number}"), 30 + number), Verdict::Applied);
    }
    assert_eq!(contact.apply(Updated, "ours", 100, &[(1, "King")]), Verdict::Applied);
}

#[test]
fn untimed_events_come_in_their_order_of_arrival() {
    let mut contact = Subject::default();
    for (id, name) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let event = contact.event(Updated, id, None, &[(0, name)]);
        assert_eq!(contact.merge(&event), Ok(Verdict::Applied));
        assert_eq!(contact.merge(&event), Ok(Verdict::Duplicate));
        assert_eq!(contact.fields()[0], Some(name));
    }
    assert_eq!((contact.view().head().ts_us, contact.view().updated_at_us()), (3, None));
    contact.apply(Updated, "t", 10, &[(0, "timed")]);
    assert_eq!((contact.fields()[0], contact.view().updated_at_us()), (Some("timed"), Some(10)));
}

#[test]
fn a_contact_that_would_outgrow_its_limit_stays_as_it_is() {
    let limits = Limits { contact_bytes_max: 200, ..Limits::default() };
    let mut contact = Subject { limits, ..Subject::default() };
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    let before = contact.body.clone();
    let event = contact.event(Updated, "b", Some(20), &[(1, &"x".repeat(200))]);
    let error = contact.merge(&event).unwrap_err();
    assert!(matches!(error, MergeError::TooLarge { bytes_max: 200, .. }));
    assert_eq!((error.class(), before), (Class::Poison, contact.body.clone()));
    contact.body = Some(vec![0; 30]);
    assert_eq!(contact.merge(&event).unwrap_err().class(), Class::Fatal);
}
