//! Verdicts and the edges of a contact's life, case by case; the laws are in the domain's tests.

use super::*;
use crate::domain::clock::id_hash;
use crate::domain::command::{Command, Condition, Intent};
use crate::domain::contact::{StateTag, Status};
use crate::domain::event::{EventKind, Patch};
use crate::domain::position::NextOffset;
use crate::domain::span::Span;

/// A contact under test, and the last verdict's coordinates.
#[derive(Default)]
struct Subject {
    body: Option<Vec<u8>>,
    arena: Vec<u8>,
    limits: Limits,
    record_time_ms: i64,
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
            external_ids: Vec::new(),
            replaces: false,
            is_notice: false,
            payment: None,
            command: None,
        };
        for (place, text) in fields {
            event.fields[*place] = Patch::Set(self.text(text));
        }
        event
    }

    fn merge(&mut self, event: &Event) -> Result<Verdict, MergeError> {
        let mut out = Vec::new();
        let at = self.record_time_ms;
        let verdict = merge(self.body.as_deref(), event, &self.arena, at, &self.limits, &mut out)?;
        assert!(verdict != Verdict::Applied || !out.is_empty());
        if !out.is_empty() {
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
        intent: Intent,
        id: &str,
        time: u64,
        fields: &[(usize, &str)],
        condition: Condition,
    ) -> Verdict {
        let survivor = intent.names_survivor().then_some("s");
        self.of_merge((intent, survivor), id, time, fields, condition)
    }

    fn of_merge(
        &mut self,
        (intent, survivor): (Intent, Option<&str>),
        id: &str,
        time: u64,
        fields: &[(usize, &str)],
        condition: Condition,
    ) -> Verdict {
        let mut event = self.event(intent.kind(), id, Some(time), fields);
        event.replaces = intent.replaces();
        let survivor = survivor.map(|survivor| self.text(survivor));
        let command = Command {
            intent,
            condition,
            clears_attributes: false,
            merges_attributes: false,
            body_hash: [0; 16],
            is_keyed: false,
            lane_next: NextOffset(0),
            survivor,
            principal: None,
            request_id: None,
        };
        event.command = Some(Box::new(command.clone()));
        self.decide(&event, &command)
    }

    fn decide(&mut self, event: &Event, command: &Command) -> Verdict {
        let (body, limits, mut out) = (self.body.as_deref(), &self.limits, Vec::new());
        let times = CommandTimes { record_ms: 0, latest_us: LATEST };
        let decided = decide(body, (event, command), &self.arena, times, limits, &mut out);
        let verdict = decided.unwrap();
        assert!(verdict != Verdict::Applied || !out.is_empty());
        if !out.is_empty() {
            self.body = Some(out);
        }
        verdict
    }

    fn tag(&self) -> StateTag {
        self.view().tag()
    }

    fn view(&self) -> ContactView<'_> {
        ContactView::parse(self.body.as_deref().unwrap()).unwrap()
    }

    fn fields(&self) -> [Option<&str>; 2] {
        let view = self.view();
        [view.field(0), view.field(1)]
    }
}

use EventKind::{Created, Deleted, Updated};
use Intent::{
    Bind, Create, Delete, Erase, GiveWay, Replace, Restore, TakeIn, Unbind, Update, Upsert,
};

/// The greatest stamp that the records of these commands allow.
const LATEST: u64 = 10_000;

fn any() -> Condition {
    Condition::default()
}

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
    assert_eq!(contact.apply(Updated, "f", 30, &[(0, "Eve")]), Verdict::Unchanged);
    assert_eq!((contact.fields(), contact.view().version()), ([Some("Eve"), Some("L")], 3));
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
    assert_eq!(contact.command(Restore, "c", 30, &[], any()), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Active, [Some("Ada"), None]));
    assert_eq!(contact.command(Erase, "d", 40, &[], any()), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Deleted, [None, None]));
    let body = contact.body.clone().unwrap();
    assert!(!body.windows(3).any(|bytes| bytes == b"Ada"));
}

