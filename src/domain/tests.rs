//! The laws of applying, over generated records: decode and merge together.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::clock::Clock;
use super::command::Intent;
use super::contact::{ContactView, Status};
use super::decode::Decoder;
use super::event::{Event, EventKind, FIELDS, Patch};
use super::headers;
use super::limits::Limits;
use super::merge::{CommandTimes, decide, merge};
use super::position::{Lane, Offset};
use super::record::RecordBatch;
use super::sources::Sources;
use super::timestamp::format_rfc3339_us;
use super::verdict::Verdict;

const VALUES: [&str; 5] = ["null", "\"\"", "\"Ada\"", "\"B\\u00e9\"", "\"Zoë\\n\""];
const ATTRIBUTE_VALUES: [&str; 5] = ["null", "1", "[1, {\"a\": \"\\u0041\"}]", "\"x\"", "true"];
const BASE_US: u64 = 1_763_719_200_000_000;

/// One generated record, before it is given a place and a timestamp in the log.
#[derive(Clone, Debug)]
struct Sample {
    kind: EventKind,
    /// Small, so that many clocks are equal.
    time: Option<u64>,
    version: Option<u64>,
    id: u64,
    source: u8,
    fields: Fields,
    attributes: Attributes,
    /// It says that it is the whole contact.
    is_complete: bool,
    intent: Option<Intent>,
}

impl Sample {
    fn value(&self) -> Vec<u8> {
        let source = if self.source == 0 { "acme" } else { "crm" };
        let field =
            |(place, value): &(usize, usize)| format!(",\"{}\":{}", FIELDS[*place], VALUES[*value]);
        let attribute =
            |(name, value): &(u8, usize)| format!(",\"x{name}\": {}", ATTRIBUTE_VALUES[*value]);
        let mut text = format!(
            "{{\"id\":\"e{}\",\"type\":\"{}\",\"source\":\"{source}\"",
            self.id,
            self.kind.as_str()
        );
        if let Some(time) = self.time {
            text += &format!(",\"timestamp\":\"{}\"", format_rfc3339_us(BASE_US + time));
        }
        if let Some(version) = self.version {
            text += &format!(",\"version\":{version}");
        }
        let fields: String = self.fields.iter().map(field).collect();
        let attributes: String = self.attributes.iter().map(attribute).collect();
        text += &format!(",\"data\":{{\"id\":\"c1\"{fields}{attributes}}}}}");
        text.into_bytes()
    }

    fn headers(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut all = Vec::new();
        // Without a field it would be a dead letter.
        if self.is_complete && !self.fields.is_empty() {
            all.push((headers::COMPLETE, Vec::new()));
        }
        if let Some(intent) = self.intent {
            all.push((headers::COMMAND, intent.as_str().as_bytes().to_vec()));
            all.push((headers::MERGES_INTO, vec![b'a' + self.source]));
        }
        all
    }
}

type Fields = Vec<(usize, usize)>;
type Attributes = Vec<(u8, usize)>;

/// Fields and attributes, each at most once.
fn patches() -> impl Strategy<Value = (Fields, Attributes)> {
    let fields = prop::collection::btree_map(0..FIELDS.len(), 0..VALUES.len(), 0..4);
    let attributes = prop::collection::btree_map(0..3_u8, 0..ATTRIBUTE_VALUES.len(), 0..3);
    (fields, attributes).prop_map(|(fields, attributes)| {
        (fields.into_iter().collect(), attributes.into_iter().collect())
    })
}

/// Timed events: what may come in any order.
fn timed() -> impl Strategy<Value = Sample> {
    let stamps = (0..6_u64, prop::option::of(0..3_u64), 0..4_u64, 0..2_u8);
    (0..8_usize, stamps, patches()).prop_map(
        |(what, (time, version, id, source), (fields, attributes))| {
            let (kind, is_complete) = match what {
                0 | 1 => (EventKind::Created, false),
                2 | 3 => (EventKind::Updated, false),
                4 | 5 => (EventKind::Deleted, false),
                6 => (EventKind::Created, true),
                _ => (EventKind::Updated, true),
            };
            Sample {
                kind,
                time: Some(time),
                version,
                id,
                source,
                fields,
                attributes,
                is_complete,
                intent: None,
            }
        },
    )
}

/// What can be wanted of a contact itself.
fn of_contacts() -> Vec<Intent> {
    Intent::ALL.into_iter().filter(|intent| !intent.kind().is_of_payment()).collect()
}

