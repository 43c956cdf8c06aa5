//! What is to happen to the fields of a contact that both sides have. Pure.
//!
//! | a field is | sent | taken |
//! |---|---|---|
//! | ours (`owner = "us"`), or has one way only | always, or never | never, or always |
//! | no news at Acme ([`Standing`]) | yes | |
//! | at Acme what it was here before we changed it | yes | |
//! | newer here, by the clocks that applying goes by | yes | |
//! | newer at Acme, and cleared only where Acme is known to have had what we have | | yes |
//!
//! So what is taken is what applying will make of Acme's event, and the rest is sent.

use serde_json::Value;

use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;
use crate::domain::sources::{KeptBack, Source};

use super::base::Before;
use super::theirs::Theirs;
use super::wire::Fields;

/// Whose word counts where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The newest one's, field by field.
    Newest,
    /// Ours, in whatever may be sent.
    Ours,
}

/// What we know of Acme's contact as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its last change there was one of ours: nothing of it is newer.
    Ours,
    /// Acme has told us of this version: what we have not changed since differs only where a webhook was lost.
    Told,
    /// Something of it may be news.
    News,
}

impl Standing {
    pub(super) fn of(ours: &ContactView<'_>, theirs: &Theirs, source: &str) -> Self {
        if ours.is_ours_at(source, theirs.version, theirs.clock.ts_us) {
            Self::Ours
        } else if ours.source_version() == Some(theirs.version) {
            Self::Told
        } else {
            Self::News
        }
    }
}

/// What is to happen.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// By Acme's names; null: it is cleared there.
    pub(super) fields: Fields,
    /// The same by our names.
    pub(super) sent: Vec<&'static str>,
    /// Fields that Acme's event changes here, by our names.
    pub(super) taken: Vec<&'static str>,
    /// Fields that stay different, and why they are not sent.
    pub(super) kept: Vec<(&'static str, KeptBack)>,
}

/// A field as it would be at Acme: its name there and its value.
type Outward = Result<(String, Option<String>), KeptBack>;

/// Every field as Acme would have it, by their places in [`FIELDS`].
pub(super) fn outward(ours: &ContactView<'_>, source: &Source) -> Vec<(&'static str, Outward)> {
    let values = std::array::from_fn(|place| ours.field(place));
    let outward = source.outward(&values);
    let mut sent = outward.sent.into_iter();
    let fields = FIELDS.into_iter().map(|name| {
        let kept = outward.kept_back.iter().find(|(kept, _)| *kept == name);
        (name, kept.map_or_else(|| sent.next().ok_or(KeptBack::NoName), |(_, why)| Err(*why)))
    });
    fields.collect()
}

/// What is to happen, given what stood here before changes of ours.
pub(super) fn plan(
    ours: &ContactView<'_>,
    before: &Before,
    theirs: &Theirs,
    source: &Source,
    (rule, standing): (Rule, Standing),
) -> Plan {
    let mut plan = Plan::default();
    for (place, (name, outward)) in outward(ours, source).into_iter().enumerate() {
        let said = theirs.values.get(place).and_then(Option::as_ref);
        let is_same = said.is_some_and(|said| said.as_deref() == ours.field(place));
        let is_same_there = |(theirs_name, value): &(String, Option<String>)| {
            text_of(theirs.raw.get(theirs_name)) == *value
        };
        if is_same || outward.as_ref().is_ok_and(is_same_there) {
            continue;
        }
        let stood_before = said.zip(before.get(place)).is_some_and(|(said, it)| it.contains(said));
        let clock = ours.clock_of(name);
        // Acme's own word, or one of ours that Acme has repeated.
        let is_theirs = clock.is_some_and(|clock| clock.version.is_some());
        let may_be_news = match standing {
            Standing::Ours => false,
            Standing::Told => is_theirs || clock.max(ours.floor()).is_none(),
            Standing::News => true,
        };
        let is_newer_there = Some(theirs.clock) > clock.max(ours.floor());
        // What Acme never had has no time at which it was cleared.
        let can_be_taken = said.is_some_and(|said| said.is_some() || is_theirs)
            && may_be_news
            && is_newer_there
            && rule == Rule::Newest;
        match outward {
            Ok((there, value)) if !can_be_taken || stood_before => {
                plan.fields.insert(there, value.map_or(Value::Null, Value::from));
                plan.sent.push(name);
            }
            Ok(_) => plan.taken.push(name),
            // What was never sent there is not missing there.
            Err(why)
                if can_be_taken
                    && (why == KeptBack::Theirs || said.is_some_and(Option::is_some)) =>
            {
                plan.taken.push(name);
            }
            Err(why) if said.is_some() || ours.field(place).is_some() => {
                plan.kept.push((name, why));
            }
            Err(_) => {}
        }
    }
    plan
}

fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::acme::base;
    use crate::acme::wire::Contact;
    use crate::domain::decode::Decoder;
    use crate::domain::event::EventKind;
    use crate::domain::limits::Limits;
    use crate::domain::merge::merge;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;
    use crate::domain::sources::{FieldText, SourceTexts, Sources, built_in};

    const EARLY: &str = "2026-11-21T10:00:00.000Z";
    const LATE: &str = "2026-11-21T11:00:00.000Z";

    /// By Acme's preset, but for who owns some fields.
    fn decoder(owners: &[(&str, &str)]) -> Decoder {
        let mut texts: SourceTexts = built_in();
        let fields = &mut texts.get_mut("acme").unwrap().fields;
        for (field, owner) in owners {
            let text: &mut FieldText = fields.get_mut(*field).unwrap();
            text.owner = (*owner).to_owned();
        }
        Decoder::new(Sources::compile(&texts).unwrap(), Limits::default())
    }

    /// A contact of which these events told, field and value at a time each.
    fn ours(events: &[(&str, &str, &str)]) -> Vec<u8> {
        let mut body: Option<Vec<u8>> = None;
        for (field, value, time) in events {
            let event = json!({
                "eventType": "contact.updated", "timestamp": time, "data": { "id": "a", *field: value },
            });
            let mut batch = RecordBatch::new(Lane(0));
            let text = event.to_string();
            batch.push(Offset(0), 0, None, Some(text.as_bytes()), std::iter::empty());
            let event = decoder(&[]).decode(&mut batch, 0).unwrap();
            let mut out = Vec::new();
            let limits = Limits::default();
            merge(body.as_deref(), &event, &batch.arena, 0, &limits, &mut out).unwrap();
            body = Some(out);
        }
        body.unwrap()
    }

    fn planned(
        ours: &[u8],
        before: Option<&[u8]>,
        phone: &str,
        time: &str,
        owners: &[(&str, &str)],
        rule: Rule,
    ) -> Plan {
        let decoder = decoder(owners);
        let source = decoder.sources().of(b"acme").unwrap();
        let fields = json!({ "acme_phone": phone, "acme_title": null });
        let contact = Contact {
            id: "a".to_owned(),
            fields: serde_json::from_value(fields).unwrap(),
            acme_version: 7,
            acme_created_at: EARLY.to_owned(),
            acme_updated_at: time.to_owned(),
        };
        let theirs = Theirs::read(contact, &decoder, "acme").unwrap();
        let view = |body| ContactView::parse(body).unwrap();
        let past =
            |body, is_theirs| base::Past { view: view(body), is_theirs, kind: EventKind::Updated };
        let states = before.map(|before| [past(before, true), past(ours, false)]);
        let before = states.map_or_else(Before::default, |states| base::before(&states));
        plan(&view(ours), &before, &theirs, source, (rule, Standing::News))
    }

    #[test]
    fn the_newest_counts_field_by_field() {
        let old = ours(&[("phone", "1", EARLY)]);
        let new = ours(&[("phone", "1", LATE)]);
        let same = planned(&old, None, "1", LATE, &[], Rule::Newest);
        assert_eq!(same, Plan::default());
        let theirs = planned(&old, None, "2", LATE, &[], Rule::Newest);
        assert_eq!((theirs.sent.len(), theirs.taken), (0, vec!["phone"]));
        let ours_is = planned(&new, None, "2", EARLY, &[], Rule::Newest);
        assert_eq!((ours_is.sent, ours_is.taken.len()), (vec!["phone"], 0));
        assert_eq!(ours_is.fields["acme_phone"], "1");
        let pushed = planned(&old, None, "2", LATE, &[], Rule::Ours);
        assert_eq!((pushed.sent, pushed.taken.len()), (vec!["phone"], 0));
    }

    #[test]
    fn a_change_is_sent_where_acme_has_what_it_changed_whatever_the_clocks_say() {
        let before = ours(&[("phone", "0", EARLY)]);
        let after = ours(&[("phone", "0", EARLY), ("phone", "1", "2026-11-21T10:00:01Z")]);
        let plan = planned(&after, Some(&before), "0", LATE, &[], Rule::Newest);
        assert_eq!((plan.sent, plan.taken.len()), (vec!["phone"], 0));
        // Somebody there has changed it since.
        let plan = planned(&after, Some(&before), "2", LATE, &[], Rule::Newest);
        assert_eq!((plan.sent.len(), plan.taken), (0, vec!["phone"]));
    }

    #[test]
    fn what_was_never_sent_is_not_cleared_by_what_acme_lacks() {
        let mut texts: SourceTexts = built_in();
        let fields = &mut texts.get_mut("acme").unwrap().fields;
        fields.get_mut("title").unwrap().steps = vec!["split: :1".to_owned()];
        let decoder = Decoder::new(Sources::compile(&texts).unwrap(), Limits::default());
        let source = decoder.sources().of(b"acme").unwrap();
        let old = ours(&[("title", "x", EARLY)]);
        let view = ContactView::parse(&old).unwrap();
        let planned = |title: serde_json::Value| {
            let contact = Contact {
                id: "a".to_owned(),
                fields: serde_json::from_value(json!({ "acme_title": title })).unwrap(),
                acme_version: 7,
                acme_created_at: EARLY.to_owned(),
                acme_updated_at: LATE.to_owned(),
            };
            let theirs = Theirs::read(contact, &decoder, "acme").unwrap();
            plan(&view, &base::Before::default(), &theirs, source, (Rule::Newest, Standing::News))
        };
        assert!(planned(json!(null)).taken.is_empty());
        assert_eq!(planned(json!("y z")).taken, ["title"]);
    }

    #[test]
    fn what_belongs_to_one_side_goes_one_way() {
        let old = ours(&[("phone", "1", EARLY)]);
        let new = ours(&[("phone", "1", LATE)]);
        for rule in [Rule::Newest, Rule::Ours] {
            let us = planned(&old, None, "2", LATE, &[("phone", "us")], rule);
            assert_eq!((us.sent, us.taken.len()), (vec!["phone"], 0));
            let theirs = planned(&new, None, "2", EARLY, &[("phone", "acme")], rule);
            assert_eq!((theirs.sent.len(), theirs.taken.len()), (0, 0));
            assert_eq!(theirs.kept, [("phone", KeptBack::Theirs)]);
        }
        let theirs = planned(&old, None, "2", LATE, &[("phone", "acme")], Rule::Newest);
        assert_eq!((theirs.taken, theirs.kept.len()), (vec!["phone"], 0));
    }

    #[test]
    fn what_we_lack_is_cleared_there() {
        let plan = planned(&ours(&[("title", "x", LATE)]), None, "2", EARLY, &[], Rule::Ours);
        let expected = json!({ "acme_phone": null, "acme_title": "x" });
        assert_eq!(Value::Object(plan.fields), expected);
    }
}
