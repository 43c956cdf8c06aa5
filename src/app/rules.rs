//! This instance's own rules beside the log's: told where they differ, adopted where that is wanted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::event_log::ConsumerStatus;
use crate::ingest::{Adoption, Retries, RulesStanding};

use super::watch::Watch;

/// Who adopts where nobody asked.
const BY_ITSELF: &str = "rules.adopt";
/// How often it is looked whether the log is read to its end.
const LOOK: Duration = Duration::from_millis(100);
/// How long one try may take.
const ADOPT_WAIT: Duration = Duration::from_secs(30);
/// First and longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Tells or adopts what differs, once the log's own rules are known, then keeps them on the log.
pub(super) async fn keep_rules(
    rules: Arc<Adoption>,
    lanes: Arc<ConsumerStatus>,
    adopts_by_itself: bool,
    watch: Watch,
    stop: CancellationToken,
) {
    let settle = settle(&rules, &lanes, adopts_by_itself, &watch);
    if stop.run_until_cancelled(settle).await.is_some() {
        rules.run(stop).await;
    }
}

async fn settle(
    rules: &Arc<Adoption>,
    lanes: &ConsumerStatus,
    adopts_by_itself: bool,
    watch: &Watch,
) {
    let mut retries = Retries::between(PAUSE_MIN, PAUSE_MAX);
    loop {
        let mut wait = LOOK;
        if let Some(standing) = rules.standing().filter(|_| lanes.is_caught_up()) {
            if standing.differences.is_empty() || !adopts_by_itself {
                if !standing.differences.is_empty() {
                    tracing::warn!("{}", told(&standing));
                }
                return watch.rules_settled(rules);
            }
            match rules.adopt(BY_ITSELF, None, Instant::now() + ADOPT_WAIT).await {
                Ok(adopted) => {
                    tracing::info!(number = adopted.number, "this instance's rules are adopted");
                    return watch.rules_settled(rules);
                }
                Err(error) => {
                    let (pause, is_new) = retries.failed(&error);
                    wait = pause;
                    if is_new {
                        tracing::warn!(%error, "this instance's rules are not adopted yet");
                    }
                    // The log's hold, and are good enough to answer by.
                    watch.rules_settled(rules);
                }
            }
        }
        tokio::time::sleep(wait).await;
    }
}

/// The log's rules and how this instance's own stand to them, in one line.
pub(super) fn told(standing: &RulesStanding) -> String {
    let RulesStanding { newest, lacking, own, differences } = standing;
    let fingerprint = newest.rules.fingerprint();
    let mut text = format!("the log's rules are number {}, {fingerprint}", newest.number);
    if let Some(principal) = &newest.principal {
        text.push_str(&format!(", adopted by {principal}"));
    }
    if !lacking.is_empty() {
        text.push_str(&format!("; {} partitions have not come to them yet", lacking.len()));
    }
    if !differences.is_empty() {
        text.push_str(&format!(
            "; this instance's own files say otherwise ({own}), and do not hold: {}; `contactd config \
             adopt` lets them hold",
            differences.join(", ")
        ));
    }
    text
}
