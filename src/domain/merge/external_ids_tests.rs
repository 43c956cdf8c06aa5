//! The ids that sources have for a contact: registers like others, which nothing hides but an erase; and
//! what an erase leaves.

use super::*;
use crate::domain::clock::id_hash;
use crate::domain::contact::StateTag;
use crate::domain::decode::Decoder;
use crate::domain::external_ids::erased_form;
use crate::domain::headers::{COMMAND, COMPLETE, CONTACT_ID, EXTERNAL_ID, SOURCE};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;

/// Header names with their values.
type Named<'h> = Vec<(&'h str, &'h str)>;

/// A contact that records come to, as they stand on the log.
#[derive(Clone, Default)]
struct Subject {
    body: Option<Vec<u8>>,
}

impl Subject {
    fn record(&mut self, headers: Named<'_>, value: &str) -> Result<Verdict, MergeError> {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        batch.push(Offset(0), 1, Some(b"c1"), Some(value.as_bytes()), headers);
        let event = Decoder::default().decode(&mut batch, 0).unwrap();
        let (before, limits, mut out) = (self.body.as_deref(), Limits::default(), Vec::new());
        let verdict = match &event.command {
            None => merge(before, &event, &batch.arena, 1, &limits, &mut out)?,
            Some(command) => {
                let times = CommandTimes { record_ms: 1, latest_us: u64::MAX };
                decide(before, (&event, command), &batch.arena, times, &limits, &mut out)?
            }
        };
        if !out.is_empty() {
            self.body = Some(out);
        }
        Ok(verdict)
    }

    /// What a source says at a time of the contact that it calls so.
    fn event(&mut self, kind: &str, at: u64, (source, id): (&str, &str)) -> Verdict {
        self.try_event(kind, at, (source, id)).unwrap()
    }

    fn try_event(
        &mut self,
        kind: &str,
        at: u64,
        (source, id): (&str, &str),
    ) -> Result<Verdict, MergeError> {
        let value = format!(
            r#"{{"id":"{source}{id}{at}","eventType":"contact.{kind}","timestamp":{at},"data":{{"id":"{id}"}}}}"#
        );
        self.record(vec![(SOURCE, source), (CONTACT_ID, "c1"), (EXTERNAL_ID, id)], &value)
    }

    fn command(&mut self, intent: &str, at: u64, data: &str) -> Verdict {
        let kind = match intent {
            "erase" => "erased",
            "restore" => "restored",
            "create" => "created",
            _ => "updated",
        };
        let value = format!(
            r#"{{"id":"{intent}{at}","eventType":"contact.{kind}","timestamp":{at},"source":"api","data":{{"id":"c1"{data}}}}}"#
        );
        self.record(vec![(COMMAND, intent)], &value).unwrap()
    }

    fn view(&self) -> ContactView<'_> {
        ContactView::parse(self.body.as_deref().unwrap()).unwrap()
    }

    fn tag(&self) -> StateTag {
        self.view().tag()
    }

    fn ids(&self) -> Vec<(&str, &str)> {
        self.view().external_ids().collect()
    }
}

// Seconds since 1970, as the events below say them.
const T: u64 = 1_763_719_000;

