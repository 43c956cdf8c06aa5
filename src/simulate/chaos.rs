//! What a bad network and bad people make of a stream of webhooks, reproducibly.
//!
//! ```text
//! bodies ─► each one: forged copy? cut copy? late or out of turn? sent again? ─► Shots, in order
//! ```
//!
//! Every event is sent whole and rightly signed at least once; forged and cut copies come besides
//! it. So a receiver that does its work holds in the end what it would hold without any of this.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::zipf::{Random, threshold};

/// A repeat comes after up to this many others.
const DUPLICATE_AFTER_MAX: u64 = 32;
/// Out of turn: up to this many others come first.
const REORDER_MAX: u64 = 8;
/// Late: at least, and fewer than, this many others come first.
const LATE_MIN: u64 = 64;
const LATE_MAX: u64 = 512;
/// How old a signature is that is too old: twice what is taken anywhere.
const OLD_MS: u64 = 3_600_000;
/// Beyond any version that a source has given.
const FORGED_VERSION: u64 = 1 << 40;

/// Shares of the events, between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChaosOptions {
    /// Sent again, byte for byte.
    pub duplicate: f64,
    /// Sent after some that came later.
    pub reorder: f64,
    /// Sent long after their turn.
    pub late: f64,
    /// Besides sent with other content, under a signature that does not fit.
    pub forge: f64,
    /// Besides sent without their end.
    pub truncate: f64,
    /// Equal seeds do equal things.
    pub seed: u64,
}

/// How a copy of an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// In its turn.
    AsIs,
    /// Again.
    Duplicate,
    /// After some that came later.
    Reordered,
    /// Long after its turn.
    Late,
    /// By somebody who does not have the secret.
    Forged,
    /// Without its end.
    Truncated,
}

impl Manner {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::AsIs, Self::Duplicate, Self::Reordered, Self::Late, Self::Forged, Self::Truncated];

    /// The stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Duplicate => "duplicate",
            Self::Reordered => "reordered",
            Self::Late => "late",
            Self::Forged => "forged",
            Self::Truncated => "truncated",
        }
    }

    /// Whether whoever receives it must not take it.
    pub fn must_be_refused(self) -> bool {
        match self {
            Self::AsIs | Self::Duplicate | Self::Reordered | Self::Late => false,
            Self::Forged | Self::Truncated => true,
        }
    }
}

/// What stands in the signature's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The signature of the body, made now.
    Right,
    /// The signature of other bytes: of what the body was before.
    OfOther(Vec<u8>),
    /// A signature by another secret.
    WrongKey,
    /// The signature of the body, made an hour ago.
    Old,
    /// Nothing.
    None,
}

/// What is signed for a request, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSign<'b> {
    /// In seconds since 1970.
    pub timestamp: String,
    /// None: the signature is left out.
    pub body: Option<Cow<'b, [u8]>>,
}

impl Seal {
    /// What the sender signs of a request with this body.
    pub fn to_sign<'b>(&'b self, body: &'b [u8], now_ms: u64) -> ToSign<'b> {
        let is_old = *self == Self::Old;
        let ms = if is_old { now_ms.saturating_sub(OLD_MS) } else { now_ms };
        let body = match self {
            Self::Right | Self::Old => Some(Cow::Borrowed(body)),
            Self::OfOther(other) => Some(Cow::Borrowed(other.as_slice())),
            // As far from the right signature as one by another secret.
            Self::WrongKey => Some(Cow::Owned([b"by another secret: ", body].concat())),
            Self::None => None,
        };
        ToSign { timestamp: (ms / 1000).to_string(), body }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Which event it is of, counted from 0.
    pub event: u64,
    /// What is wrong with it, if anything.
    pub manner: Manner,
    /// What is sent.
    pub body: Vec<u8>,
    /// How it is signed.
    pub seal: Seal,
}

/// The requests of a stream of events; holds those that wait for their turn, some hundreds at most.
pub struct Chaos<I> {
    events: I,
    random: Random,
    /// Thresholds of the shares.
    duplicate: u64,
    reorder: u64,
    late: u64,
    forge: u64,
    truncate: u64,
    /// By the step at which they are due, then in the order of their making.
    waiting: BTreeMap<(u64, u64), Shot>,
    /// Shots given.
    step: u64,
    /// Shots made.
    made: u64,
    /// Events taken.
    taken: u64,
    has_ended: bool,
}

impl<I: Iterator<Item = Vec<u8>>> Chaos<I> {
    /// What becomes of these bodies.
    pub fn new(events: I, options: &ChaosOptions) -> Self {
        Self {
            events,
            random: Random::new(options.seed),
            duplicate: threshold(options.duplicate),
            reorder: threshold(options.reorder),
            late: threshold(options.late),
            forge: threshold(options.forge),
            truncate: threshold(options.truncate),
            waiting: BTreeMap::new(),
            step: 0,
            made: 0,
            taken: 0,
            has_ended: false,
        }
    }

