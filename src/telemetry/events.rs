//! Things that happen, each a type: one call writes the log line and moves the metric, so that
//! neither is ever without the other.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::domain::position::{Lane, Offset};
use crate::domain::verdict::DeadLetterReason;

use super::metrics::{Dependency, Metrics};
use super::throttle::Throttle;

/// Of each code one line a second: who is overloaded must not write a line for each request as well.
#[derive(Default)]
pub(super) struct RequestLines {
    failed: Mutex<BTreeMap<&'static str, Throttle>>,
    slow: Throttle,
}

/// A record was kept as a dead letter.
#[derive(Clone, Copy, Debug)]
pub struct RecordDeadLettered<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub lane: Lane,
    /// Its place there.
    pub offset: Offset,
    /// Why.
    pub reason: DeadLetterReason,
}

impl RecordDeadLettered<'_> {
    /// Counts every one; writes at most one line a second, which says how many it stands for.
    pub fn emit(self, metrics: &Metrics) {
        if let Some(counter) = metrics.dead_letter(self.reason) {
            counter.inc();
        }
        let Some(left_out) = metrics.dead_letter_lines.pass() else {
            return;
        };
        tracing::warn!(
            topic = self.topic,
            partition = self.lane.0,
            offset = self.offset.0,
            reason = self.reason.as_str(),
            lines_left_out = left_out,
            "record dead-lettered"
        );
    }
}

/// A dependency answers (again).
#[derive(Clone, Copy, Debug)]
pub struct DependencyUp(pub Dependency);

impl DependencyUp {
    /// One line, and the gauge at 1.
    pub fn emit(self, metrics: &Metrics) {
        metrics.set_dependency_up(self.0, true);
        tracing::info!(dependency = self.0.as_str(), "dependency answers");
    }
}

/// A dependency does not answer.
#[derive(Clone, Copy, Debug)]
pub struct DependencyDown<'a> {
    /// Which.
    pub dependency: Dependency,
    /// What was seen.
    pub error: &'a str,
}

impl DependencyDown<'_> {
    /// One line, and the gauge at 0.
    pub fn emit(self, metrics: &Metrics) {
        metrics.set_dependency_up(self.dependency, false);
        tracing::warn!(
            dependency = self.dependency.as_str(),
            error = self.error,
            "dependency does not answer"
        );
    }
}

/// A request was answered with a status of 500 or more. Of each code one line a second is written, which says how many it stands for.
#[derive(Clone, Copy, Debug)]
pub struct RequestFailed<'a> {
    /// The id that the client was told.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The route's template, never the path.
    pub route: &'a str,
    /// The status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
    /// The text that the client was not told.
    pub error: &'a str,
}

impl RequestFailed<'_> {
    /// The counter, and one line if one is due.
    pub fn emit(self, metrics: &Metrics) {
        metrics.http_failed.with_label_values(&[self.code]).inc();
        let passed = metrics.request_lines.failed.lock().entry(self.code).or_default().pass();
        let Some(left_out) = passed else {
            return;
        };
        tracing::error!(
            request_id = self.request_id,
            method = self.method,
            route = self.route,
            status = self.status,
            code = self.code,
            error = self.error,
            lines_left_out = left_out,
            "request failed"
        );
    }
}

/// A request took long.
#[derive(Clone, Copy, Debug)]
pub struct RequestSlow<'a> {
    /// The id that the client was told.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The route's template, never the path.
    pub route: &'a str,
    /// The status.
    pub status: u16,
    /// How long.
    pub took_ms: u128,
}

impl RequestSlow<'_> {
    /// At most one line a second, which says how many it stands for.
    pub fn emit(self, metrics: &Metrics) {
        let Some(left_out) = metrics.request_lines.slow.pass() else {
            return;
        };
        let Self { request_id, method, route, status, took_ms } = self;
        tracing::warn!(
            request_id,
            method,
            route,
            status,
            took_ms,
            lines_left_out = left_out,
            "slow request"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::telemetry::lines::Lines;

    #[test]
    fn of_many_requests_that_fail_few_lines_are_written_which_count_the_others() {
        let (metrics, lines) = (Metrics::new().unwrap(), Lines::default());
        let written = || lines.text().matches("request failed").count();
        let failed = || {
            let failed = RequestFailed {
                request_id: "r1",
                method: "POST",
                route: "/api/contacts",
                status: 503,
                code: "OVERLOADED",
                error: "too many",
            };
            lines.of(|| failed.emit(&metrics));
        };
        let began = Instant::now();
        (0..200).for_each(|_| failed());
        // One, and one more for each second that this took.
        let most = 1 + began.elapsed().as_secs() as usize + 1;
        assert!((1..=most).contains(&written()), "{}", lines.text());
        assert_eq!(metrics.http_failed.with_label_values(&["OVERLOADED"]).get(), 200);
        let (before, mut more) = (written(), 0);
        while written() == before {
            assert!(began.elapsed() < Duration::from_secs(60), "no line any more");
            failed();
            more += 1;
        }
        let text = lines.text();
        let left_out = text.lines().filter_map(|line| line.split("lines_left_out=").nth(1));
        let left_out: u64 = left_out.map(|rest| rest.trim().parse::<u64>().unwrap()).sum();
        assert_eq!(left_out + written() as u64, 200 + more, "{text}");
    }
}
