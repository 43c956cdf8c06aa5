//! One try to deliver a message over HTTP, as it is shown to people.

use std::time::Duration;

/// One try.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it began, in ms since 1970.
    pub at_ms: u64,
    /// The status that was answered.
    pub status: Option<u16>,
    /// Milliseconds until the answer was read, or until it failed.
    pub latency_ms: f64,
    /// The beginning of the answer's body.
    pub response: Option<String>,
    /// Whether there was more of it.
    pub response_is_cut: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// Milliseconds until the next attempt, where there is one.
    pub retry_in_ms: Option<u64>,
}

impl Attempt {
    /// One that was not sent, or not answered so far.
    pub(super) fn unanswered(at_ms: u64, error: Option<String>) -> Self {
        Self {
            at_ms,
            status: None,
            latency_ms: 0.0,
            response: None,
            response_is_cut: false,
            error,
            retry_in_ms: None,
        }
    }

    /// So long it took.
    pub(super) fn after(self, latency: Duration) -> Self {
        Self { latency_ms: (latency.as_secs_f64() * 1e6).round() / 1e3, ..self }
    }
}
