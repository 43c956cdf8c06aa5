//! Samples of the figures that say how it goes, kept in memory: a quarter of an hour by ten seconds, a day
//! by five minutes. What was before the start is not known.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::http::about::readiness::Readiness;
use crate::ingest::now_ms;
use crate::telemetry::{Figures, Metrics, WebhookOutcome};

/// Between two samples.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// Of a quarter of an hour, and the one before it.
const FINE_MAX: usize = 91;
/// Each how many samples one is kept for a day.
const COARSE_EACH: u64 = 30;
/// Of a day, and the one before it.
const COARSE_MAX: usize = 289;
/// A lane that is behind for longer is worth a word.
const BEHIND_S: f64 = 10.0;
/// So many new dead letters between two samples are no accident.
const LETTERS_MIN: u64 = 5;

/// How it goes, in one word; of several the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    NotReady,
    DependencyDown,
    Behind,
    LettersGrowing,
    #[default]
    KeepingUp,
}

/// The figures of one moment; counters since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at_ms: u64,
    /// By `Verdict::ALL`.
    pub(crate) verdicts: Vec<u64>,
    /// By `WebhookOutcome::ALL`.
    pub(crate) webhooks: Vec<u64>,
    /// By `DeadLetterReason::ALL`: those that came.
    pub(crate) letters: Vec<u64>,
    /// Those that are kept now.
    pub(crate) letters_kept: u64,
    /// Upper bounds in seconds, with how many records were readable within.
    pub(crate) readable: Vec<(f64, u64)>,
    pub(crate) lag_records: Option<f64>,
    pub(crate) lag_seconds: Option<f64>,
    pub(crate) is_ready: bool,
    pub(crate) is_missing_something: bool,
}

impl Sample {
    /// `topic`: the contact log's, of which the lag is told.
    pub(crate) fn of(figures: &Figures, topic: &str, is_ready: bool) -> Self {
        let whole = |value: f64| value as u64;
        let by = |name: &str, label: &str, words: Vec<&str>| {
            let all = figures.by(name, label);
            let of = |word: &str| all.iter().find(|(own, _)| own == word).map(|(_, it)| *it);
            words.into_iter().map(|word| of(word).map_or(0, whole)).collect()
        };
        let lag = |name: &str, both: fn(f64, f64) -> f64| {
            let lanes = figures.by_within(name, "partition", ("topic", topic));
            // One that is not known makes the whole unknown.
            let all = lanes.into_iter().map(|(_, lag)| lag);
            let sum = |one: f64, other: f64| {
                if one.is_nan() || other.is_nan() { f64::NAN } else { both(one, other) }
            };
            all.reduce(sum).filter(|lag| !lag.is_nan())
        };
        let verdicts = Verdict::ALL.iter().map(|it| it.as_str()).collect();
        let outcomes = WebhookOutcome::ALL.iter().map(|it| it.as_str()).collect();
        let reasons = DeadLetterReason::ALL.iter().map(|it| it.as_str()).collect();
        let up = figures.by("contactd_dependency_up", "dependency");
        Self {
            at_ms: now_ms(),
            verdicts: by("contactd_events_applied_total", "result", verdicts),
            webhooks: by("contactd_webhook_events_total", "outcome", outcomes),
            letters: by("contactd_dead_letter_total", "reason", reasons),
            letters_kept: figures.sum("contactd_dead_letters").map_or(0, whole),
            readable: figures.buckets("contactd_event_end_to_end_seconds"),
            lag_records: lag("contactd_consumer_lag_records", |one, other| one + other),
            lag_seconds: lag("contactd_consumer_lag_seconds", f64::max),
            is_ready,
            is_missing_something: up.iter().any(|(_, is_up)| *is_up < 1.0),
        }
    }

    /// In view of the sample before.
    fn state(&self, before: Option<&Self>) -> State {
        let came = |sample: &Self| sample.letters.iter().sum::<u64>();
        let new_letters = before.map_or(0, |before| came(self).saturating_sub(came(before)));
        if !self.is_ready {
            State::NotReady
        } else if self.is_missing_something {
            State::DependencyDown
        } else if self.lag_seconds.is_some_and(|seconds| seconds > BEHIND_S) {
            State::Behind
        } else if new_letters >= LETTERS_MIN {
            State::LettersGrowing
        } else {
            State::KeepingUp
        }
    }
}

/// How it goes, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: State,
    pub(crate) since_ms: u64,
}

