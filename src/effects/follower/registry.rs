//! The followers of an instance, as they are listed and as their figures are made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::position::Position;
use crate::ingest::{Control, now_ms};
use crate::store::{Cut, Reader};
use crate::telemetry::{FollowerFigures, Metrics};

use super::engine::{Engine, STALLED_AFTER, Surroundings};
use super::ledger::{self, Ledger, Paused, Trouble};
use super::parked::{self, Parked};
use super::standing::Standing;
use super::steering::FollowerError;
use super::writing::records_between;
use super::{Row, Sink};

/// All followers that this instance runs, or would.
pub struct Followers {
    around: Surroundings,
    rows: Mutex<BTreeMap<String, Listed>>,
}

#[derive(Clone)]
struct Listed {
    row: Arc<Row>,
    standing: Arc<Standing>,
}

/// How a follower stands.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: &'static str,
    /// `running`, `paused`, `stalled`, `waiting` (no instance has it) or `starting` (none ever had).
    pub state: &'static str,
    /// Whether this instance has it.
    pub is_here: bool,
    /// Whether it may not run on this instance: `trouble` says why.
    pub is_kept_from: bool,
    /// Changes that are owed, as far as this instance knows, where they are counted.
    pub owed: u64,
    /// All before it is done, but for what waits.
    pub position: Option<String>,
    /// Records of the log behind that, matching or not; none: another instance knows.
    pub lag_records: Option<u64>,
    /// Age of the oldest change that is owed; none: another instance knows.
    pub lag_seconds: Option<f64>,
    /// Contacts of which something is owed.
    pub waiting: usize,
    /// Changes that were refused too often.
    pub parked: usize,
    /// Since it began.
    pub delivered: u64,
    /// Deliveries that failed on this instance since its start, each try of them.
    pub failures: u64,
    /// How often the journal did not reach back.
    pub overruns: u64,
    /// When that was last, in ms since 1970.
    pub overrun_at_ms: Option<u64>,
    /// Whether all contacts are being told.
    pub is_scanning: bool,
    /// Who paused it, and when, in ms since 1970.
    pub paused: Option<(String, u64)>,
    /// Why nothing is delivered, and since when, in ms since 1970.
    pub trouble: Option<(String, u64)>,
    /// What operators should know besides; none: nothing, or another instance knows.
    pub note: Option<String>,
}

impl Followers {
    /// None yet.
    pub fn new(around: Surroundings) -> Self {
        Self { around, rows: Mutex::default() }
    }

    /// One more, to be run.
    pub fn add<S: Sink>(&self, row: Row, sink: S) -> Engine<S> {
        let listed = Listed { row: Arc::new(row), standing: Arc::default() };
        let (row, standing) = (Arc::clone(&listed.row), Arc::clone(&listed.standing));
        self.rows.lock().insert(row.name.clone(), listed);
        Engine::new(row, sink, self.around.clone(), standing)
    }

    /// No more are added: the journal is kept for these alone.
    pub fn are_all(&self) {
        let names = self.rows.lock().keys().cloned().collect();
        self.reader().followers_are(names);
    }

    pub(super) fn reader(&self) -> &Reader {
        self.around.control.reader()
    }

    pub(super) fn control(&self) -> &Control {
        &self.around.control
    }

    pub(super) fn row(&self, name: &str) -> Result<Arc<Row>, FollowerError> {
        let rows = self.rows.lock();
        rows.get(name).map(|listed| Arc::clone(&listed.row)).ok_or(FollowerError::NotFound)
    }

    /// By their names, strictly after one.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<Shown> {
        let rows = self.rows.lock().clone();
        let listed =
            rows.iter().filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        listed.take(limit).map(|(_, listed)| self.shown(listed)).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn show(&self, name: &str) -> Result<Shown, FollowerError> {
        let listed = self.rows.lock().get(name).cloned().ok_or(FollowerError::NotFound)?;
        Ok(self.shown(&listed))
    }

