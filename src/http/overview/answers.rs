//! How it goes, as it is sent and as it is described.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::samples::{Grain, Health, Sample, State};
use crate::domain::timestamp::format_rfc3339;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::http::about::readiness::Report;
use crate::telemetry::{Figures, WebhookOutcome};

const HOURS: usize = 24;
const HOUR_MS: u64 = 3_600_000;

/// Figures of now and of the time before. For people: members may be added.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    #[schema(format = DateTime)]
    at: String,
    #[schema(required = true, format = DateTime)]
    started_at: Option<String>,
    health: OverviewHealth,
    /// Parts that are not ready, and why.
    not_ready: BTreeMap<String, String>,
    /// What is configured, and whether it answers.
    dependencies: BTreeMap<String, bool>,
    lanes: Vec<OverviewLane>,
    letters: OverviewLetters,
    outbox: OverviewOutbox,
    /// Other topics; null where none are read.
    #[schema(required = true)]
    bridge: Option<OverviewBridge>,
    feed_clients: u64,
    #[schema(required = true)]
    memory_bytes: Option<u64>,
    /// Of the data directory's disk.
    #[schema(required = true)]
    disk_free_bytes: Option<u64>,
    /// Between two samples.
    step_seconds: u64,
    /// The oldest first.
    samples: Vec<OverviewSample>,
}

/// In one word, and since when.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OverviewHealth {
    state: OverviewState,
    #[schema(format = DateTime)]
    since: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OverviewState {
    NotReady,
    DependencyDown,
    Behind,
    LettersGrowing,
    KeepingUp,
}

impl OverviewState {
    fn of(state: State) -> Self {
        match state {
            State::NotReady => Self::NotReady,
            State::DependencyDown => Self::DependencyDown,
            State::Behind => Self::Behind,
            State::LettersGrowing => Self::LettersGrowing,
            State::KeepingUp => Self::KeepingUp,
        }
    }
}

/// A partition of the contact log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OverviewLane {
    /// Its number; `all` where there are too many to tell apart.
    partition: String,
    #[schema(required = true)]
    lag_records: Option<u64>,
    #[schema(required = true)]
    lag_seconds: Option<f64>,
}

/// Records that could not be applied.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OverviewLetters {
    kept: u64,
    bytes: u64,
    /// 0: there is none.
    oldest_age_seconds: f64,
    /// Those of which any are kept or came.
    reasons: Vec<OverviewReason>,
}

/// Letters of one reason.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OverviewReason {
    reason: &'static str,
    kept: u64,
    /// How many came in each of the last 24 hours, the present one last; since the start.
    hours: Vec<u64>,
}

/// What waits for Kafka.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OverviewOutbox {
    records: u64,
    bytes: u64,
    oldest_age_seconds: f64,
}

/// What comes in from other topics.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OverviewBridge {
    up: bool,
    #[schema(required = true)]
    lag_records: Option<u64>,
}

/// One step of the time before: rates are of the step, a second.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OverviewSample {
    /// Its end.
    #[schema(format = DateTime)]
    at: String,
    events: f64,
    webhooks: f64,
    webhooks_refused: f64,
    #[schema(required = true)]
    lag_records: Option<u64>,
    #[schema(required = true)]
    lag_seconds: Option<f64>,
    /// From the record's time until it could be read; null where nothing came.
    #[schema(required = true)]
    readable_p50_ms: Option<f64>,
    #[schema(required = true)]
    readable_p99_ms: Option<f64>,
    /// Dead letters kept at its end.
    letters: u64,
    /// Events by what became of them; those that there were.
    verdicts: BTreeMap<&'static str, u64>,
}

