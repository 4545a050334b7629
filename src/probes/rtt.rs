//! Round-trip times and their jitter. Pure.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// Longest time that is told apart, in ns: an hour, far over every timeout that makes sense.
const RTT_NS_MAX: u64 = 3_600_000_000_000;

/// Significant digits of a percentile.
const DIGITS: u8 = 3;

/// All times of a run, in no more memory than one.
pub(super) struct Rtts {
    histogram: Histogram<u64>,
    min: u64,
    max: u64,
    sum: u128,
}

/// The figures of the answers that came in time, in nanoseconds. Median and p99 have three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rtt {
    /// The shortest.
    pub min_ns: u64,
    /// As many are shorter as are longer.
    pub median_ns: u64,
    /// 99 of 100 are not longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// The mean.
    pub mean_ns: u64,
    /// Interarrival jitter, RFC 3550 section 6.4.1; of the host with the greatest where several
    /// answered.
    pub jitter_ns: u64,
}

impl Rtts {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, RTT_NS_MAX, DIGITS);
        Rtts {
            histogram: histogram.expect("the bounds are constants that hdrhistogram accepts"),
            min: u64::MAX,
            max: 0,
            sum: 0,
        }
    }

    pub(super) fn add(&mut self, rtt: Duration) {
        let rtt = nanoseconds(rtt);
        self.histogram.saturating_record(rtt);
        self.min = self.min.min(rtt);
        self.max = self.max.max(rtt);
        self.sum += u128::from(rtt);
    }

    /// `None` where nothing came.
    pub(super) fn figures(&self, jitter_ns: u64) -> Option<Rtt> {
        let len = self.histogram.len();
        // The histogram's own value stands for a range that may reach past the extremes.
        let at = |quantile| self.histogram.value_at_quantile(quantile).clamp(self.min, self.max);
        (len > 0).then(|| Rtt {
            min_ns: self.min,
            median_ns: at(0.5),
            p99_ns: at(0.99),
            max_ns: self.max,
            mean_ns: u64::try_from(self.sum / u128::from(len)).unwrap_or(u64::MAX),
            jitter_ns,
        })
    }
}

/// The estimate of RFC 3550, section 6.4.1: J += (|D| - J) / 16 for each answer but the first,
/// where D is the difference of the transit times of two answers in the order of their arrival. Our
/// transit is the round trip, and the unit is the nanosecond instead of a media clock's tick.
#[derive(Default)]
pub(super) struct Jitter {
    last: Option<Duration>,
    estimate_ns: f64,
}

impl Jitter {
    pub(super) fn add(&mut self, rtt: Duration) {
        if let Some(last) = self.last.replace(rtt) {
            let difference = nanoseconds(rtt.abs_diff(last)) as f64;
            self.estimate_ns += (difference - self.estimate_ns) / 16.0;
        }
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        self.estimate_ns.round() as u64
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: J = 0, then 16/16 = 1, then 1 + (8 - 1)/16 = 1.4375, then
    /// 1.4375 + (0 - 1.4375)/16 = 1.34765625, all in ms.
    #[test]
    fn jitter_is_that_of_a_sequence_worked_out_by_hand() {
        let mut jitter = Jitter::default();
        for (rtt_ms, expected_ns) in [(10, 0), (26, 1_000_000), (18, 1_437_500), (18, 1_347_656)] {
            jitter.add(Duration::from_millis(rtt_ms));
            assert_eq!(jitter.nanoseconds(), expected_ns);
        }
    }

    #[test]
    fn the_figures_are_those_of_the_times() {
        let mut rtts = Rtts::new();
        assert_eq!(rtts.figures(0), None);
        (1..=100).for_each(|ms| rtts.add(Duration::from_millis(ms)));
        let figures = rtts.figures(7).expect("there were some");
        assert_eq!((figures.min_ns, figures.max_ns), (1_000_000, 100_000_000));
        assert_eq!((figures.mean_ns, figures.jitter_ns), (50_500_000, 7));
        assert_eq!((figures.median_ns / 100_000, figures.p99_ns / 100_000), (500, 990));
    }
}