#[test]
fn a_command_needs_the_contact_to_be_as_its_kind_says() {
    let mut contact = Subject::default();
    for intent in [Replace, Update, Delete, Restore, Erase] {
        assert_eq!(contact.command(intent, "x", 5, &[], any()), Verdict::NotFound);
    }
    assert_eq!(contact.command(Create, "a", 10, &[(0, "Ada")], any()), Verdict::Applied);
    assert_eq!(contact.command(Create, "b", 11, &[(0, "Bob")], any()), Verdict::Conflict);
    assert_eq!(contact.command(Delete, "c", 12, &[], any()), Verdict::Applied);
    assert_eq!(contact.command(Upsert, "x", 20, &[(0, "B")], any()), Verdict::Conflict);
    for intent in [Replace, Update, Delete] {
        assert_eq!(contact.command(intent, "x", 20, &[(0, "B")], any()), Verdict::NotFound);
    }
    assert_eq!(contact.command(Restore, "d", 21, &[], any()), Verdict::Applied);
    assert_eq!(contact.fields(), [Some("Ada"), None]);
    assert_eq!(contact.command(Erase, "e", 22, &[], any()), Verdict::Applied);
    assert_eq!((contact.view().status(), contact.fields()), (Status::Deleted, [None, None]));
    assert_eq!(contact.command(Create, "f", 23, &[(1, "L")], any()), Verdict::Applied);
    assert_eq!(contact.fields(), [None, Some("L")]);
    let mut made = Subject::default();
    assert_eq!(made.command(Upsert, "a", 10, &[(0, "Ada")], any()), Verdict::Applied);
    assert_eq!(made.apply(Updated, "b", 20, &[]), Verdict::Unchanged);
    assert_eq!((made.view().created_at_us(), made.view().status()), (Some(10), Status::Active));
}

#[test]
fn a_condition_is_the_clients_own_and_a_command_that_fulfils_it_comes_behind_what_it_met() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    let first = contact.tag();
    contact.apply(Updated, "late", 100, &[(0, "Eve")]);
    let body = contact.body.clone();
    let only = |tag| Condition { any_of: Some(vec![tag]), ..Condition::default() };
    let none = |tag| Condition { none_of: vec![tag], ..Condition::default() };
    let now = contact.tag();
    assert_eq!(contact.command(Update, "b", 50, &[(0, "B")], only(first)), Verdict::Conflict);
    assert_eq!(contact.command(Update, "b", 200, &[(0, "B")], none(now)), Verdict::Conflict);
    // Without a condition its stamp counts, and a newer event holds against it.
    assert_eq!(contact.command(Update, "c", 50, &[(0, "C")], any()), Verdict::Superseded);
    assert_eq!(contact.command(Delete, "c", 5, &[], only(first)), Verdict::Conflict);
    assert_eq!(contact.body, body);
    assert_eq!(contact.command(Update, "d", 50, &[(0, "D")], only(now)), Verdict::Applied);
    assert_eq!((contact.fields(), contact.view().head().ts_us), ([Some("D"), None], 101));
}

#[test]
fn a_wish_that_would_not_stand_changes_nothing() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada"), (1, "L")]);
    contact.apply(Created, "b", 100, &[]);
    let body = contact.body.clone();
    assert_eq!(contact.command(Delete, "c", 50, &[], any()), Verdict::Superseded);
    contact.apply(Updated, "d", 60, &[(0, "Eve")]);
    assert_eq!(contact.command(Erase, "e", 50, &[], any()), Verdict::Superseded);
    assert_ne!(contact.body, body);
    contact.apply(Deleted, "f", 200, &[]);
    let body = contact.body.clone();
    for intent in [Restore, Create] {
        assert_eq!(contact.command(intent, "g", 150, &[(0, "B")], any()), Verdict::Superseded);
    }
    assert_eq!(contact.body, body);
}

