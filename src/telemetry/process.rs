//! Figures of the process as a whole: what a probe asks for, for those who only look at metrics.

use prometheus::{GaugeVec, IntGauge};

use super::registry::{Families, MetricsError};

/// Whether the instance is ready, and how long its certificate is good.
pub struct ProcessMetrics {
    ready: IntGauge,
    certificate: GaugeVec,
}

impl ProcessMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            ready: families.gauge(
                "contactd_ready",
                "1 while /readyz is 200, else 0; /readyz?verbose says why.",
            )?,
            certificate: families.float_gauges(
                "contactd_tls_certificate_not_after_timestamp_seconds",
                "Until when the certificates that are shown to clients are good, in Unix time: the first of them to end; not there without TLS.",
                &[],
            )?,
        })
    }

    /// Sets whether every part is ready.
    pub fn set_ready(&self, is_ready: bool) {
        self.ready.set(i64::from(is_ready));
    }

    /// Sets when the first certificate of the chain ends.
    #[expect(clippy::cast_precision_loss, reason = "seconds of this millennium are exact")]
    pub fn set_certificate_end(&self, unix_seconds: i64) {
        let nothing: [&str; 0] = [];
        self.certificate.with_label_values(&nothing).set(unix_seconds as f64);
    }
}