impl Overview {
    pub(super) fn of(figures: &Figures, topic: &str, now: &Sample, health: Health) -> Self {
        let whole = |name: &str| figures.sum(name).map(|value| value as u64);
        let seconds = |name: &str| figures.sum(name).unwrap_or(0.0);
        let started = figures.sum("process_start_time_seconds");
        let up = figures.by("contactd_bridge_up", "");
        Self {
            at: format_rfc3339(now.at_ms),
            started_at: started.map(|seconds| format_rfc3339((seconds * 1000.0) as u64)),
            health: OverviewHealth {
                state: OverviewState::of(health.state),
                since: format_rfc3339(health.since_ms),
            },
            not_ready: BTreeMap::new(),
            dependencies: figures
                .by("contactd_dependency_up", "dependency")
                .into_iter()
                .map(|(name, is_up)| (name, is_up >= 1.0))
                .collect(),
            lanes: lanes(figures, topic),
            letters: OverviewLetters {
                kept: now.letters_kept,
                bytes: whole("contactd_dead_letters_bytes").unwrap_or(0),
                oldest_age_seconds: seconds("contactd_dead_letters_oldest_age_seconds"),
                reasons: reasons(figures),
            },
            outbox: OverviewOutbox {
                records: whole("contactd_outbox_records").unwrap_or(0),
                bytes: whole("contactd_outbox_bytes").unwrap_or(0),
                oldest_age_seconds: seconds("contactd_outbox_oldest_age_seconds"),
            },
            bridge: (!up.is_empty()).then(|| OverviewBridge {
                up: up.iter().all(|(_, is_up)| *is_up >= 1.0),
                lag_records: whole("contactd_bridge_lag_records"),
            }),
            feed_clients: whole("contactd_feed_clients").unwrap_or(0),
            memory_bytes: whole("process_resident_memory_bytes"),
            disk_free_bytes: whole("contactd_disk_free_bytes").filter(|bytes| *bytes > 0),
            step_seconds: 0,
            samples: Vec::new(),
        }
    }

    pub(super) fn with_parts(mut self, report: Report) -> Self {
        let waiting = report.parts.into_iter();
        self.not_ready = waiting.filter_map(|(part, why)| Some((part.to_owned(), why?))).collect();
        self
    }

    pub(super) fn with_samples(mut self, grain: Grain, samples: &[Sample]) -> Self {
        self.step_seconds = grain.step().as_secs();
        let steps = samples.iter().zip(samples.iter().skip(1));
        self.samples = steps.map(|(before, after)| OverviewSample::of(before, after)).collect();
        self
    }

    /// What came of each reason in each hour; the newest samples may be younger than the last kept one.
    pub(super) fn with_day(mut self, day: &[Sample], now: &Sample) -> Self {
        for own in &mut self.letters.reasons {
            let place = DeadLetterReason::ALL.iter().position(|it| it.as_str() == own.reason);
            let Some(place) = place else { continue };
            let count = |sample: &Sample| sample.letters.get(place).copied().unwrap_or(0);
            let all = || day.iter().chain([now]);
            for (before, after) in all().zip(all().skip(1)) {
                let age = now.at_ms.saturating_sub(after.at_ms) / HOUR_MS;
                let hour = usize::try_from(age).ok().and_then(|age| (HOURS - 1).checked_sub(age));
                if let Some(sum) = hour.and_then(|hour| own.hours.get_mut(hour)) {
                    *sum += count(after).saturating_sub(count(before));
                }
            }
        }
        self.letters.reasons.retain(|own| own.kept > 0 || own.hours.iter().any(|it| *it > 0));
        self.letters.reasons.sort_by_key(|own| std::cmp::Reverse(own.kept));
        self
    }
}

/// Those of the contact log alone.
fn lanes(figures: &Figures, topic: &str) -> Vec<OverviewLane> {
    let seconds = figures.by_within("contactd_consumer_lag_seconds", "partition", ("topic", topic));
    let known = |value: f64| (!value.is_nan()).then_some(value);
    let records = figures.by_within("contactd_consumer_lag_records", "partition", ("topic", topic));
    let mut lanes: Vec<OverviewLane> = records
        .into_iter()
        .map(|(partition, records)| OverviewLane {
            lag_seconds: seconds
                .iter()
                .find(|(own, _)| *own == partition)
                .and_then(|(_, value)| known(*value)),
            lag_records: known(records).map(|records| records as u64),
            partition,
        })
        .collect();
    lanes.sort_by_key(|lane| lane.partition.parse::<u32>().unwrap_or(u32::MAX));
    lanes
}