/// Anything at all.
fn any_sample() -> impl Strategy<Value = Sample> {
    let intent = prop::option::of(prop::sample::select(of_contacts()));
    (timed(), any::<bool>(), intent).prop_map(|(sample, is_untimed, intent)| Sample {
        kind: intent.map_or(sample.kind, Intent::kind),
        time: sample.time.filter(|_| !is_untimed || intent.is_some()),
        intent,
        ..sample
    })
}

/// A first event that makes the contact, and more.
fn timed_sequence() -> impl Strategy<Value = Vec<Sample>> {
    (timed(), prop::collection::vec(timed(), 0..14)).prop_map(|(mut first, mut rest)| {
        (first.kind, first.is_complete) = (EventKind::Updated, false);
        rest.insert(0, first);
        rest
    })
}

/// The same with commands among them.
fn sequence_with_commands() -> impl Strategy<Value = Vec<Sample>> {
    let intent = prop::option::weighted(0.25, prop::sample::select(of_contacts()));
    (timed_sequence(), prop::collection::vec(intent, 14)).prop_map(|(mut samples, intents)| {
        for (sample, intent) in samples.iter_mut().skip(1).zip(intents) {
            if let Some(intent) = intent {
                (sample.kind, sample.intent, sample.is_complete) =
                    (intent.kind(), Some(intent), false);
            }
        }
        samples
    })
}

fn decode(decoder: &Decoder, sample: &Sample, record_ms: i64) -> (Event, Vec<u8>) {
    let mut batch = RecordBatch::new(Lane(0));
    let headers = sample.headers();
    let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_slice())));
    batch.push(
        Offset(record_ms.unsigned_abs()),
        record_ms,
        Some(b"c1"),
        Some(&sample.value()),
        headers,
    );
    let event = decoder.decode(&mut batch, 0).unwrap();
    (event, batch.arena)
}

/// Applies samples in order; the final body and every verdict.
fn apply<'a>(
    decoder: &Decoder,
    samples: impl Iterator<Item = (&'a Sample, i64)>,
) -> (Option<Vec<u8>>, Vec<Verdict>) {
    let (mut body, mut verdicts, mut out) = (None, Vec::new(), Vec::new());
    for (sample, record_ms) in samples {
        let (event, arena) = decode(decoder, sample, record_ms);
        let (current, limits) = (body.as_deref(), Limits::default());
        let verdict = match event.command.as_deref() {
            Some(command) => {
                let times = CommandTimes { record_ms, latest_us: u64::MAX };
                decide(current, (&event, command), &arena, times, &limits, &mut out)
            }
            None => merge(current, &event, &arena, record_ms, &limits, &mut out),
        };
        let verdict = verdict.unwrap();
        assert!(verdict != Verdict::Applied || !out.is_empty());
        if !out.is_empty() {
            body = Some(out.clone());
        }
        verdicts.push(verdict);
    }
    (body, verdicts)
}

fn decoder() -> Decoder {
    Decoder::new(Sources::built_in(), Limits::default())
}

type Delivery = (Vec<Sample>, Vec<(Index, i64)>, Vec<usize>, i64);

/// Samples, how they are delivered the second time (events shuffled between the same commands, some
/// again later), and when.
fn deliveries() -> impl Strategy<Value = Delivery> {
    // What comes while a contact is erased is not kept, so there the order counts.
    let samples = sequence_with_commands().prop_map(|mut samples| {
        samples.retain(|sample| sample.intent != Some(Intent::Erase));
        samples
    });
    samples.prop_flat_map(|samples| {
        // Before, at and after each command.
        let stretches: Vec<usize> = samples
            .iter()
            .scan(0, |stretch, sample| {
                *stretch += usize::from(sample.intent.is_some());
                let own = *stretch;
                *stretch += usize::from(sample.intent.is_some());
                Some(own)
            })
            .collect();
        let order = Just((1..samples.len()).collect::<Vec<_>>()).prop_shuffle();
        let order = order.prop_map(move |mut order| {
            order.sort_by_key(|place| stretches[*place]);
            order
        });
        let again = prop::collection::vec((any::<Index>(), 0..1_000_000_i64), 0..8);
        (Just(samples), again, order, 0..1_000_000_i64)
    })
}