#[test]
fn any_order_and_repetition_gives_the_same_ids() {
    let events = [
        ("updated", T, ("crm", "a")),
        ("updated", T + 1, ("hub", "1")),
        ("created", T + 2, ("crm", "b")),
    ];
    let mut canonical = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut subject = Subject::default();
        for place in order.into_iter().chain(order) {
            let (kind, at, id) = events[place];
            subject.event(kind, at, id);
        }
        assert_eq!(subject.ids(), [("crm", "b"), ("hub", "1")]);
        canonical.push(subject.view().canonical().to_vec());
    }
    assert!(canonical.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_id_is_a_value_and_a_newer_clock_of_the_same_is_none() {
    let mut subject = Subject::default();
    assert_eq!(subject.event("updated", T, ("hub", "1")), Verdict::Applied);
    let first = subject.tag();
    assert_eq!(subject.event("updated", T + 1, ("hub", "1")), Verdict::Unchanged);
    assert_eq!(subject.event("updated", T + 1, ("hub", "1")), Verdict::Duplicate);
    assert_eq!(subject.tag(), first);
    assert_eq!(subject.event("updated", T + 2, ("hub", "2")), Verdict::Applied);
    assert_eq!(subject.event("updated", T + 1, ("hub", "3")), Verdict::Stale);
    assert_eq!(subject.ids(), [("hub", "2")]);
    assert_ne!(id_hash(b"hub", b"1"), id_hash(b"hub", b"2"));
}

#[test]
fn a_contact_that_is_begun_anew_is_the_same_to_its_sources() {
    let mut subject = Subject::default();
    subject.event("updated", T, ("hub", "1"));
    assert_eq!(subject.command("replace", T + 10, r#","title":"x""#), Verdict::Applied);
    subject.event("deleted", T + 20, ("crm", "7"));
    subject.event("created", T + 30, ("crm", "7"));
    assert_eq!(subject.ids(), [("crm", "7"), ("hub", "1")]);
}

#[test]
fn erased_stays_erased_until_something_newer_brings_it_back() {
    let left = [("crm", &*erased_form(b"crm", b"7")), ("hub", &*erased_form(b"hub", b"1"))];
    let mut subject = Subject::default();
    subject.event("updated", T, ("hub", "1"));
    subject.event("updated", T, ("crm", "7"));
    assert_eq!(subject.command("erase", T + 40, ""), Verdict::Applied);
    assert_eq!(subject.ids(), left);
    let says = |at: u64, kind: &str| {
        format!(
            r#"{{"id":"e{at}","eventType":"contact.{kind}","timestamp":{at},"data":{{"id":"1","title":"Dr","vip":true}}}}"#
        )
    };
    let headers = || vec![(SOURCE, "hub"), (CONTACT_ID, "c1"), (EXTERNAL_ID, "1")];
    assert_eq!(subject.record(headers(), &says(T + 50, "updated")).unwrap(), Verdict::Stale);
    assert_eq!(subject.record(headers(), &says(T + 50, "updated")).unwrap(), Verdict::Duplicate);
    assert_eq!(subject.event("deleted", T + 55, ("hub", "1")), Verdict::Unchanged);
    let body = subject.body.clone().unwrap();
    assert!(!body.windows(2).any(|bytes| bytes == b"Dr") && subject.ids() == left);
    // Again: as it is.
    assert_eq!(subject.command("erase", T + 60, ""), Verdict::Unchanged);
    assert_eq!(subject.ids(), left);
    assert_eq!(subject.record(headers(), &says(T + 59, "created")).unwrap(), Verdict::Stale);
    assert_eq!(subject.record(headers(), &says(T + 70, "created")).unwrap(), Verdict::Applied);
    assert_eq!((subject.view().field(5), subject.ids()), (Some("Dr"), vec![left[0], ("hub", "1")]));
}

#[test]
fn an_erase_leaves_into_whom_it_was_merged() {
    let mut subject = Subject::default();
    subject.event("updated", T, ("hub", "1"));
    let merged = r#","attributes":{"mergedInto":"ada","vip":true}"#;
    assert_eq!(subject.command("update", T + 1, merged), Verdict::Applied);
    assert!(!subject.view().is_merged());
    subject.event("deleted", T + 2, ("hub", "1"));
    assert!(subject.view().is_merged());
    assert_eq!(subject.command("erase", T + 3, ""), Verdict::Applied);
    let left = [("mergedInto", r#""ada""#)];
    assert_eq!(subject.view().attributes().collect::<Vec<_>>(), left);
    assert_eq!(subject.command("erase", T + 4, ""), Verdict::Unchanged);
    assert!(subject.view().is_merged());
    // It came back, so the next delete is its own.
    assert_eq!(subject.command("restore", T + 5, ""), Verdict::Applied);
    subject.event("deleted", T + 6, ("hub", "1"));
    assert!(!subject.view().is_merged());
    subject.command("erase", T + 7, "");
    assert_eq!(subject.view().attributes().count(), 0);
}

#[test]
fn no_source_says_into_whom_a_contact_was_merged() {
    let value = format!(
        r#"{{"id":"e","eventType":"contact.updated","timestamp":{T},"data":{{"id":"1","mergedInto":"ada","attributes":{{"mergedFrom":["ada"],"vip":true}}}}}}"#
    );
    let mut subject = Subject::default();
    subject.record(vec![(SOURCE, "hub")], &value.replace(r#""id":"1""#, r#""id":"c1""#)).unwrap();
    assert_eq!(subject.view().attributes().collect::<Vec<_>>(), [("vip", "true")]);
}

#[test]
fn a_whole_row_brings_no_erased_contact_back() {
    let row = |subject: &mut Subject, at: u64| {
        let value = format!(
            r#"{{"id":"e{at}","eventType":"contact.created","timestamp":{at},"data":{{"id":"1","title":"Dr"}}}}"#
        );
        let headers = vec![(SOURCE, "hub"), (CONTACT_ID, "c1"), (EXTERNAL_ID, "1"), (COMPLETE, "")];
        subject.record(headers, &value).unwrap()
    };
    let mut subject = Subject::default();
    assert_eq!(row(&mut subject, T), Verdict::Applied);
    assert_eq!(subject.command("erase", T + 1, ""), Verdict::Applied);
    assert_eq!(row(&mut subject, T + 2), Verdict::Stale);
    assert!(subject.view().is_erased());
    assert_eq!(subject.view().field(5), None);
    assert_eq!(subject.command("restore", T + 3, ""), Verdict::Applied);
    assert_eq!(row(&mut subject, T + 4), Verdict::Applied);
    assert_eq!(subject.view().field(5), Some("Dr"));
}

#[test]
fn commands_tie_and_untie_and_what_they_do_not_name_stays() {
    let mut subject = Subject::default();
    subject.event("updated", T, ("hub", "1"));
    let tie = r#","externalIds":{"crm":"7","hub":null}"#;
    assert_eq!(subject.command("update", T + 1, tie), Verdict::Applied);
    assert_eq!(subject.ids(), [("crm", "7")]);
    // What was untied stays so to older events.
    assert_eq!(subject.event("updated", T, ("hub", "1")), Verdict::Stale);
    assert_eq!(subject.event("updated", T + 2, ("hub", "1")), Verdict::Applied);
    // A source can't tie another one's ids: to it the member is an attribute.
    let value = format!(
        r#"{{"id":"e","eventType":"contact.updated","timestamp":{T},"source":"hub","data":{{"id":"c1","externalIds":{{"crm":"8"}}}}}}"#
    );
    subject.record(vec![(SOURCE, "hub")], &value).unwrap();
    assert_eq!(subject.ids(), [("crm", "7"), ("hub", "1")]);
}

#[test]
fn the_seventeenth_source_is_refused() {
    let mut subject = Subject::default();
    for number in 0..16 {
        assert_eq!(subject.event("updated", T, (&format!("s{number}"), "1")), Verdict::Applied);
    }
    let before = subject.clone();
    let refused = subject.try_event("updated", T, ("s16", "1")).unwrap_err();
    assert_eq!(refused, MergeError::TooManyIds { ids: 17 });
    assert_eq!(subject.body, before.body);
    // One that is there may become another.
    assert_eq!(subject.event("updated", T + 1, ("s3", "2")), Verdict::Applied);
}
