//! Markers that the log is about to drop, for their age or for their place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::position::{Lane, Offset};
use crate::domain::rules::{InForce, LaneRules};
use crate::event_log::{EventLog, LogError, Retention, Watermarks};

use super::now_ms;

/// How often it is asked what the log keeps.
const LOOK: Duration = Duration::from_secs(30);

/// What the log keeps, asked again now and then.
#[derive(Default)]
pub(super) struct Fading {
    asked: Option<Instant>,
    retention: Retention,
    held: BTreeMap<Lane, Watermarks>,
}

impl Fading {
    /// Lanes whose marker of these rules is to be said again.
    pub(super) async fn lanes(
        &mut self,
        log: &EventLog,
        rules: &LaneRules,
        newest: &InForce,
    ) -> Vec<Lane> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= LOOK) {
            self.asked = Some(Instant::now());
            let (log, lanes) = (log.clone(), rules.lanes().keys().copied().collect::<Vec<_>>());
            match tokio::task::spawn_blocking(move || look(&log, &lanes)).await {
                Ok(Ok((retention, held))) => {
                    if retention != self.retention {
                        warn_of(retention);
                    }
                    (self.retention, self.held) = (retention, held);
                }
                Ok(Err(error)) => tracing::debug!(%error, "what the log keeps is not known"),
                Err(_) => {}
            }
        }
        let now = now_ms();
        let is_fading = |(lane, at): &(&Lane, &InForce)| {
            let is_old = self.retention.age.is_some_and(|age| is_old(at.record_time_ms, now, age));
            let held = self.held.get(*lane);
            is_old || held.is_some_and(|held| is_far_back(at.offset, held, self.retention))
        };
        let lanes = rules.lanes().iter().filter(|(_, at)| at.number == newest.number);
        lanes.filter(is_fading).map(|(lane, _)| *lane).collect()
    }
}

/// A store reads the log from its beginning.
fn warn_of(Retention { age, is_by_bytes }: Retention) {
    if age.is_some() || is_by_bytes {
        tracing::warn!(
            kept_for_seconds = age.map(|age| age.as_secs()),
            is_bounded_by_bytes = is_by_bytes,
            "the contact log does not keep all of its records; an instance that starts later without a \
             snapshot lacks those that are gone"
        );
    }
}

fn look(
    log: &EventLog,
    lanes: &[Lane],
) -> Result<(Retention, BTreeMap<Lane, Watermarks>), LogError> {
    let held = lanes.iter().map(|lane| Ok((*lane, log.watermarks(*lane)?)));
    Ok((log.retention()?, held.collect::<Result<_, LogError>>()?))
}

/// Since a fourth of the time that a record is kept: well before a third of it has passed.
fn is_old(record_time_ms: i64, now_ms: u64, kept_for: Duration) -> bool {
    let fourth = u64::try_from(kept_for.as_millis() / 4).unwrap_or(u64::MAX);
    now_ms.saturating_sub(u64::try_from(record_time_ms).unwrap_or(0)) >= fourth
}

/// In the older half of what the lane holds, of which something may go for its place, or has gone. A
/// lane that only grows has it again whenever it is twice as long.
fn is_far_back(marker: Offset, held: &Watermarks, retention: Retention) -> bool {
    let before = marker.0.saturating_sub(held.low.0);
    let behind = held.high.0.saturating_sub(marker.next().0);
    (retention.is_by_bytes || held.low.0 > 0) && before < behind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::NextOffset;

    #[test]
    fn a_marker_is_old_after_a_fourth_of_the_retention() {
        let age = Duration::from_secs(40);
        assert!(!is_old(1_000, 10_999, age));
        assert!(is_old(1_000, 11_000, age) && is_old(-5, 11_000, age));
    }

    #[test]
    fn a_marker_in_the_older_half_is_far_back_where_places_count() {
        let held = |low, high| Watermarks { low: Offset(low), high: NextOffset(high) };
        let by_bytes = Retention { age: None, is_by_bytes: true };
        let far =
            |offset, low, high, retention| is_far_back(Offset(offset), &held(low, high), retention);
        assert!(far(0, 0, 2, by_bytes) && far(140, 100, 200, by_bytes));
        // Alone in the lane, in the newer half, newer than what was looked at.
        assert!(!far(0, 0, 1, by_bytes) && !far(160, 100, 200, by_bytes));
        assert!(!far(300, 100, 200, by_bytes));
        // Where nothing has gone and nothing goes for its place.
        let forever = Retention::default();
        assert!(!far(0, 0, 200, forever) && far(100, 100, 200, forever));
    }
}