#[test]
fn what_stands_in_part_is_done_and_what_did_not_take_is_named() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada"), (1, "L")]);
    contact.apply(Updated, "late", 100, &[(0, "Eve")]);
    assert_eq!(contact.command(Update, "b", 50, &[(0, "B"), (1, "M")], any()), Verdict::Applied);
    assert_eq!(contact.fields(), [Some("Eve"), Some("M")]);
    let hash = id_hash(b"", b"b");
    let names = [("firstName", true), ("lastName", true), ("email", false)].into_iter();
    assert_eq!(superseded(names, &contact.view(), hash), ["firstName"]);
    // The later of two replacing ones stands, in whatever order they come.
    assert_eq!(contact.command(Replace, "d", 300, &[(1, "D")], any()), Verdict::Applied);
    assert_eq!(contact.command(Replace, "c", 200, &[(1, "C")], any()), Verdict::Superseded);
    assert_eq!(contact.fields(), [None, Some("D")]);
}

#[test]
fn a_restore_leaves_its_stamp_on_an_active_contact() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    assert_eq!(contact.command(Restore, "c", 30, &[], any()), Verdict::Unchanged);
    assert_eq!(contact.command(Delete, "b", 20, &[], any()), Verdict::Superseded);
    assert_eq!(contact.view().status(), Status::Active);
}

#[test]
fn a_stamp_counts_as_far_as_its_record_and_the_contact_allow() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    assert_eq!(contact.command(Update, "b", LATEST * 2, &[(0, "B")], any()), Verdict::Applied);
    assert_eq!(contact.view().head().ts_us, LATEST);
    assert_eq!(contact.command(Update, "c", LATEST * 2, &[(0, "C")], any()), Verdict::Applied);
    assert_eq!(contact.view().head().ts_us, LATEST + 1);
}