    fn take(&mut self, body: Vec<u8>) {
        let event = self.taken;
        self.taken += 1;
        if self.random.hits(self.forge) {
            let (body, seal) = forged(&body, &mut self.random);
            self.hold(0, Shot { event, manner: Manner::Forged, body, seal });
        }
        if self.random.hits(self.truncate) {
            let (body, seal) = truncated(&body, &mut self.random);
            self.hold(0, Shot { event, manner: Manner::Truncated, body, seal });
        }
        let (after, manner) = if self.random.hits(self.late) {
            (LATE_MIN + self.random.below(LATE_MAX - LATE_MIN), Manner::Late)
        } else if self.random.hits(self.reorder) {
            (1 + self.random.below(REORDER_MAX), Manner::Reordered)
        } else {
            (0, Manner::AsIs)
        };
        let shot = Shot { event, manner, body, seal: Seal::Right };
        if self.random.hits(self.duplicate) {
            let again = after + 1 + self.random.below(DUPLICATE_AFTER_MAX);
            self.hold(again, Shot { manner: Manner::Duplicate, ..shot.clone() });
        }
        self.hold(after, shot);
    }

    fn hold(&mut self, after: u64, shot: Shot) {
        self.waiting.insert((self.step + after, self.made), shot);
        self.made += 1;
    }
}

impl<I: Iterator<Item = Vec<u8>>> Iterator for Chaos<I> {
    type Item = Shot;

    fn next(&mut self) -> Option<Shot> {
        loop {
            let is_full = self.waiting.len() > LATE_MAX as usize;
            if let Some(first) = self.waiting.first_entry() {
                let (due, _) = *first.key();
                if due <= self.step || self.has_ended || is_full {
                    self.step += 1;
                    return Some(first.remove());
                }
            } else if self.has_ended {
                return None;
            }
            match self.events.next() {
                Some(body) => self.take(body),
                None => self.has_ended = true,
            }
        }
    }
}

/// Says something else, in one of the ways in which that can be told.
fn forged(body: &[u8], random: &mut Random) -> (Vec<u8>, Seal) {
    match random.below(4) {
        0 => (other_content(body), Seal::OfOther(body.to_vec())),
        1 => (other_content(body), Seal::WrongKey),
        2 => (other_content(body), Seal::None),
        // Recorded, and played again.
        _ => (body.to_vec(), Seal::Old),
    }
}

/// The same event in a version that would win, about somebody else.
fn other_content(body: &[u8]) -> Vec<u8> {
    let Ok(mut event) = serde_json::from_slice::<Value>(body) else {
        return [body, b" "].concat();
    };
    if let Some(members) = event.as_object_mut() {
        members.insert("version".to_owned(), json!(FORGED_VERSION));
    }
    if let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) {
        data.insert("acme_first_name".to_owned(), json!("Mallory"));
    }
    event.to_string().into_bytes()
}

