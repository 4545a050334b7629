//! Numbers as people read them: three significant digits at least, thousands grouped. Pure.

/// Three significant digits at least, whole numbers from 100 on, thousands grouped.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A value in its unit; one without a unit is a count, and whole.
pub fn in_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { grouped(value.round() as u64) } else { figure(value) }
}

/// Nanoseconds as microseconds, the unit of every latency.
pub(super) fn micros(ns: u64) -> String {
    figure(ns as f64 / 1_000.0)
}

/// `1,234,567`.
pub(in crate::bench) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The largest unit of time in which it is not below one: `250 ns`, `1.5 ms`, `10 s`.
pub(super) fn short_time(ns: f64) -> String {
    let (unit, size) = match ns {
        ns if ns < 999.5 => ("ns", 1.0),
        ns if ns < 999.5e3 => ("µs", 1e3),
        ns if ns < 999.5e6 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let value = ns / size;
    let digits = if value < 9.95 { 2 } else { usize::from(value < 99.5) };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_groups() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (45.67, "45.7"),
            (99.97, "100"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1_234.0, "-1,234"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!([0, 999, 1_000, 1_000_000].map(grouped), ["0", "999", "1,000", "1,000,000"]);
    }

    #[test]
    fn a_count_is_whole_and_a_measure_is_not() {
        assert_eq!([in_unit(3.0, ""), in_unit(3.0, "µs")], ["3", "3.00"]);
    }

    #[test]
    fn a_time_is_told_in_the_unit_that_fits() {
        for (ns, text) in [
            (250.0, "250 ns"),
            (1_000.0, "1 µs"),
            (1.5e6, "1.5 ms"),
            (99.96e6, "100 ms"),
            (999.9e6, "1 s"),
            (20e9, "20 s"),
        ] {
            assert_eq!(short_time(ns), text);
        }
    }
}