#[derive(Default)]
struct Kept {
    fine: VecDeque<Sample>,
    coarse: VecDeque<Sample>,
    taken: u64,
    health: Health,
}

/// The samples of this process.
#[derive(Default)]
pub(crate) struct Samples(Mutex<Kept>);

/// Which samples: every ten seconds, or every five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Fine,
    Coarse,
}

impl Grain {
    pub(crate) fn step(self) -> Duration {
        match self {
            Self::Fine => STEP,
            Self::Coarse => STEP * (COARSE_EACH as u32),
        }
    }
}

impl Samples {
    /// One more.
    pub(crate) fn push(&self, sample: Sample) {
        let mut kept = self.0.lock();
        let state = sample.state(kept.fine.back());
        if kept.taken == 0 || kept.health.state != state {
            kept.health = Health { state, since_ms: sample.at_ms };
        }
        if kept.taken.is_multiple_of(COARSE_EACH) {
            kept.coarse.push_back(sample.clone());
        }
        kept.fine.push_back(sample);
        kept.taken += 1;
        if kept.fine.len() > FINE_MAX {
            kept.fine.pop_front();
        }
        if kept.coarse.len() > COARSE_MAX {
            kept.coarse.pop_front();
        }
    }

    /// Those of a time, the oldest first.
    pub(crate) fn last(&self, grain: Grain, time: Duration) -> Vec<Sample> {
        let kept = self.0.lock();
        let ring = match grain {
            Grain::Fine => &kept.fine,
            Grain::Coarse => &kept.coarse,
        };
        // The first one is only what the next is compared with.
        let wanted = (time.as_secs() / grain.step().as_secs()) as usize + 1;
        ring.iter().skip(ring.len().saturating_sub(wanted)).cloned().collect()
    }

    /// How it goes now: as the last samples say, unless `now` says otherwise.
    pub(crate) fn health(&self, now: &Sample) -> Health {
        let kept = self.0.lock();
        let state = now.state(kept.fine.back());
        // What comes within ten seconds is as much as the last sample says, or less.
        let is_same = state == kept.health.state
            || (state == State::KeepingUp && kept.health.state == State::LettersGrowing);
        if kept.taken > 0 && is_same { kept.health } else { Health { state, since_ms: now.at_ms } }
    }

    /// Takes samples until it is dropped.
    pub(crate) async fn take(&self, sample: impl Fn() -> Sample + Clone + Send + 'static) {
        let mut ticks = tokio::time::interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let sample = sample.clone();
            // Some figures look at directories.
            if let Ok(sample) = tokio::task::spawn_blocking(sample).await {
                self.push(sample);
            }
        }
    }
}

/// The figures of now.
pub(crate) fn now(metrics: &Metrics, readiness: &Readiness, topic: &str) -> (Figures, Sample) {
    let figures = metrics.figures();
    let sample = Sample::of(&figures, topic, readiness.report().is_ready());
    (figures, sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, letters: u64, is_ready: bool) -> Sample {
        Sample { at_ms: at * 10_000, letters: vec![letters], is_ready, ..Sample::default() }
    }

    #[test]
    fn samples_are_bounded_and_a_day_is_kept_by_five_minutes() {
        let samples = Samples::default();
        for at in 0..20_000 {
            samples.push(sample(at, 0, true));
        }
        let hour = Duration::from_secs(3600);
        assert_eq!(samples.last(Grain::Fine, hour).len(), FINE_MAX);
        let day = samples.last(Grain::Coarse, hour * 24);
        assert_eq!(day.len(), COARSE_MAX);
        assert!(day.windows(2).all(|two| two[1].at_ms - two[0].at_ms == 300_000));
        assert_eq!(samples.last(Grain::Coarse, hour).len(), 13);
    }

    #[test]
    fn the_present_state_begins_with_its_first_sample() {
        let samples = Samples::default();
        for (at, letters, is_ready) in [(0, 0, false), (1, 0, true), (2, 0, true), (3, 9, true)] {
            samples.push(sample(at, letters, is_ready));
        }
        let health = samples.health(&sample(4, 9, true));
        assert_eq!(health, Health { state: State::LettersGrowing, since_ms: 30_000 });
        samples.push(sample(4, 9, true));
        let health = samples.health(&sample(5, 9, true));
        assert_eq!(health, Health { state: State::KeepingUp, since_ms: 40_000 });
        let health = samples.health(&sample(5, 9, false));
        assert_eq!(health, Health { state: State::NotReady, since_ms: 50_000 });
    }
}
