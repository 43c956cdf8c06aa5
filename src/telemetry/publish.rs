//! The producer's figures, by topic.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::registry::{Families, HTTP_SECONDS, MetricsError};

/// The families; the children come with the topic, once it is known.
pub(super) struct PublishFamilies {
    duration: HistogramVec,
    published: IntCounterVec,
    errors: IntCounterVec,
    pub(super) queue_messages: IntGauge,
    pub(super) queue_bytes: IntGauge,
}

impl PublishFamilies {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            duration: families.histograms(
                "contactd_publish_duration_seconds",
                "From append to acknowledged.",
                &["topic"],
                &HTTP_SECONDS,
            )?,
            published: families.counters(
                "contactd_events_published_total",
                "Records appended to a log and acknowledged.",
                &["topic"],
            )?,
            errors: families.counters(
                "contactd_publish_errors_total",
                "Records that could not be appended.",
                &["topic", "reason"],
            )?,
            queue_messages: families.gauge(
                "contactd_producer_queue_messages",
                "Messages waiting in the producer.",
            )?,
            queue_bytes: families.gauge(
                "contactd_producer_queue_bytes",
                "Bytes waiting in the producer.",
            )?,
        })
    }

    pub(super) fn topic(&self, topic: &str) -> PublishMetrics {
        for reason in PublishMetrics::REASONS {
            self.errors.with_label_values(&[topic, reason]);
        }
        PublishMetrics {
            duration: self.duration.with_label_values(&[topic]),
            published: self.published.with_label_values(&[topic]),
            errors: self.errors.clone(),
            topic: topic.to_owned(),
        }
    }
}

/// One topic's producer figures, resolved once.
pub struct PublishMetrics {
    /// Append → acknowledged, in seconds.
    pub duration: Histogram,
    /// Records acknowledged.
    pub published: IntCounter,
    /// Records given up, by reason.
    errors: IntCounterVec,
    topic: String,
}

impl PublishMetrics {
    /// Why a record was given up; the reasons are few and fixed.
    pub const REASONS: [&'static str; 5] =
        ["queue_full", "timeout", "too_large", "denied", "other"];

    /// Counts a record that was given up; a reason that is none of [`Self::REASONS`] is `other`.
    pub fn failed(&self, reason: &str) {
        let reason = Self::REASONS
            .iter()
            .find(|known| **known == reason)
            .unwrap_or(&"other");
        self.errors
            .with_label_values(&[self.topic.as_str(), reason])
            .inc();
    }
}
