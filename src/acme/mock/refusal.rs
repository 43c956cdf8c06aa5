//! Why the mock does not do what it is asked, as Acme's errors say it.

/// What is answered instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Of the answer.
    pub status: u16,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u64>,
    /// Said in HTML, as a proxy says it.
    pub is_html: bool,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, is_html: false }
    }

    /// A body, query or header that is not right.
    pub(super) fn bad_request(problem: impl Into<String>) -> Self {
        Self::new(400, "bad_request", problem)
    }

    pub(super) fn unauthorized(problem: &str) -> Self {
        let login = "log in by POST /acme/login with {\"apiKey\": …}";
        Self::new(401, "unauthorized", format!("{problem}; {login}"))
    }
}
