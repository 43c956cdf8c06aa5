//! Figures and events of signing in and being let in.

use std::path::Path;

use prometheus::{IntCounter, IntGauge};

use super::metrics::Metrics;
use super::registry::{Families, MetricsError};

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Signed in.
    Success,
    /// Wrong name or password.
    InvalidCredentials,
    /// Too many attempts on the account.
    Limited,
    /// Too many at once.
    Overloaded,
    /// No room for more of them.
    Full,
    /// The log could not keep it.
    Unavailable,
    /// Our fault.
    Failed,
}

impl LoginOutcome {
    /// Every one, by its number.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::InvalidCredentials,
        Self::Limited,
        Self::Overloaded,
        Self::Full,
        Self::Unavailable,
        Self::Failed,
    ];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::InvalidCredentials => "invalid_credentials",
            Self::Limited => "limited",
            Self::Overloaded => "overloaded",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// Reasons for which a request's credentials are refused.
const REJECTED: [&str; 10] = [
    "missing",
    "ambiguous",
    "malformed",
    "invalid_token",
    "expired_token",
    "revoked_token",
    "outdated_token",
    "unknown_key",
    "expired_key",
    "forbidden",
];

/// How a refresh ended.
const REFRESHES: [&str; 4] = ["success", "rejected", "reused", "unavailable"];

/// Children resolved once.
pub struct AuthMetrics {
    logins: Vec<IntCounter>,
    rejected: Vec<IntCounter>,
    refreshes: Vec<IntCounter>,
    users_file_good: IntGauge,
}

impl AuthMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let logins = families.counters(
            "contactd_auth_logins_total",
            "Sign-ins by how they ended.",
            &["result"],
        )?;
        let rejected = families.counters(
            "contactd_auth_rejected_total",
            "Requests whose credentials were refused, by reason.",
            &["reason"],
        )?;
        let refreshes = families.counters(
            "contactd_auth_refreshes_total",
            "Refreshes of access tokens by how they ended; reused means a stolen token or a broken client.",
            &["result"],
        )?;
        let users_file_good = families.gauge(
            "contactd_auth_users_file_good",
            "1 while the file of users is in force as it stands, 0 while an earlier version is.",
        )?;
        users_file_good.set(1);
        Ok(Self {
            logins: LoginOutcome::ALL
                .iter()
                .map(|outcome| logins.with_label_values(&[outcome.as_str()]))
                .collect(),
            rejected: REJECTED
                .iter()
                .map(|reason| rejected.with_label_values(&[*reason]))
                .collect(),
            refreshes: REFRESHES
                .iter()
                .map(|result| refreshes.with_label_values(&[*result]))
                .collect(),
            users_file_good,
        })
    }

    /// A sign-in ended.
    pub fn login(&self, outcome: LoginOutcome) {
        if let Some(counter) = self.logins.get(outcome as usize) {
            counter.inc();
        }
    }

    /// A request's credentials were refused.
    pub fn rejected(&self, reason: &str) {
        count(&REJECTED, &self.rejected, reason);
    }

    /// A refresh ended.
    pub fn refreshed(&self, result: &str) {
        count(&REFRESHES, &self.refreshes, result);
    }
}

fn count(words: &[&str], counters: &[IntCounter], word: &str) {
    let place = words.iter().position(|known| *known == word);
    if let Some(counter) = place.and_then(|place| counters.get(place)) {
        counter.inc();
    }
}

/// A new version of the file of users is in force.
#[derive(Clone, Copy, Debug)]
pub struct UsersFileRead<'a> {
    /// The file.
    pub path: &'a Path,
}

impl UsersFileRead<'_> {
    /// One line, and the gauge at 1.
    pub fn emit(self, metrics: &Metrics) {
        metrics.auth.users_file_good.set(1);
        tracing::info!(path = %self.path.display(), "users and keys read again");
    }
}

/// The file of users can't be read; what was read before stays in force.
#[derive(Clone, Copy, Debug)]
pub struct UsersFileBad<'a> {
    /// What is wrong with it; never what stands in it.
    pub error: &'a str,
}

impl UsersFileBad<'_> {
    /// One line, and the gauge at 0.
    pub fn emit(self, metrics: &Metrics) {
        metrics.auth.users_file_good.set(0);
        tracing::error!(
            error = self.error,
            "users and keys not read again; the last good ones stay"
        );
    }
}
