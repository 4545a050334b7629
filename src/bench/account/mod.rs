//! What became of it: losses, order, latency, and what it cost. What must not be here: what is
//! sent and when (`load`).

pub(in crate::bench) mod checker;
pub(in crate::bench) mod flights;
pub(in crate::bench) mod measure;
pub(in crate::bench) mod slices;
pub(in crate::bench) mod watch;

use hdrhistogram::Histogram;

pub(in crate::bench) const NS_PER_MS: u64 = 1_000_000;

/// Longest latency that is told apart, in ns: an hour, far over every deadline here.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Significant digits of a latency. Three are what a repeated run can reproduce at best.
pub(in crate::bench) const DIGITS: u8 = 3;

/// Empty, for times in ns.
pub(in crate::bench) fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, digits)
        .expect("the bounds are constants that hdrhistogram accepts")
}
