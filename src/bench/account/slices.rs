//! Latency over time, slice by slice. Pure. What is over is summed up at once, so that a run of any
//! length costs one histogram.

use super::NS_PER_MS;
use crate::bench::report::model::Slice;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Slices that a run is cut into: points of a picture as wide as a page.
const SLICES: u32 = 60;

/// The shortest slice; below, too little falls into one for a percentile.
const SLICE_MS_MIN: u64 = 20;

/// Slices that are kept at most: a run that takes longer than was thought goes on untold.
const SLICES_MAX: usize = 1_000;

/// What is told of the slice under way and those before it. `u64` sums, two digits.
pub(in crate::bench) struct Slices {
    length_ns: u64,
    now: Histogram<u64>,
    over: Vec<Slice>,
}

impl Slices {
    /// For a run that is thought to take so long.
    pub(in crate::bench) fn new(expected: Duration) -> Self {
        let length_ms = (expected / SLICES).as_millis() as u64;
        Slices {
            length_ns: length_ms.max(SLICE_MS_MIN) * NS_PER_MS,
            now: super::histogram(2),
            over: Vec::new(),
        }
    }

    /// One delivery, so long after the beginning. Time does not go backwards.
    pub(in crate::bench) fn record(&mut self, at_ns: u64, latency_ns: u64) {
        let index = (at_ns / self.length_ns) as usize;
        while self.over.len() < index.min(SLICES_MAX) {
            self.close();
        }
        self.now.saturating_record(latency_ns);
    }

    fn close(&mut self) {
        let quantile = |quantile| match self.now.len() {
            0 => 0,
            _ => self.now.value_at_quantile(quantile),
        };
        self.over.push(Slice {
            from_ms: self.over.len() as u64 * self.length_ns / NS_PER_MS,
            count: self.now.len(),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            max_ns: self.now.max(),
        });
        self.now.reset();
    }

    /// All slices, the last one as far as it came.
    pub(in crate::bench) fn finish(mut self) -> Vec<Slice> {
        if !self.now.is_empty() && self.over.len() < SLICES_MAX {
            self.close();
        }
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slice_has_its_own_and_an_empty_one_is_told_too() {
        let mut slices = Slices::new(Duration::from_secs(6));
        for (at_ms, latency_ns) in [(0, 1_000), (99, 3_000), (250, 5_000)] {
            slices.record(at_ms * NS_PER_MS, latency_ns);
        }
        let told = slices.finish();
        let counts: Vec<_> = told.iter().map(|slice| (slice.from_ms, slice.count)).collect();
        assert_eq!(counts, [(0, 2), (100, 0), (200, 1)]);
        assert!((3_000..3_100).contains(&told[0].max_ns) && told[1].max_ns == 0);
    }

    #[test]
    fn a_run_without_end_keeps_its_bound() {
        let mut slices = Slices::new(Duration::ZERO);
        slices.record(u64::MAX, 1);
        slices.record(u64::MAX, 1);
        assert_eq!(slices.finish().len(), SLICES_MAX);
    }
}
