//! Three systems around one contact: what changes in one goes to the others in their words, comes back as their
//! own events, and comes to rest.
//!
//! ```text
//! a user's change in one ─► its event ─► contact ─► outward to the others ─► written, where it differs
//!                             ▲                                                    │
//!                             └──────────────── the event of that write ◄──────────┘
//! ```
//!
//! Fields with an owner change at any time and their events come in any order. A field of which the newest word
//! counts is changed in one place at a time: two writes of it that cross each other have no order here.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;
use crate::domain::headers::SOURCE;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, Offset};
use crate::domain::sources::{FieldText, SourceText, SourceTexts};

const NAMES: [&str; 3] = ["ada", "bea", "cyn"];
/// More events than any change can cause.
const EVENTS_MAX: usize = 60;

/// Whose word counts for each field: the newest, or one system's.
type Owners = [Option<usize>; FIELDS.len()];

fn made_by(path: &str, steps: &[&str]) -> FieldText {
    FieldText {
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        ..FieldText::at(path)
    }
}

/// What each system calls its fields.
fn tables() -> [[FieldText; FIELDS.len()]; 3] {
    let grades = [("1", "Dr"), ("2", "Prof")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    [
        [
            FieldText::at("given"),
            made_by("family", &["trim"]),
            made_by("mail", &["trim", "email"]),
            made_by("tel", &["e164:DE"]),
            FieldText::at("org"),
            FieldText { values: grades.into(), ..FieldText::at("grade") },
        ],
        [
            FieldText::at("person.first"),
            FieldText::at("person.last"),
            made_by("person.mail", &["lower"]),
            made_by("phone", &["e164:US"]),
            made_by("employer", &["trim"]),
            FieldText::at("title"),
        ],
        FIELDS.map(FieldText::at),
    ]
}

fn decoder(owners: Option<&Owners>) -> Decoder {
    let mut texts = SourceTexts::new();
    for (system, (name, fields)) in NAMES.into_iter().zip(tables()).enumerate() {
        let mut text = SourceText::default();
        for (place, field) in fields.into_iter().enumerate() {
            let owner = match owners.and_then(|owners| owners[place]) {
                None => "",
                Some(owner) if owner == system => name,
                Some(_) => "us",
            };
            let field = FieldText { owner: owner.to_owned(), ..field };
            text.fields.insert(FIELDS[place].to_owned(), field);
        }
        texts.insert(name.to_owned(), text);
    }
    Decoder::new(Sources::compile(&texts).unwrap(), Limits::default())
}

/// A system's event that is on its way.
#[derive(Clone)]
struct Sent {
    system: usize,
    event: Vec<u8>,
}

struct Ring {
    decoder: Decoder,
    /// Without owners: where a field stands, and how it is said there.
    plain: Decoder,
    /// By path, what each system has.
    held: [BTreeMap<String, Option<String>>; 3],
    contact: Option<Vec<u8>>,
    under_way: Vec<Sent>,
    ticks: u64,
    writes: usize,
}

impl Ring {
    fn new(owners: &Owners) -> Self {
        Self {
            decoder: decoder(Some(owners)),
            plain: decoder(None),
            held: Default::default(),
            contact: None,
            under_way: Vec::new(),
            ticks: 0,
            writes: 0,
        }
    }

    fn values(&self) -> [Option<String>; FIELDS.len()] {
        let view = self.contact.as_ref().map(|body| ContactView::parse(body).unwrap());
        std::array::from_fn(|place| Some(view.as_ref()?.field(place)?.to_owned()))
    }

    /// A field as a system says it; none: it has no such value.
    fn said(
        decoder: &Decoder,
        system: usize,
        place: usize,
        value: Option<&str>,
    ) -> Option<(String, Option<String>)> {
        let mut values = [None; FIELDS.len()];
        values[place] = value;
        let outward = decoder.sources().of(NAMES[system].as_bytes()).unwrap().outward(&values);
        let is_kept = |at: usize| outward.kept_back.iter().any(|(ours, _)| *ours == FIELDS[at]);
        let before = (0..place).filter(|at| !is_kept(*at)).count();
        (!is_kept(place)).then(|| outward.sent[before].clone())
    }

    /// What a system is given, in its words; it tells of what that changes.
    fn write(&mut self, system: usize, said: Vec<(String, Option<String>)>) -> bool {
        let mut data = Map::from_iter([("id".to_owned(), json!("c"))]);
        for (path, value) in said {
            if self.held[system].get(&path).cloned().flatten() == value {
                continue;
            }
            self.held[system].insert(path.clone(), value.clone());
            match path.split_once('.') {
                None => _ = data.insert(path, json!(value)),
                Some((outer, inner)) => {
                    let outer = data.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    outer[inner] = json!(value);
                }
            }
        }
        if data.len() == 1 {
            return false;
        }
        self.ticks += 1;
        let event = json!({
            "id": format!("e{}", self.ticks), "eventType": "contact.updated",
            "timestamp": 1_763_719_200_000_u64 + self.ticks, "data": data,
        });
        self.under_way.push(Sent { system, event: event.to_string().into_bytes() });
        true
    }

    fn arrive(&mut self, Sent { system, event }: Sent) {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = [(SOURCE, Some(NAMES[system].as_bytes()))].into_iter();
        batch.push(Offset(0), 1_763_719_300_000, None, Some(&event), headers);
        let event = self.decoder.decode(&mut batch, 0).unwrap();
        let (before, mut body) = (self.values(), Vec::new());
        let limits = Limits::default();
        merge(self.contact.as_deref(), &event, &batch.arena, 0, &limits, &mut body).unwrap();
        if !body.is_empty() {
            self.contact = Some(body);
        }
        let now = self.values();
        if now == before {
            return;
        }
        for other in (0..NAMES.len()).filter(|other| *other != system) {
            let texts = now.each_ref().map(Option::as_deref);
            let source = self.decoder.sources().of(NAMES[other].as_bytes()).unwrap();
            let sent = source.outward(&texts).sent;
            self.writes += usize::from(self.write(other, sent));
        }
    }

    /// All that is under way arrives, in some order, and some of it again.
    fn rest(&mut self, random: &mut fastrand::Rng) {
        for _ in 0..EVENTS_MAX {
            if self.under_way.is_empty() {
                return;
            }
            let at = random.usize(..self.under_way.len());
            let sent = match random.u8(..4) {
                0 => self.under_way[at].clone(),
                _ => self.under_way.swap_remove(at),
            };
            self.arrive(sent);
        }
        // What comes again and again is no new event.
        while let Some(sent) = self.under_way.pop() {
            let writes = self.writes;
            self.arrive(sent);
            assert_eq!(self.writes, writes, "it goes round");
        }
    }

    /// What a system has of a field is what the contact has, as far as it can say that.
    fn assert_alike(&self, owners: &Owners) {
        let now = self.values();
        for (system, _) in NAMES.iter().enumerate() {
            for (place, value) in now.iter().enumerate() {
                let said = Self::said(&self.plain, system, place, value.as_deref());
                let Some((path, theirs)) = said else { continue };
                let held = self.held[system].get(&path).cloned().flatten();
                // Its own spelling stays where it was changed.
                let back = self.taken(system, &path, held.as_deref(), place);
                assert!(
                    held == theirs || back == *value,
                    "{} of {}: {held:?}, and the contact has {value:?} ({:?})",
                    FIELDS[place],
                    NAMES[system],
                    owners[place]
                );
            }
        }
    }

    /// What a system's value becomes here.
    fn taken(&self, system: usize, path: &str, held: Option<&str>, place: usize) -> Option<String> {
        let mut asked = Self::new(&[None; FIELDS.len()]);
        asked.write(system, vec![(path.to_owned(), held.map(str::to_owned))]);
        let sent = asked.under_way.pop()?;
        asked.arrive(sent);
        asked.values()[place].clone()
    }
}

/// Values that every system can take.
fn value(place: usize, number: usize) -> Option<&'static str> {
    let texts: [[&str; 3]; FIELDS.len()] = [
        ["Ada", "Bea", "cyn é"],
        ["Lovelace", "Byron", "King"],
        ["ada@example.com", "bea@example.org", "cyn@example.net"],
        ["+4930901820", "+14155550100", "+442079460000"],
        ["Works", "Engines", "Looms"],
        ["Dr", "Prof", "Sir"],
    ];
    texts[place].get(number).copied()
}

proptest! {
    #[test]
    fn a_change_in_one_of_three_systems_reaches_the_others_and_comes_to_rest(
        owners in prop::array::uniform6(prop::option::of(0..3_usize)),
        changes in prop::collection::vec((0..3_usize, 0..FIELDS.len(), 0..4_usize), 1..12),
        seed in any::<u64>(),
    ) {
        let (mut ring, mut random) = (Ring::new(&owners), fastrand::Rng::with_seed(seed));
        for (system, place, number) in changes {
            let is_shared = owners[place].is_none();
            let system = owners[place].unwrap_or(system);
            let said = Ring::said(&ring.plain, system, place, value(place, number));
            let Some(said) = said else { continue };
            if is_shared {
                ring.rest(&mut random);
            }
            let before = ring.writes;
            ring.write(system, vec![said]);
            if is_shared {
                ring.rest(&mut random);
                prop_assert!(ring.writes - before <= 2, "each of the others is told once");
            }
        }
        ring.rest(&mut random);
        ring.assert_alike(&owners);
    }
}