fn any_order_gives_the_same_contact(
    decoder: &Decoder,
    delivery: &Delivery,
) -> Result<(), TestCaseError> {
    let (samples, again, order, record_ms) = delivery;
    let base = (BASE_US / 1000) as i64;
    let (once, _) = apply(decoder, samples.iter().map(|sample| (sample, base)));
    let mut second: Vec<(&Sample, i64)> = vec![(&samples[0], base + record_ms)];
    second.extend(order.iter().map(|place| (&samples[*place], base - record_ms)));
    for (place, later) in again {
        let from = place.index(second.len());
        if second[from].0.intent.is_some() {
            continue;
        }
        let at = from + 1 + place.index(second.len() - from);
        second.insert(at, (second[from].0, base + later));
    }
    let (twice, verdicts) = apply(decoder, second.into_iter());
    let (once, twice) = (once.unwrap(), twice.unwrap());
    let (once, twice) = (ContactView::parse(&once).unwrap(), ContactView::parse(&twice).unwrap());
    prop_assert_eq!(
        once.canonical(),
        twice.canonical(),
        "{:?} then {:?} by {:?}",
        once,
        twice,
        verdicts
    );
    Ok(())
}

#[test]
fn the_same_timed_events_in_any_order_and_number_give_the_same_bytes() {
    let mut runner =
        TestRunner::new(Config { cases: 1024, failure_persistence: None, ..Config::default() });
    let law = |delivery| any_order_gives_the_same_contact(&decoder(), &delivery);
    runner.run(&deliveries(), law).unwrap();
}

/// The deliberate mistake must turn the law red.
#[cfg(debug_assertions)]
#[test]
fn a_clock_from_the_records_timestamp_breaks_the_law() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let mistaken = decoder().with_seeded_bug_clock_from_record(true);
    let found = runner
        .run(&deliveries(), |delivery| any_order_gives_the_same_contact(&mistaken, &delivery));
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

type Wanted<'a> = dyn Fn(&Event) -> bool + 'a;
type Patched<'a> = dyn Fn(&Event, &[u8]) -> Option<Option<Vec<u8>>> + 'a;

/// What the rules say, computed from the whole set of events at once.
struct Model {
    fields: [Option<Vec<u8>>; 6],
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    status: Status,
    created_at: u64,
    updated_at: u64,
    head: Clock,
}

impl Model {
    /// Of what was not refused, in order.
    fn of(events: &[(Event, Vec<u8>)]) -> Self {
        let clocks = |wanted: &Wanted<'_>| -> Vec<Clock> {
            events
                .iter()
                .filter(|(event, _)| wanted(event))
                .filter_map(|(event, _)| event.clock)
                .collect()
        };
        let greatest = |clocks: Vec<Clock>| clocks.into_iter().max();
        let is_put = |event: &Event| event.replaces;
        let created = greatest(clocks(&|event| event.kind == EventKind::Created));
        let restored = greatest(clocks(&|event| event.kind == EventKind::Restored));
        let put = greatest(clocks(&is_put));
        let (reset, last_delete) = deletes_of(events);
        let floor = put.max(reset);
        let dead = last_delete.max(reset);
        let standing = |patch: &Patched<'_>| {
            let said = events.iter().filter(|(event, _)| event.clock >= floor);
            let said = said.filter_map(|(event, arena)| Some((event.clock, patch(event, arena)?)));
            said.max().and_then(|(_, value)| value)
        };
        let names = attribute_names(events);
        let attribute = |name: Vec<u8>| {
            let value = standing(&|event, arena| {
                let found = event.attributes.iter().find(|(each, _)| each.of(arena) == name)?;
                value_of(&found.1, arena)
            });
            Some((name, value?))
        };
        let first = clocks(&|_| true).into_iter().map(|clock| clock.ts_us).min();
        let head = greatest(clocks(&|_| true)).unwrap();
        Self {
            fields: std::array::from_fn(|place| {
                standing(&|event, arena| value_of(&event.fields[place], arena))
            }),
            attributes: names.into_iter().filter_map(attribute).collect(),
            status: if dead > created.max(restored).max(put) {
                Status::Deleted
            } else {
                Status::Active
            },
            created_at: first.unwrap().max(reset.map_or(0, |clock| clock.ts_us)),
            updated_at: head.ts_us,
            head,
        }
    }
}

/// The floor that erases and deletes make, and the last delete that no restore took back.
fn deletes_of(events: &[(Event, Vec<u8>)]) -> (Option<Clock>, Option<Clock>) {
    let (mut reset, mut created, mut restored) = (None, None, None);
    let mut deletes = BTreeSet::new();
    let floor = |deletes: &BTreeSet<Clock>, created: Option<Clock>| {
        let last_final = deletes.iter().rev().find(|delete| Some(**delete) < created);
        last_final.max(deletes.iter().rev().nth(32)).copied()
    };
    for (event, _) in events {
        match event.kind {
            EventKind::Created => created = created.max(event.clock),
            EventKind::Updated
            | EventKind::PaymentCreated
            | EventKind::PaymentSucceeded
            | EventKind::PaymentFailed
            | EventKind::PaymentRefunded => {}
            EventKind::Erased => reset = reset.max(event.clock),
            EventKind::Deleted => deletes.extend(event.clock.filter(|at| Some(*at) > restored)),
            EventKind::Restored => {
                reset = reset.max(floor(&deletes, created));
                restored = restored.max(event.clock);
                deletes.retain(|delete| Some(*delete) > restored);
            }
        }
    }
    (reset.max(floor(&deletes, created)), deletes.last().copied())
}

