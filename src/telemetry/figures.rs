//! All figures at one moment, by name: for what shows them to people rather than to Prometheus.

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// What `/metrics` would show.
pub struct Figures(Vec<MetricFamily>);

impl Figures {
    pub(super) fn of(families: Vec<MetricFamily>) -> Self {
        Self(families)
    }

    fn series(&self, name: &str) -> &[Metric] {
        let found = self.0.iter().find(|family| family.name() == name);
        found.map_or(&[], MetricFamily::get_metric)
    }

    fn kind(&self, name: &str) -> Option<MetricType> {
        let found = self.0.iter().find(|family| family.name() == name);
        found.map(MetricFamily::get_field_type)
    }

    /// Every series of a counter or gauge with the value of one of its labels.
    pub fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let is_counter = self.kind(name) == Some(MetricType::COUNTER);
        let one = |series: &Metric| {
            let figure = if is_counter {
                series.get_counter().get_value()
            } else {
                series.get_gauge().get_value()
            };
            (value_of(series, label).to_owned(), figure)
        };
        self.series(name).iter().map(one).collect()
    }

    /// Those of them alone in which another label has this value.
    pub fn by_within(&self, name: &str, label: &str, within: (&str, &str)) -> Vec<(String, f64)> {
        let all = self.by(name, label).into_iter().zip(self.series(name));
        let those = all.filter(|(_, series)| value_of(series, within.0) == within.1);
        those.map(|(figure, _)| figure).collect()
    }

    /// The sum over all series; none where there is none, or one is not known.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let values = self.by(name, "").into_iter().map(|(_, value)| value);
        values.reduce(|one, other| one + other).filter(|sum| !sum.is_nan())
    }

    /// A histogram's upper bounds, each with how many were at or below it, over all series; the last is
    /// infinite.
    pub fn buckets(&self, name: &str) -> Vec<(f64, u64)> {
        let mut all: Vec<(f64, u64)> = Vec::new();
        for series in self.series(name) {
            let histogram = series.get_histogram();
            let own = histogram.get_bucket().iter();
            let own = own.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
            let own = own.chain([(f64::INFINITY, histogram.get_sample_count())]);
            if all.is_empty() {
                all = own.collect();
            } else {
                all.iter_mut().zip(own).for_each(|(sum, (_, count))| sum.1 += count);
            }
        }
        all
    }
}

fn value_of<'s>(series: &'s Metric, label: &str) -> &'s str {
    let found = series.get_label().iter().find(|pair| pair.name() == label);
    found.map_or("", |pair| pair.value())
}

#[cfg(test)]
mod tests {
    use crate::domain::verdict::Verdict;
    use crate::telemetry::Metrics;

    #[test]
    fn figures_are_found_by_name_and_unknown_ones_are_none() {
        let metrics = Metrics::new().unwrap();
        metrics.verdict(Verdict::Applied).unwrap().inc_by(3);
        metrics.end_to_end.observe(0.02);
        let _lanes = metrics.lanes("contacts", 2);
        let figures = metrics.figures();
        let verdicts = figures.by("contactd_events_applied_total", "result");
        assert!(verdicts.contains(&("applied".to_owned(), 3.0)));
        assert_eq!(figures.sum("contactd_events_applied_total"), Some(3.0));
        assert_eq!(figures.sum("contactd_consumer_lag_records"), None);
        let lags = |topic| {
            figures.by_within("contactd_consumer_lag_records", "partition", ("topic", topic)).len()
        };
        assert_eq!((lags("contacts"), lags("others")), (2, 0));
        assert_eq!(figures.sum("contactd_none"), None);
        let buckets = figures.buckets("contactd_event_end_to_end_seconds");
        assert_eq!(buckets.first(), Some(&(0.005, 0)));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1)));
    }
}
