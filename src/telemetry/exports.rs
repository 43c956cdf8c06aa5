//! Figures of exports.

use prometheus::IntCounterVec;

use super::registry::{Families, MetricsError};

/// The formats.
const FORMATS: [&str; 3] = ["csv", "ndjson", "vcard"];

/// How an export ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportEnd {
    /// All was sent.
    Whole,
    /// The client went, or may not have it any more.
    Gone,
    /// The store failed.
    Failed,
}

impl ExportEnd {
    const ALL: [Self; 3] = [Self::Whole, Self::Gone, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

/// Figures of exports; cheap to clone.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    ended: IntCounterVec,
    contacts: IntCounterVec,
}

impl ExportMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let metrics = Self {
            ended: families.counters(
                "contactd_exports_total",
                "Exports that have ended: whole, gone (the client went) or failed.",
                &["format", "end"],
            )?,
            contacts: families.counters(
                "contactd_exported_contacts_total",
                "Contacts written by exports.",
                &["format"],
            )?,
        };
        for format in FORMATS {
            metrics.contacts(format, 0);
            for end in ExportEnd::ALL {
                metrics.ended.with_label_values(&[format, end.as_str()]);
            }
        }
        Ok(metrics)
    }

    /// Counts an export that has ended.
    pub fn ended(&self, format: &str, end: ExportEnd) {
        self.ended.with_label_values(&[format, end.as_str()]).inc();
    }

    /// Adds contacts that were written.
    pub fn contacts(&self, format: &str, count: u64) {
        self.contacts.with_label_values(&[format]).inc_by(count);
    }
}
