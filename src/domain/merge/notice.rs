//! What we change at a source, noted before it is changed there: what the source then tells of it is no
//! news, though it is dated later than what was sent, and than what is said here meanwhile.
//!
//! A notice is the event that the source will send: its kind, its values, and the version that the change
//! makes there. It is remembered in the contact's ring and changes nothing else. When the source's event
//! has come, its time stands there too, so that the same once more is no news either, and another event
//! that looks the same is one.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::join::value_of;
use crate::domain::contact::rings::{FirstSeen, Rings, notice_hash};
use crate::domain::contact::state::State;
use crate::domain::event::Event;

/// What an event is to what was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing of it was noted.
    News,
    /// It tells of a change of ours, and has come before.
    Again,
    /// It tells of one, and this is the notice with its time.
    First(FirstSeen),
}

/// What is remembered of a notice; none: it names no version.
pub(super) fn of(event: &Event, arena: &[u8], record_time_ms: i64) -> Option<FirstSeen> {
    let id_hash = notice_hash(event.source.of(arena), event.source_version?);
    let body_hash = values_hash(event, arena);
    Some(FirstSeen { id_hash, body_hash, time_us: 0, record_time_ms })
}

/// Whether an event tells of a change of ours.
pub(super) fn told(rings: Rings<'_>, event: &Event, arena: &[u8]) -> Word {
    let (false, Some(version), Some(time_us)) =
        (rings.is_empty(), event.source_version, event.timestamp)
    else {
        return Word::News;
    };
    let source = event.source.of(arena);
    let id_hash = notice_hash(source, version);
    let mut noted = rings.notices(source).filter(|it| it.id_hash == id_hash).peekable();
    if noted.peek().is_none() {
        return Word::News;
    }
    let body_hash = values_hash(event, arena);
    let mut word = Word::News;
    for notice in noted.filter(|it| it.body_hash == body_hash) {
        if notice.time_us == time_us {
            return Word::Again;
        }
        if notice.is_awaited() {
            word = Word::First(FirstSeen { time_us, ..notice });
        }
    }
    word
}

/// Notes in the clocks of what still stands as it was sent that the source has it: its version there, at
/// the time that it has here.
pub(super) fn confirm(state: &mut State<'_>, event: &Event, arena: &[u8]) {
    for (register, patch) in state.fields.iter_mut().zip(&event.fields) {
        if let (Some(register), Some(value)) = (register, value_of(patch, arena))
            && register.value == value
            && register.clock.version.is_none()
        {
            register.clock.version = event.source_version;
            // Nothing on a contact is newer than its head.
            state.head = state.head.max(register.clock);
        }
    }
    state.source_version = state.source_version.max(event.source_version);
}

/// Tells changes of one version apart.
fn values_hash(event: &Event, arena: &[u8]) -> u64 {
    let mut said = Vec::new();
    for patch in &event.fields {
        match value_of(patch, arena) {
            None => said.push(0),
            Some(None) => said.push(1),
            Some(Some(value)) => {
                said.push(2);
                said.extend_from_slice(&value.len().to_le_bytes());
                said.extend_from_slice(value);
            }
        }
    }
    xxh3_64_with_seed(&said, event.kind as u64)
}

#[cfg(test)]
mod tests {
    use crate::domain::clock::Clock;
    use crate::domain::contact::ContactView;
    use crate::domain::decode::Decoder;
    use crate::domain::event::FIELDS;
    use crate::domain::headers::{NOTICE, SOURCE};
    use crate::domain::limits::Limits;
    use crate::domain::merge::merge;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;
    use crate::domain::verdict::Verdict;

    const PHONE: usize = 3;

    /// Contact `a`, and what was said of it in order.
    #[derive(Default)]
    struct Subject(Option<Vec<u8>>);

    impl Subject {
        fn say(&mut self, source: &str, said: &str, is_notice: bool) -> Verdict {
            let mut batch = RecordBatch::new(Lane(0));
            let notice = is_notice.then_some((NOTICE, Some(b"1".as_slice())));
            let headers = [(SOURCE, Some(source.as_bytes()))].into_iter().chain(notice);
            batch.push(Offset(0), 0, Some(b"a"), Some(said.as_bytes()), headers);
            let event = Decoder::default().decode(&mut batch, 0).unwrap();
            let mut out = Vec::new();
            let (limits, before) = (Limits::default(), self.0.as_deref());
            let verdict = merge(before, &event, &batch.arena, 0, &limits, &mut out).unwrap();
            if !out.is_empty() {
                self.0 = Some(out);
            }
            verdict
        }

