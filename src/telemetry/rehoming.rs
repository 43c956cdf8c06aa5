//! Figures of records that are brought to their contact's home lane.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};

use super::registry::{Families, MetricsError, set};

/// How many were brought, and how many are still to be.
pub struct RehomingMetrics {
    brought: IntCounter,
    failures: IntCounter,
    owed: IntGauge,
    owed_now: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

/// Why records wait.
struct Trouble {
    why: String,
    /// Whether this instance does not have them all.
    is_lost: bool,
}

impl RehomingMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let counter = |name, help| {
            Ok::<_, MetricsError>(
                families.counters(name, help, &[])?.with_label_values::<&str>(&[]),
            )
        };
        Ok(Self {
            brought: counter(
                "contactd_rehoming_records_total",
                "Records of the contact log that this instance brought to their home partition.",
            )?,
            failures: counter(
                "contactd_rehoming_errors_total",
                "Failures to bring records home, each tried again.",
            )?,
            owed: families.gauge(
                "contactd_rehoming_owed_records",
                "Records of the contact log that are still to be brought to their home partition.",
            )?,
            owed_now: AtomicU64::new(0),
            trouble: Mutex::default(),
        })
    }

    /// One more is at home.
    pub fn brought(&self) {
        self.brought.inc();
    }

    /// One more failure, and why; `is_lost`: some of them are not here to be brought.
    pub fn failed(&self, why: &str, is_lost: bool) {
        self.failures.inc();
        *self.trouble.lock() = Some(Trouble { why: why.to_owned(), is_lost });
    }

    /// Nothing keeps it from going on.
    pub fn went_well(&self) {
        *self.trouble.lock() = None;
    }

    /// So many are to be brought.
    pub fn set_owed(&self, records: u64) {
        self.owed_now.store(records, Ordering::Relaxed);
        set(&self.owed, records);
    }

    /// What is worth knowing, if anything is.
    ///
    /// # Errors
    /// What must be done before this instance is whole.
    pub fn standing(&self) -> Result<Option<String>, String> {
        let trouble = self.trouble.lock();
        let why = trouble.as_ref().map(|trouble| trouble.why.clone());
        if trouble.as_ref().is_some_and(|trouble| trouble.is_lost) {
            return Err(why.unwrap_or_default());
        }
        let owed = match self.owed_now.load(Ordering::Relaxed) {
            0 => return Ok(why),
            owed => format!("{owed} records are to be brought to their home partition"),
        };
        Ok(Some(match why {
            Some(why) => format!("{owed}, and wait: {why}"),
            None => owed,
        }))
    }
}