#[test]
fn an_object_is_merged_where_the_update_is_decided() {
    let mut contact = Subject::default();
    let attributes =
        |contact: &mut Subject, id: &str, time, said: &[(&str, Option<&str>)], clears| {
            let mut event = contact.event(Updated, id, Some(time), &[]);
            for (key, value) in said {
                let patch = value.map_or(Patch::Clear, |value| Patch::Set(contact.text(value)));
                event.attributes.push((contact.text(key), patch));
            }
            let command = Command {
                intent: Update,
                condition: any(),
                clears_attributes: clears,
                merges_attributes: true,
                body_hash: [0; 16],
                is_keyed: false,
                lane_next: NextOffset(0),
                survivor: None,
                principal: None,
                request_id: None,
            };
            let verdict = contact.decide(&event, &command);
            let view = contact.view();
            let found: Vec<String> =
                view.attributes().map(|(key, value)| format!("{key}={value}")).collect();
            (verdict, found.join(" "))
        };
    contact.apply(Created, "a", 10, &[]);
    let (_, found) = attributes(&mut contact, "b", 20, &[("o", Some(r#"{"x":1,"y":2}"#))], false);
    assert_eq!(found, r#"o={"x":1,"y":2}"#);
    let said = [("a", Some("7")), ("o", Some(r#"{"x":null,"z":3}"#))];
    let (_, found) = attributes(&mut contact, "c", 30, &said, false);
    assert_eq!(found, r#"a=7 o={"y":2,"z":3}"#);
    // The whole attribute has one clock: an older patch into it does not take.
    let (verdict, _) = attributes(&mut contact, "d", 25, &[("o", Some(r#"{"w":1}"#))], false);
    assert_eq!(verdict, Verdict::Superseded);
    let (_, found) = attributes(&mut contact, "e", 40, &[("b", Some("true"))], true);
    assert_eq!(found, "b=true");
    let (_, found) = attributes(&mut contact, "f", 50, &[("b", None)], false);
    assert_eq!(found, "");
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
fn a_clock_without_a_value_makes_no_version_and_moves_what_follows_the_clocks() {
    let mut contact = Subject { record_time_ms: 1_000, ..Subject::default() };
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    let (tag, changed) = (contact.view().tag(), contact.view().changed_at_ms());
    assert_eq!((tag.version, changed), (1, Some(1_000)));
    contact.record_time_ms = 2_000;
    let mut echo = contact.event(Updated, "b", Some(20), &[(0, "Ada")]);
    echo.source_version = Some(9);
    assert_eq!(contact.merge(&echo), Ok(Verdict::Unchanged));
    let view = contact.view();
    assert_eq!((view.tag(), view.changed_at_ms()), (tag, changed));
    assert_eq!((view.updated_at_us(), view.source_version()), (Some(20), Some(9)));
    // The clock was taken all the same.
    assert_eq!(contact.apply(Updated, "c", 15, &[(0, "Eve")]), Verdict::Stale);
    assert_eq!(contact.apply(Deleted, "d", 30, &[]), Verdict::Applied);
    assert_eq!(contact.apply(Deleted, "e", 40, &[]), Verdict::Unchanged);
    assert_eq!((contact.view().version(), contact.view().changed_at_ms()), (2, Some(2_000)));
    assert_ne!(contact.view().tag().hash, tag.hash);
    contact.record_time_ms = -1;
    assert_eq!(contact.apply(Updated, "f", 50, &[(1, "L")]), Verdict::Applied);
    assert_eq!(contact.view().changed_at_ms(), None);
}

#[test]
fn two_sources_that_echo_each_other_come_to_rest() {
    let mut contact = Subject::default();
    let mut verdict = contact.apply(Updated, "first", 10, &[(0, "Ada")]);
    let mut echoes = 0;
    // Whoever is told of a change tells it back, as its own and newer.
    while verdict == Verdict::Applied {
        echoes += 1;
        verdict = contact.apply(Updated, &format!("echo {echoes}"), 10 + echoes, &[(0, "Ada")]);
    }
    assert_eq!((verdict, echoes, contact.view().version()), (Verdict::Unchanged, 1, 1));
}

#[test]
fn a_repeat_of_what_has_no_time_of_its_own_changes_nothing() {
    let mut contact = Subject::default();
    let signed = |contact: &mut Subject, id: &str, body: u64, time: u64, name: &str| {
        let mut event = contact.event(Updated, id, Some(time), &[(0, name)]);
        event.body_hash = Some(body);
        event
    };
    let first = signed(&mut contact, "a", 1, 10, "old");
    let newer = signed(&mut contact, "b", 2, 20, "new");
    let again = signed(&mut contact, "a", 1, 70, "old");
    assert_eq!(contact.merge(&first), Ok(Verdict::Applied));
    assert_eq!(contact.merge(&newer), Ok(Verdict::Applied));
    let before = contact.body.clone();
    assert_eq!(contact.merge(&again), Ok(Verdict::Duplicate));
    assert_eq!((contact.fields()[0], before), (Some("new"), contact.body.clone()));
    assert_eq!(contact.view().first_seen_us(first.id_hash, 1), Some(10));
    // One that lost is remembered as well.
    let late = signed(&mut contact, "c", 3, 15, "late");
    assert_eq!(contact.merge(&late), Ok(Verdict::Stale));
    let late = signed(&mut contact, "c", 3, 90, "late");
    assert_eq!(contact.merge(&late), Ok(Verdict::Duplicate));
    // The same id with another body is another event.
    let other = signed(&mut contact, "a", 4, 80, "other");
    assert_eq!(contact.merge(&other), Ok(Verdict::Applied));
}

#[test]
fn a_repeated_delete_deletes_nothing_that_was_made_anew() {
    let mut contact = Subject::default();
    let delete = |contact: &mut Subject, time: u64| {
        let mut event = contact.event(Deleted, "gone", Some(time), &[]);
        event.body_hash = Some(1);
        contact.merge(&event).unwrap()
    };
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    assert_eq!(delete(&mut contact, 20), Verdict::Applied);
    contact.apply(Created, "b", 30, &[(0, "Eve")]);
    assert_eq!(delete(&mut contact, 90), Verdict::Duplicate);
    assert_eq!(contact.view().status(), Status::Active);
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
    // What makes it no larger is taken, however large it is.
    contact.limits.contact_bytes_max = 5;
    assert_eq!(contact.apply(Deleted, "c", 30, &[]), Verdict::Applied);
    assert_eq!(contact.command(Restore, "d", 40, &[], any()), Verdict::Applied);
    contact.body = Some(vec![0; 30]);
    assert_eq!(contact.merge(&event).unwrap_err().class(), Class::Fatal);
}

#[test]
fn a_bound_contact_is_not_erased_nor_merged_elsewhere_until_it_gives_way() {
    let mut contact = Subject::default();
    let only = |tag| Condition { any_of: Some(vec![tag]), ..Condition::default() };
    let to = |survivor| (Bind, Some(survivor));
    assert_eq!(contact.of_merge(to("s"), "x", 1, &[], any()), Verdict::NotFound);
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    let (tag, head) = (contact.tag(), contact.view().head());
    assert_eq!(contact.command(GiveWay, "x", 20, &[], any()), Verdict::Conflict);
    assert_eq!(contact.of_merge(to("s"), "b", 20, &[], only(tag)), Verdict::Unchanged);
    assert_eq!(contact.view().merging_into(), Some("s"));
    // No value, and no clock: whoever has read the contact may still change it.
    assert_eq!((contact.tag(), contact.view().head()), (tag, head));
    let body = contact.body.clone();
    for intent in [Erase, TakeIn] {
        assert_eq!(contact.command(intent, "x", 30, &[(1, "L")], any()), Verdict::Conflict);
    }
    assert_eq!(contact.of_merge(to("t"), "x", 30, &[], any()), Verdict::Conflict);
    assert_eq!(contact.of_merge((GiveWay, Some("t")), "x", 30, &[], any()), Verdict::Conflict);
    assert_eq!(contact.of_merge((Unbind, Some("t")), "x", 30, &[], any()), Verdict::Unchanged);
    assert_eq!(contact.body, body);
    // It changes, goes and comes again, and is bound all the same.
    assert_eq!(contact.command(Update, "c", 40, &[(1, "L")], any()), Verdict::Applied);
    assert_eq!(contact.command(GiveWay, "x", 41, &[], only(tag)), Verdict::Conflict);
    assert_eq!(contact.command(Delete, "d", 50, &[], any()), Verdict::Applied);
    assert_eq!(contact.of_merge(to("s"), "x", 51, &[], any()), Verdict::NotFound);
    assert_eq!(contact.command(Create, "e", 60, &[(0, "Eve")], any()), Verdict::Applied);
    assert_eq!(contact.view().merging_into(), Some("s"));
    let now = contact.tag();
    assert_eq!(contact.command(GiveWay, "f", 5, &[(1, "M")], only(now)), Verdict::Applied);
    assert_eq!(contact.view().merging_into(), None);
    assert_eq!((contact.view().status(), contact.fields()[1]), (Status::Deleted, Some("M")));
    assert_eq!(contact.command(Erase, "g", 90, &[], any()), Verdict::Applied);
}

#[test]
fn an_unbound_contact_is_as_if_it_had_never_been_bound() {
    let mut contact = Subject::default();
    contact.apply(Created, "a", 10, &[(0, "Ada")]);
    let body = contact.body.clone();
    contact.command(Bind, "b", 20, &[], any());
    assert_ne!(contact.body, body);
    assert_eq!(contact.command(Unbind, "c", 30, &[], any()), Verdict::Unchanged);
    assert_eq!(contact.body, body);
    assert_eq!(contact.command(TakeIn, "d", 40, &[(1, "L")], any()), Verdict::Applied);
}
