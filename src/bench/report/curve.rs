//! From a histogram to a [`Curve`], and the percentiles of one. Pure.

use super::model::{Curve, Point};
use hdrhistogram::Histogram;

/// The percentiles that every form shows, as they are written and as quantiles; the greatest last.
pub(super) const SHOWN: [(&str, f64); 6] = [
    ("50 %", 0.5),
    ("90 %", 0.9),
    ("99 %", 0.99),
    ("99.9 %", 0.999),
    ("99.99 %", 0.9999),
    ("max", 1.0),
];

/// Points from each quantile to the one halfway to 1: ten are a smooth curve on a page, and a
/// billion latencies come to 300 points.
const POINTS_PER_HALVING: u32 = 10;

impl Curve {
    /// The curve of what `histogram` recorded, in ns.
    pub fn of(name: &str, histogram: Histogram<u64>) -> Self {
        let count = histogram.len();
        let mut points = Vec::new();
        let mut recorded = histogram.iter_recorded().peekable();
        let (mut value_ns, mut below) = (0, 0);
        for quantile in quantiles(count) {
            // The rank of nothing is the first: quantile 0 is the least that was recorded.
            let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count);
            while below < rank
                && let Some(step) = recorded.next()
            {
                value_ns = step.value_iterated_to();
                below += step.count_since_last_iteration();
            }
            points.push(Point { quantile, value_ns, count: below });
        }
        Curve {
            name: name.to_owned(),
            count,
            mean_ns: histogram.mean(),
            stdev_ns: histogram.stdev(),
            points,
            histogram: Some(histogram),
        }
    }

    /// The latency that a share of `quantile` did not exceed, in ns; 0 where nothing was recorded.
    pub fn at(&self, quantile: f64) -> u64 {
        let point = self.points.iter().find(|point| point.quantile >= quantile);
        point.or(self.points.last()).map_or(0, |point| point.value_ns)
    }
}

/// Quantiles from 0 to 1, rising, finer towards 1, as far as `count` values can tell them apart;
/// those that are shown are among them.
fn quantiles(count: u64) -> Vec<f64> {
    if count == 0 {
        return Vec::new();
    }
    let mut quantiles: Vec<f64> = SHOWN.iter().map(|&(_, quantile)| quantile).collect();
    let mut left = 1.0;
    while left * count as f64 >= 1.0 {
        let step = left / 2.0 / f64::from(POINTS_PER_HALVING);
        quantiles.extend((0..POINTS_PER_HALVING).map(|n| 1.0 - left + step * f64::from(n)));
        left /= 2.0;
    }
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    quantiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        values.into_iter().for_each(|value| histogram.record(value).unwrap());
        histogram
    }

    #[test]
    fn a_curve_has_the_percentiles_that_are_shown_to_three_digits() {
        let curve = Curve::of("intended", histogram((1..=10_000).map(|n| n * 1_000)));
        for (_, quantile) in SHOWN {
            let (exact, got) = (quantile * 1e7, curve.at(quantile) as f64);
            assert!((got / exact - 1.0).abs() < 0.001, "{quantile}: {got} ns for {exact}");
        }
    }

    #[test]
    fn a_curve_rises_from_the_least_to_the_greatest() {
        let curve = Curve::of("intended", histogram([5, 7, 7, 900, 12]));
        let (first, last) = (curve.points[0], *curve.points.last().unwrap());
        assert_eq!((first.quantile, first.value_ns, first.count), (0.0, 5, 1));
        assert_eq!((last.quantile, last.value_ns, last.count), (1.0, 900, 5));
        assert!(curve.points.is_sorted_by_key(|point| point.value_ns));
        assert!(curve.points.is_sorted_by(|a, b| a.quantile < b.quantile));
    }

    #[test]
    fn nothing_recorded_is_a_curve_without_points() {
        let curve = Curve::of("intended", histogram([]));
        assert!(curve.points.is_empty());
        assert_eq!(curve.at(0.99), 0);
    }
}