/// Cut on the way, or by the sender before it signed.
fn truncated(body: &[u8], random: &mut Random) -> (Vec<u8>, Seal) {
    let most = (body.len() as u64).saturating_sub(1).max(1);
    let kept = (1 + random.below(most)).min(most) as usize;
    let cut = body.get(..kept).unwrap_or_default().to_vec();
    let seal = if random.below(2) == 0 { Seal::Right } else { Seal::OfOther(body.to_vec()) };
    (cut, seal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: ChaosOptions = ChaosOptions {
        duplicate: 0.05,
        reorder: 0.1,
        late: 0.02,
        forge: 0.03,
        truncate: 0.04,
        seed: 7,
    };

    fn bodies(count: u64) -> impl Iterator<Item = Vec<u8>> {
        (0..count).map(|number| {
            format!(r#"{{"id":"e{number}","data":{{"id":"c{}"}}}}"#, number % 10).into_bytes()
        })
    }

    #[test]
    fn equal_seeds_do_equal_things_and_others_do_not() {
        let shots = |options: &ChaosOptions| Chaos::new(bodies(2000), options).collect::<Vec<_>>();
        assert!(shots(&ALL) == shots(&ALL));
        assert!(shots(&ALL) != shots(&ChaosOptions { seed: 8, ..ALL }));
        let calm: Vec<Vec<u8>> =
            shots(&ChaosOptions::default()).into_iter().map(|shot| shot.body).collect();
        assert_eq!(calm, bodies(2000).collect::<Vec<_>>());
    }

    #[test]
    fn the_shares_are_what_was_asked_for() {
        let events = 100_000;
        let shots: Vec<Shot> = Chaos::new(bodies(events), &ALL).collect();
        let share = |manner: Manner| {
            let of = shots.iter().filter(|shot| shot.manner == manner).count();
            of as f64 / events as f64
        };
        for (manner, asked) in [
            (Manner::Duplicate, ALL.duplicate),
            (Manner::Late, ALL.late),
            (Manner::Reordered, ALL.reorder * (1.0 - ALL.late)),
            (Manner::Forged, ALL.forge),
            (Manner::Truncated, ALL.truncate),
        ] {
            let seen = share(manner);
            assert!((seen - asked).abs() < asked / 10.0, "{manner:?}: {seen} for {asked}");
        }
        let seals = |of: fn(&Seal) -> bool| shots.iter().filter(|shot| of(&shot.seal)).count();
        assert!(seals(|seal| *seal == Seal::WrongKey) > 500);
        assert!(seals(|seal| *seal == Seal::None) > 500);
        assert!(seals(|seal| *seal == Seal::Old) > 500);
        assert!(seals(|seal| matches!(seal, Seal::OfOther(_))) > 2000);
    }

    #[test]
    fn what_waits_is_bounded_even_when_everything_is_late() {
        let options = ChaosOptions { late: 1.0, duplicate: 1.0, ..ALL };
        let mut chaos = Chaos::new(bodies(5_000), &options);
        let mut sent = 0;
        while chaos.next().is_some() {
            assert!(chaos.waiting.len() <= LATE_MAX as usize + 4);
            sent += 1;
        }
        assert!(sent >= 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_event_is_sent_rightly_and_what_must_be_refused_is_not(
            seed: u64, events in 0..600_u64, duplicate in 0.0..1.0_f64, reorder in 0.0..1.0_f64,
            late in 0.0..1.0_f64, forge in 0.0..1.0_f64, truncate in 0.0..1.0_f64,
        ) {
            let options = ChaosOptions { duplicate, reorder, late, forge, truncate, seed };
            let whole: Vec<Vec<u8>> = bodies(events).collect();
            let mut times = vec![0; whole.len()];
            for shot in Chaos::new(bodies(events), &options) {
                let event = &whole[shot.event as usize];
                let is_right = shot.body == *event && shot.seal == Seal::Right;
                prop_assert_eq!(is_right, !shot.manner.must_be_refused());
                times[shot.event as usize] += u32::from(is_right);
                if shot.manner == Manner::Truncated {
                    prop_assert!(shot.body.len() < event.len());
                    prop_assert!(serde_json::from_slice::<Value>(&shot.body).is_err());
                }
            }
            prop_assert!(times.iter().all(|times| (1..=2).contains(times)), "{times:?}");
        }
    }

    #[test]
    fn what_is_signed_is_what_the_seal_says() {
        let now = 10_000_000;
        let body = |seal: &Seal| seal.to_sign(b"body", now).body.map(Cow::into_owned);
        assert_eq!(Seal::Right.to_sign(b"body", now).timestamp, "10000");
        assert_eq!(body(&Seal::Right).as_deref(), Some(b"body".as_slice()));
        assert_ne!(body(&Seal::WrongKey), body(&Seal::Right));
        assert_eq!(body(&Seal::None), None);
        assert_eq!(Seal::Old.to_sign(b"body", now).timestamp, "6400");
        assert_eq!(body(&Seal::OfOther(b"other".to_vec())).as_deref(), Some(b"other".as_slice()));
    }
}