    /// Its changes that were refused too often, by their ids, strictly after one.
    ///
    /// # Errors
    /// Where there is no follower of that name.
    pub fn parked(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Parked>, FollowerError> {
        self.row(name)?;
        Ok(parked::of(self.reader(), name, after, limit))
    }

    fn ledger(&self, name: &str) -> Option<Ledger> {
        let entry = self.reader().control(&ledger::key(name))?;
        serde_json::from_slice(&entry.value).ok()
    }

    fn shown(&self, Listed { row, standing }: &Listed) -> Shown {
        let ledger = self.ledger(&row.name);
        let is_here = standing.is_ours();
        let known = ledger.clone().unwrap_or_default();
        let is_kept_from = standing.is_kept_from();
        let is_known_here = is_here || is_kept_from;
        let trouble = if is_known_here { standing.trouble() } else { known.trouble.clone() };
        let role = ledger::role(&row.name, known.founding);
        let is_taken = is_here || self.around.lease.is_taken(&role);
        let state = match &ledger {
            None => "starting",
            Some(ledger) if ledger.paused.is_some() => "paused",
            Some(_) if !is_taken => "waiting",
            Some(_) if trouble.is_some() => "stalled",
            Some(_) => "running",
        };
        // Who has it writes down where it is only when something was delivered.
        let is_known = state != "running" || !known.waiting.is_empty();
        let (lag_records, lag_seconds) = match standing.read() {
            Some(read) if is_here => (Some(self.behind(&read)), Some(age(standing.oldest_ms()))),
            _ if is_known => {
                let position = known.position(self.reader().position().log);
                (position.map(|position| self.behind(&position)), None)
            }
            _ => (None, None),
        };
        // Who has it knows better than what it has written down.
        let waiting = if is_here {
            usize::try_from(standing.waiting()).unwrap_or(usize::MAX)
        } else {
            known.waiting.len()
        };
        Shown {
            name: row.name.clone(),
            about: row.about,
            state,
            is_here,
            is_kept_from,
            owed: standing.owed(),
            position: ledger.as_ref().map(|ledger| ledger.position.clone()),
            lag_records,
            lag_seconds,
            waiting,
            parked: parked::count(self.reader(), &row.name),
            delivered: known.delivered,
            failures: standing.counted().failures,
            overruns: known.overruns,
            overrun_at_ms: known.overrun_at_ms,
            is_scanning: known.scanned.is_some(),
            paused: known.paused.map(|Paused { by, at_ms }| (by, at_ms)),
            trouble: trouble.map(|Trouble { why, since_ms }| (why, since_ms)),
            note: standing.note().filter(|_| is_here),
        }
    }

    /// Records of contacts' lanes behind a position.
    fn behind(&self, position: &Position) -> u64 {
        records_between(position, &self.reader().position())
    }

    /// How many changes a follower owes that this instance may not run, by what whoever runs it has written
    /// down; none: not known.
    pub fn owed_elsewhere(&self, name: &str, counted: impl Fn(&Cut) -> Option<u64>) -> Option<u64> {
        let founding = self.reader().rules().founding();
        let is_of_it = |ledger: &Ledger| ledger.founding.is_none_or(|of| of == founding);
        let ledger = self.ledger(name).filter(is_of_it);
        let (done, waiting) = ledger.map_or((Some(0), 0), |at| (at.count, at.waiting.len()));
        Some(self.reader().counted(counted)?.saturating_sub(done?) + waiting as u64)
    }

    /// What operators should look at: followers of this instance that could not deliver something for a
    /// while, or have parked it.
    pub fn note(&self) -> Option<String> {
        let rows = self.rows.lock().clone();
        let told = rows.values().filter(|listed| listed.standing.is_ours()).map(|listed| {
            let name = &listed.row.name;
            let parked = parked::count(self.reader(), name);
            let trouble = listed.standing.trouble();
            let age = |since_ms| Duration::from_millis(now_ms().saturating_sub(since_ms));
            let long = trouble.filter(|it| age(it.since_ms) >= STALLED_AFTER);
            let trouble = long.map(|it| format!("the follower {name} can't deliver: {}", it.why));
            let refused = listed.standing.refused().map(|(changes, why)| {
                format!("{changes} changes of the follower {name} are refused for a minute: {why}")
            });
            let parked = (parked > 0).then(|| {
                format!(
                    "the follower {name} has parked {parked} changes; \
                     `contactd follower parked {name}` lists them"
                )
            });
            let note = listed.standing.note().map(|note| format!("the follower {name}: {note}"));
            trouble.or(refused).into_iter().chain(parked).chain(note)
        });
        let told: Vec<String> = told.flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Sets the figures of those that this instance has, those of one label together.
    pub fn measure(&self, metrics: &Metrics) {
        let rows = self.rows.lock().clone();
        let mut labels: BTreeMap<&'static str, FollowerFigures> = BTreeMap::new();
        for Listed { row, standing } in rows.values() {
            let figures = labels.entry(row.label).or_default();
            let counted = standing.counted();
            figures.delivered += counted.delivered;
            figures.failures += counted.failures;
            figures.overruns += counted.overruns;
            figures.owed += standing.owed();
            if !standing.is_ours() {
                continue;
            }
            let behind = standing.read().map_or(0, |read| self.behind(&read));
            figures.lag_records = figures.lag_records.max(behind);
            figures.lag_seconds = figures.lag_seconds.max(age(standing.oldest_ms()));
            figures.parked += parked::count(self.reader(), &row.name) as u64;
            figures.waiting += standing.waiting();
        }
        for (label, figures) in labels {
            metrics.followers.set(label, &figures);
        }
    }
}

fn age(since_ms: Option<u64>) -> f64 {
    since_ms.map_or(0.0, |since| now_ms().saturating_sub(since) as f64 / 1e3)
}
