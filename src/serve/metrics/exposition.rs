//! A snapshot in the text form of OpenMetrics, by the crate prometheus-client; pure. `/metrics` is
//! all of it, `/stats all` its samples.

use super::snapshot::Snapshot;
use super::table::{Kind, Metric, PREFIX, Value, metrics};
use crate::histogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// The form's name, for the answer's head.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics, with what they mean, and `# EOF`. Some 8 KiB.
pub(crate) fn exposition(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::with_capacity(16 * 1024);
    // A String takes all that is written.
    let _ = text::encode(&mut text, &registry);
    text
}

/// The samples alone, a line each without its ending: a name, a space, a number.
pub(crate) fn samples(snapshot: Snapshot) -> Vec<String> {
    let text = exposition(snapshot);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in metrics() {
            let value = (metric.read)(self);
            if value == Value::NotTold {
                continue;
            }
            let name = format!("{PREFIX}{}", metric.name());
            let unit = (!metric.unit.is_empty()).then(|| Unit::Other(metric.unit.to_owned()));
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let family = encoder.encode_descriptor(&name, metric.help, unit.as_ref(), kind)?;
            encode(metric, value, family)?;
        }
        Ok(())
    }
}

fn encode(metric: &Metric, value: Value, mut family: MetricEncoder<'_>) -> Result<(), fmt::Error> {
    let one = |number: u64, family: MetricEncoder<'_>| match metric.kind {
        Kind::Counter => ConstCounter::new(number).encode(family),
        Kind::Gauge | Kind::Histogram => ConstGauge::new(number).encode(family),
    };
    match value {
        Value::Number(number) => one(number, family),
        Value::Micros(us) => ConstGauge::new(us as f64 / 1e6).encode(family),
        Value::By(label, values) => values
            .into_iter()
            .try_for_each(|(name, number)| one(number, family.encode_family(&[(label, name)])?)),
        Value::Times(histogram) => encode_times(&histogram, family),
        Value::NotTold => Ok(()),
    }
}

fn encode_times(histogram: &Histogram, mut family: MetricEncoder<'_>) -> Result<(), fmt::Error> {
    let bound =
        |bound: Option<std::time::Duration>| bound.map_or(f64::INFINITY, |b| b.as_secs_f64());
    let buckets: Vec<(f64, u64)> =
        histogram.buckets().map(|(upper, count)| (bound(upper), count)).collect();
    let (sum, count) = (histogram.sum().as_secs_f64(), histogram.count());
    family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
