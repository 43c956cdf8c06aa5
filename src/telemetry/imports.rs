//! Figures of files that are imported.

use prometheus::{IntCounter, IntGauge};

use super::registry::{Families, MetricsError};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportVerdict {
    /// A contact came to be by it.
    Created = 0,
    /// It changed a contact.
    Changed,
    /// The contact says that already.
    Unchanged,
    /// The contact has newer values.
    Stale,
    /// An earlier row says the same.
    Duplicate,
    /// It was not taken.
    Refused,
}

impl ImportVerdict {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Changed,
        Self::Unchanged,
        Self::Stale,
        Self::Duplicate,
        Self::Refused,
    ];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }
}

/// Figures of imports; cheap to clone.
#[derive(Clone, Debug)]
pub struct ImportMetrics {
    rows: Vec<IntCounter>,
    running: IntGauge,
}

impl ImportMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let rows = families.counters(
            "contactd_import_rows_total",
            "Rows of imported files by what became of them; dry runs are not counted.",
            &["verdict"],
        )?;
        let of = |verdict: &ImportVerdict| rows.with_label_values(&[verdict.as_str()]);
        Ok(Self {
            rows: ImportVerdict::ALL.iter().map(of).collect(),
            running: families
                .gauge("contactd_imports_running", "Imports that this instance works on.")?,
        })
    }

    /// A row is done with.
    pub fn row(&self, verdict: ImportVerdict) {
        if let Some(counter) = self.rows.get(verdict as usize) {
            counter.inc();
        }
    }

    /// So many are worked on now.
    pub fn set_running(&self, running: i64) {
        self.running.set(running);
    }
}