        fn view(&self) -> ContactView<'_> {
            ContactView::parse(self.0.as_deref().unwrap()).unwrap()
        }

        /// Of the phone.
        fn clock(&self) -> Clock {
            self.view().clock_of(FIELDS[PHONE]).unwrap()
        }
    }

    fn ours(phone: &str, second: u8) -> String {
        format!(
            r#"{{"eventType":"contact.updated","id":"ours-{second}","timestamp":"2026-11-21T10:00:{second:02}Z",
                "data":{{"id":"a","phone":"{phone}"}}}}"#
        )
    }

    fn theirs(phone: &str, version: u8, second: u8) -> String {
        format!(
            r#"{{"eventType":"contact.updated","id":"theirs-{version}-{second}","version":{version},
                "timestamp":"2026-11-21T10:00:{second:02}Z","data":{{"id":"a","phone":"{phone}"}}}}"#
        )
    }

    #[test]
    fn what_a_source_says_of_our_own_change_moves_nothing() {
        let mut subject = Subject::default();
        subject.say("web", &ours("1", 1), false);
        let (values, clock) = (subject.view().tag(), subject.clock());
        assert_eq!(subject.say("crm", &theirs("1", 7, 1), true), Verdict::Unchanged);
        assert!(subject.view().awaits("crm") && !subject.view().awaits("other"));
        assert_eq!(subject.say("crm", &theirs("1", 7, 30), false), Verdict::Duplicate);
        assert!(!subject.view().awaits("crm"));
        assert_eq!(subject.view().tag(), values);
        assert_eq!(subject.clock(), Clock { version: Some(7), ..clock });
        // So what is said here after it was sent is the newest, whenever it comes.
        assert_eq!(subject.say("web", &ours("2", 2), false), Verdict::Applied);
        assert_eq!(subject.say("crm", &theirs("1", 7, 30), false), Verdict::Duplicate);
        assert_eq!(subject.view().field(PHONE), Some("2"));
    }

    #[test]
    fn what_looks_like_our_change_and_is_another_counts() {
        for (phone, version) in [("1", 8), ("3", 7)] {
            let mut subject = Subject::default();
            subject.say("web", &ours("1", 1), false);
            subject.say("crm", &theirs("1", 7, 1), true);
            subject.say("web", &ours("2", 2), false);
            let other = theirs(phone, version, 30);
            assert_eq!(subject.say("crm", &other, false), Verdict::Applied, "{other}");
            assert_eq!(subject.view().field(PHONE), Some(phone));
        }
        // A contact that was made anew there has the same versions again.
        let mut subject = Subject::default();
        subject.say("web", &ours("1", 1), false);
        subject.say("crm", &theirs("1", 7, 1), true);
        subject.say("crm", &theirs("1", 7, 20), false);
        subject.say("web", &ours("2", 25), false);
        assert_eq!(subject.say("crm", &theirs("1", 7, 30), false), Verdict::Applied);
    }
    #[test]
    fn a_delete_that_we_sent_counts_from_when_it_was_done_there_while_it_holds() {
        let deleted = |version: u8, second: u8| {
            format!(
                r#"{{"eventType":"contact.deleted","id":"gone-{version}-{second}","version":{version},
                    "timestamp":"2026-11-21T10:00:{second:02}Z","data":{{"id":"a"}}}}"#
            )
        };
        let mut subject = Subject::default();
        subject.say("web", &ours("1", 1), false);
        subject.say("web", &deleted(1, 2), false);
        // Nobody there has heard of it yet.
        subject.say("crm", &theirs("2", 7, 5), false);
        subject.say("crm", &deleted(8, 2), true);
        assert_eq!(subject.say("crm", &deleted(8, 9), false), Verdict::Unchanged);
        let anew = theirs("", 1, 20).replace("updated", "created").replace(r#","phone":"""#, "");
        assert_eq!(subject.say("crm", &anew, false), Verdict::Applied);
        assert_eq!(subject.view().field(PHONE), None, "it went with the contact");
    }
}
