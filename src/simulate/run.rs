//! A simulation from its first request to its report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::domain::Class;
use crate::domain::decode::Decoder;
use crate::domain::texts::hex;

use super::chaos::{Chaos, ChaosOptions, Manner, Seal, Shot};
use super::compare::compare;
use super::expected::Expected;
use super::load::{LoadGenerator, LoadOptions};
use super::report::{Report, RequestCounts};
use super::target::{Outcome, Sign, Target};

/// Requests under way at once.
const IN_FLIGHT: usize = 32;
/// Wrong answers that are told.
const TOLD_MAX: usize = 10;
/// Whose webhooks they are.
const SOURCE: &str = "acme";

/// What keeps a simulation from its end.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Nobody answers there.
    #[error("the target does not answer: {0}")]
    Unreachable(String),
    /// Contacts may not be read.
    #[error("the target does not let us read contacts")]
    Forbidden,
    /// An answer that says nothing.
    #[error("the target's answer can't be used: {0}")]
    Unreadable(String),
    /// The events that were made are none, under these sources and these limits.
    #[error("a generated event is refused by our own rules: {0}")]
    Event(String),
}

impl SimulateError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable(_) => Class::Retry,
            Self::Forbidden | Self::Unreadable(_) | Self::Event(_) => Class::Poison,
        }
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Requests that are answered.
    Sent(u64),
    /// Contacts that are as they should be.
    Equal(u64),
}

/// What is sent where.
pub struct Simulation {
    /// Asks the target; follows no redirects.
    pub http: reqwest::Client,
    /// `http://host:port`, with the path before `/api` if there is one.
    pub target: String,
    /// The events.
    pub load: LoadOptions,
    /// What becomes of them.
    pub chaos: ChaosOptions,
    /// Requests a second; none: as fast as they are answered.
    pub rate: Option<f64>,
    /// How long the target may take to apply what it took.
    pub wait: Duration,
    /// Signs as the target expects it.
    pub sign: Sign,
    /// Headers that let us read contacts.
    pub credentials: Vec<(&'static str, String)>,
    /// Understands events as the target does.
    pub decoder: Arc<Decoder>,
}

/// Sends everything, waits until the target has applied it, and compares.
///
/// # Errors
/// When the target can't be reached or read; what it does wrong stands in the report.
pub async fn simulate(
    simulation: &Simulation,
    progress: &dyn Fn(Stage),
) -> Result<Report, SimulateError> {
    let sign = Arc::clone(&simulation.sign);
    let http = simulation.http.clone();
    let target = Target::new(http, &simulation.target, sign, simulation.credentials.clone());
    let events = || LoadGenerator::new(&simulation.load).filter_map(|record| record.value);
    let mut expected = Expected::new(Arc::clone(&simulation.decoder), SOURCE);
    for event in events() {
        // Long after all of them: what lies ahead of the clock was refused before.
        expected.take(&event, u64::MAX).map_err(SimulateError::Event)?;
    }
    // Before anything is sent: whether there is somebody who lets us look.
    let first = expected.contacts().next();
    target.contact(first.as_ref().map_or("none", |contact| contact.id.as_str())).await?;

    let started = Instant::now();
    let mut sending = Sending::default();
    let mut hash = Sha256::new();
    let due = |number: usize| {
        let after = simulation.rate.map(|rate| Duration::from_secs_f64(number as f64 / rate));
        after.map(|after| started + after)
    };
    let shots = Chaos::new(events(), &simulation.chaos).enumerate();
    let requests = stream::iter(shots).map(|(number, shot)| {
        add(&mut hash, &shot);
        let (target, due) = (&target, due(number));
        async move {
            if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            }
            let (outcome, retries) = target.deliver(&shot).await;
            (shot.event, shot.manner, outcome, retries)
        }
    });
    let mut answers = requests.buffer_unordered(IN_FLIGHT);
    while let Some((event, manner, outcome, retries)) = answers.next().await {
        sending.note(event, manner, &outcome, retries);
        progress(Stage::Sent(sending.counts.sent));
    }
    drop(answers);
    let seconds = started.elapsed().as_secs_f64();
    let equal = |count| progress(Stage::Equal(count));
    let (contacts, differences) =
        compare(&target, expected.contacts(), simulation.wait, &equal).await?;
    let digest = hash.finalize();
    Ok(Report {
        target: simulation.target.clone(),
        seed: simulation.chaos.seed,
        events: events().count() as u64,
        hash: hex(&digest),
        sent: sending.by_manner,
        requests: sending.counts,
        contacts,
        wrong_answers: sending.wrong,
        differences,
        seconds,
    })
}

/// What stands for a request: which event, what was done to it, its bytes, what was signed for it.
fn add(hash: &mut Sha256, shot: &Shot) {
    let (seal, other): (u8, &[u8]) = match &shot.seal {
        Seal::Right => (0, &[]),
        Seal::OfOther(other) => (1, other),
        Seal::WrongKey => (2, &[]),
        Seal::Old => (3, &[]),
        Seal::None => (4, &[]),
    };
    hash.update(shot.event.to_le_bytes());
    hash.update([shot.manner as u8, seal]);
    for bytes in [shot.body.as_slice(), other] {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
}

#[derive(Default)]
struct Sending {
    counts: RequestCounts,
    by_manner: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

impl Sending {
    fn note(&mut self, event: u64, manner: Manner, outcome: &Outcome, retries: u32) {
        self.counts.sent += 1;
        self.counts.retries += u64::from(retries);
        *self.by_manner.entry(manner.as_str()).or_default() += 1;
        let (count, wrong) = match (outcome, manner.must_be_refused()) {
            (Outcome::Accepted(_), false) => (&mut self.counts.accepted, None),
            (Outcome::Refused(_), true) => (&mut self.counts.refused_as_expected, None),
            (Outcome::Accepted(status), true) => {
                (&mut self.counts.accepted_unexpectedly, Some(status.to_string()))
            }
            (Outcome::Refused(status), false) => {
                (&mut self.counts.refused_unexpectedly, Some(status.to_string()))
            }
            (Outcome::Unanswered(why), _) => (&mut self.counts.unanswered, Some(why.clone())),
        };
        *count += 1;
        if let Some(answer) = wrong.filter(|_| self.wrong.len() < TOLD_MAX) {
            self.wrong.push(format!("event {event}, {}: {answer}", manner.as_str()));
        }
    }
}
