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