fn attribute_names(events: &[(Event, Vec<u8>)]) -> BTreeSet<Vec<u8>> {
    let names = |(event, arena): &(Event, Vec<u8>)| -> Vec<Vec<u8>> {
        let names = event.attributes.iter();
        names.map(|(name, _)| name.of(arena).to_vec()).collect()
    };
    events.iter().flat_map(names).collect()
}

fn value_of(patch: &Patch, arena: &[u8]) -> Option<Option<Vec<u8>>> {
    match patch {
        Patch::Absent => None,
        Patch::Clear => Some(None),
        Patch::Set(span) => Some(Some(span.of(arena).to_vec())),
    }
}

proptest! {
    #![proptest_config(Config { cases: 1024, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_contact_is_what_the_rules_say_of_the_whole_set(samples in timed_sequence()) {
        let (body, verdicts) = apply(&decoder(), samples.iter().map(|sample| (sample, 0)));
        let body = body.unwrap();
        let view = ContactView::parse(&body).unwrap();
        let is_refused = |verdict: &Verdict| matches!(verdict, Verdict::Superseded | Verdict::Conflict);
        let joined = samples.iter().zip(verdicts).filter(|(_, verdict)| !is_refused(verdict));
        let samples: Vec<Sample> = joined.map(|(sample, _)| sample.clone()).collect();
        let events: Vec<_> = samples.iter().map(|sample| decode(&decoder(), sample, 7)).collect();
        let model = Model::of(&events);
        let fields: [_; 6] = std::array::from_fn(|place| view.field(place).map(|text| text.as_bytes().to_vec()));
        prop_assert_eq!(fields, model.fields);
        let attributes: Vec<_> = view.attributes().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        prop_assert_eq!(attributes, model.attributes);
        prop_assert_eq!(view.status(), model.status);
        prop_assert_eq!(view.created_at_us(), Some(model.created_at));
        prop_assert_eq!(view.updated_at_us(), Some(model.updated_at));
        prop_assert_eq!(view.head(), model.head);
        let greatest = samples.iter().filter_map(|sample| sample.version).max();
        prop_assert_eq!(view.source_version(), greatest);
    }

    #[test]
    fn the_same_sequence_gives_the_same_body_version_and_rings_included(
        samples in prop::collection::vec(any_sample(), 1..40), times in prop::collection::vec(0..1_000_000_i64, 40)
    ) {
        let first = apply(&decoder(), samples.iter().zip(times.iter().copied()));
        let second = apply(&decoder(), samples.iter().zip(times));
        if let Some(body) = &first.0 {
            let view = ContactView::parse(body).unwrap();
            let applied = first.1.iter().filter(|verdict| **verdict == Verdict::Applied).count();
            prop_assert_eq!(view.version(), applied as u64);
        }
        prop_assert_eq!(first, second);
    }

    #[test]
    fn an_untimed_event_within_the_ring_is_a_duplicate(
        samples in prop::collection::vec(any_sample(), 1..40), back in 0..40_usize
    ) {
        let mut untimed: Vec<Sample> = samples;
        for (index, sample) in untimed.iter_mut().enumerate() {
            (sample.time, sample.intent, sample.id) = (None, None, index as u64);
            if sample.kind.is_command_only() {
                sample.kind = EventKind::Deleted;
            }
        }
        let repeated = untimed[untimed.len() - 1 - back.min(untimed.len() - 1)].clone();
        let (before, verdicts) = apply(&decoder(), untimed.iter().map(|sample| (sample, 1)));
        prop_assert!(!verdicts.contains(&Verdict::Duplicate));
        let body = before.clone().unwrap();
        let view = ContactView::parse(&body).unwrap();
        prop_assert_eq!((view.created_at_us(), view.updated_at_us()), (None, None));
        untimed.push(repeated);
        let (after, verdicts) = apply(&decoder(), untimed.iter().map(|sample| (sample, 1)));
        prop_assert_eq!(verdicts.last(), Some(&Verdict::Duplicate));
        prop_assert_eq!(before, after);
    }
}
