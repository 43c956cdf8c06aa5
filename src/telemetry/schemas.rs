//! Figures of the schema registry.

use prometheus::{IntCounter, IntGaugeVec};

use super::registry::{Families, MetricsError, set};

/// What a request for a schema brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaAnswer {
    /// A schema.
    Schema = 0,
    /// A schema that nothing can be read by.
    Unusable,
    /// That there is none.
    Unknown,
    /// Nothing, or nothing that a registry says.
    Failed,
}

impl SchemaAnswer {
    const ALL: [Self; 4] = [Self::Schema, Self::Unusable, Self::Unknown, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Unusable => "unusable",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// Requests by what they brought, and what is kept.
pub struct SchemaMetrics {
    requests: Vec<IntCounter>,
    kept: IntGaugeVec,
}

impl SchemaMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let requests = families.counters(
            "contactd_schema_registry_requests_total",
            "Schemas that the registry was asked for by its answer: schema, unusable, unknown, failed (asked again).",
            &["result"],
        )?;
        Ok(Self {
            requests: SchemaAnswer::ALL
                .iter()
                .map(|answer| requests.with_label_values(&[answer.as_str()]))
                .collect(),
            kept: families.gauges(
                "contactd_schema_registry_schemas",
                "Schemas of the registry that are kept; not there without a registry.",
                &[],
            )?,
        })
    }

    /// One more answer.
    pub fn answered(&self, answer: SchemaAnswer) {
        if let Some(counter) = self.requests.get(answer as usize) {
            counter.inc();
        }
    }

    /// So many are kept.
    pub fn set_kept(&self, schemas: usize) {
        set(&self.kept.with_label_values::<&str>(&[]), schemas as u64);
    }
}