fn reasons(figures: &Figures) -> Vec<OverviewReason> {
    let kept = figures.by("contactd_dead_letters", "reason");
    let of = |reason: &str| kept.iter().find(|(own, _)| own == reason).map_or(0.0, |it| it.1);
    let all = DeadLetterReason::ALL.iter().map(|reason| reason.as_str());
    all.map(|reason| OverviewReason { reason, kept: of(reason) as u64, hours: vec![0; HOURS] })
        .collect()
}

impl OverviewSample {
    fn of(before: &Sample, after: &Sample) -> Self {
        let seconds = (after.at_ms.saturating_sub(before.at_ms) as f64 / 1000.0).max(0.001);
        let grown = |one: &[u64], other: &[u64]| -> Vec<u64> {
            one.iter().zip(other).map(|(one, other)| other.saturating_sub(*one)).collect()
        };
        let verdicts = grown(&before.verdicts, &after.verdicts);
        let webhooks = grown(&before.webhooks, &after.webhooks);
        let refused =
            WebhookOutcome::ALL.iter().zip(&webhooks).filter(|(outcome, _)| match outcome {
                WebhookOutcome::OnLog | WebhookOutcome::InOutbox => false,
                WebhookOutcome::Rejected
                | WebhookOutcome::Unauthenticated
                | WebhookOutcome::Unavailable => true,
            });
        let rate = |count: u64| (count as f64 / seconds * 100.0).round() / 100.0;
        let named = Verdict::ALL.iter().map(|verdict| verdict.as_str());
        Self {
            at: format_rfc3339(after.at_ms),
            events: rate(verdicts.iter().sum()),
            webhooks: rate(webhooks.iter().sum()),
            webhooks_refused: rate(refused.map(|(_, count)| count).sum()),
            lag_records: after.lag_records.map(|records| records as u64),
            lag_seconds: after.lag_seconds,
            readable_p50_ms: quantile_ms(0.5, before, after),
            readable_p99_ms: quantile_ms(0.99, before, after),
            letters: after.letters_kept,
            verdicts: named.zip(verdicts.iter().copied()).filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// As Prometheus's `histogram_quantile`: even within a bucket, the last bound beyond it.
fn quantile_ms(quantile: f64, before: &Sample, after: &Sample) -> Option<f64> {
    let earlier = |place: usize| before.readable.get(place).map_or(0, |(_, count)| *count);
    let counts = after.readable.iter().enumerate();
    let counts: Vec<(f64, f64)> = counts
        .map(|(place, (bound, count))| (*bound, count.saturating_sub(earlier(place)) as f64))
        .collect();
    let all = counts.last().map(|(_, count)| *count).filter(|all| *all > 0.0)?;
    let wanted = quantile * all;
    let (mut from, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if count >= wanted {
            let is_last = bound.is_infinite();
            let within =
                if is_last { 0.0 } else { (bound - from) * (wanted - below) / (count - below) };
            return Some(((from + within) * 1e5).round() / 100.0);
        }
        (from, below) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(readable: &[u64]) -> Sample {
        let bounds = [0.005, 0.01, f64::INFINITY];
        let readable = bounds.into_iter().zip(readable.iter().copied()).collect();
        Sample { readable, ..Sample::default() }
    }

    #[test]
    fn quantiles_are_of_what_came_between_two_samples() {
        let (before, after) = (sample(&[10, 10, 10]), sample(&[20, 30, 30]));
        assert_eq!(quantile_ms(0.5, &before, &after), Some(5.0));
        assert_eq!(quantile_ms(0.75, &before, &after), Some(7.5));
        assert_eq!(quantile_ms(0.5, &after, &after), None);
        let slow = sample(&[20, 30, 90]);
        assert_eq!(quantile_ms(0.99, &after, &slow), Some(10.0));
    }
}
