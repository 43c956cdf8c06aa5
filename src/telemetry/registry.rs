//! One registry, and short words for registering a family in it.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Upper bounds in seconds of the stable OpenTelemetry HTTP histogram.
pub(super) const HTTP_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// For what takes from 10 µs to seconds.
pub(super) const STAGE_SECONDS: [f64; 14] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];
/// For records in a batch.
pub(super) const BATCH_RECORDS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0];

/// A family that can't be registered: a name used twice, or one that Prometheus does not allow.
#[derive(Debug, thiserror::Error)]
#[error("a metric can't be registered: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// What there is to say of a family.
#[derive(Clone, Debug)]
pub struct FamilyInfo {
    /// Its name in the text format.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// A sentence.
    pub help: String,
}

/// Registers families, and remembers what there is to say of them.
pub(super) struct Families<'a> {
    registry: &'a Registry,
    infos: RefCell<Vec<FamilyInfo>>,
}

impl<'a> Families<'a> {
    pub(super) fn of(registry: &'a Registry) -> Self {
        Self { registry, infos: RefCell::default() }
    }

    /// Of every family that was registered.
    pub(super) fn into_infos(self) -> Vec<FamilyInfo> {
        self.infos.into_inner()
    }

    fn registered<C: Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        family: C,
    ) -> Result<C, MetricsError> {
        self.registry.register(Box::new(family.clone()))?;
        self.infos.borrow_mut().extend(family.desc().into_iter().map(|of| FamilyInfo {
            name: of.fq_name.clone(),
            kind,
            labels: of.variable_labels.clone(),
            help: of.help.clone(),
        }));
        Ok(family)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        self.registered("counter", IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.registered("counter", IntCounter::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.registered("gauge", IntGauge::new(name, help)?)
    }

    pub(super) fn seconds_gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.registered("gauge", Gauge::new(name, help)?)
    }

    pub(super) fn ratio_gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.registered("gauge", Gauge::new(name, help)?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, MetricsError> {
        self.registered("gauge", IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, MetricsError> {
        self.registered("gauge", GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Histogram, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.registered("histogram", Histogram::with_opts(options)?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.registered("histogram", HistogramVec::new(options, labels)?)
    }
}

pub(super) fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
