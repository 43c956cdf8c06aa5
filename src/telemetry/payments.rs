//! Payments' figures.

use std::collections::BTreeMap;

use prometheus::{IntCounter, IntGauge};

use crate::domain::payment::PaymentStatus;

use super::registry::{Families, MetricsError, set};

/// What the gateway answers.
const ANSWERS: [&str; 4] = ["paid", "declined", "to_be_confirmed", "no_answer"];

/// Payments' figures; cheap to clone.
#[derive(Clone, Debug)]
pub struct PaymentMetrics {
    answers: Vec<(&'static str, IntCounter)>,
    payments: Vec<(PaymentStatus, IntGauge)>,
}

impl PaymentMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let answers = families.counters(
            "contactd_gateway_answers_total",
            "Answers of the payment gateway, by what it said.",
            &["answer"],
        )?;
        let payments =
            families.gauges("contactd_store_payments", "Payments by status.", &["status"])?;
        let status = |status: PaymentStatus| {
            let name = status.as_str().to_ascii_lowercase();
            (status, payments.with_label_values(&[name.as_str()]))
        };
        Ok(Self {
            answers: ANSWERS.map(|answer| (answer, answers.with_label_values(&[answer]))).to_vec(),
            payments: PaymentStatus::ALL.map(status).to_vec(),
        })
    }

    /// Counts an answer.
    pub fn answered(&self, answer: &str) {
        if let Some((_, counter)) = self.answers.iter().find(|(known, _)| *known == answer) {
            counter.inc();
        }
    }

    /// How many there are, as a scrape finds them.
    pub fn set_payments(&self, counts: &BTreeMap<PaymentStatus, u64>) {
        for (status, gauge) in &self.payments {
            set(gauge, counts.get(status).copied().unwrap_or(0));
        }
    }
}
