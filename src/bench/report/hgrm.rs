//! A curve as HdrHistogram's percentile text, which the plotters for it read: one line a point, and
//! a tail of comments. Values are in µs; the tail says so. Pure.
//!
//! The form is that of `outputPercentileDistribution` of HdrHistogram, which wrk2 prints too.

use super::model::Curve;
use std::fmt::Write;

/// The whole text of one curve.
pub fn hgrm(curve: &Curve) -> String {
    let micros = |ns: f64| ns / 1_000.0;
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for point in &curve.points {
        let value = micros(point.value_ns as f64);
        // Writing to a String does not fail.
        let _ = write!(out, "{value:>12.3} {:>14.12} {:>10}", point.quantile, point.count);
        // At the greatest it would be a division by zero; the form leaves it out there.
        let _ = match point.quantile {
            quantile if quantile < 1.0 => writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)),
            _ => writeln!(out),
        };
    }
    let max = micros(curve.at(1.0) as f64);
    let (mean, stdev) = (micros(curve.mean_ns), micros(curve.stdev_ns));
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {stdev:>12.3}]");
    let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {:>12}]", curve.count);
    let _ = writeln!(out, "#[Unit    = {:>12}, Curve          = {:>12}]", "µs", curve.name);
    out
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn the_text_is_that_of_hdrhistogram() {
        let mut curve = example::report().curves.swap_remove(0);
        curve.points.drain(1..6);
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)

      70.000 0.000000000000          1           1.00
  199900.000 0.999950000000      49998       20000.00
  200000.000 1.000000000000      50000
#[Mean    =     1234.567, StdDeviation   =       98.765]
#[Max     =   200000.000, Total count    =        50000]
#[Unit    =           µs, Curve          =     intended]
";
        assert_eq!(hgrm(&curve), expected);
    }

    /// What plotters do: four numbers a line are a point, `#` is passed over.
    #[test]
    fn every_line_of_a_point_has_four_numbers_but_the_last() {
        let text = hgrm(&example::report().curves[0]);
        let points: Vec<Vec<f64>> = text
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert_eq!(points.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 4, 4, 4, 4, 3]);
    }
}
