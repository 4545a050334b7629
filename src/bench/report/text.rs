//! A report as text for a terminal: one figure a line, with its unit. Pure.

use super::model::Report;
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        write!(f, "{} cores, {}", machine.cores, machine.kernel)?;
        if !machine.congestion.is_empty() {
            write!(f, ", tcp {}", machine.congestion)?;
        }
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let settings = settings.join(", ");
        writeln!(f, "; server: {}; {}: {settings}", self.server, self.scenario)?;
        let values: Vec<String> = self.figures.iter().map(|row| figure(row.value)).collect();
        let label = self.figures.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        let value = values.iter().map(String::len).max().unwrap_or(0);
        for (row, text) in self.figures.iter().zip(&values) {
            let line = format!("{:label$}  {text:>value$} {}", row.label, row.unit);
            writeln!(f, "{}", line.trim_end())?;
        }
        let verdict = &self.verdict;
        for (word, lines) in [
            ("note", &verdict.notes),
            ("INVALID", &verdict.invalid),
            ("fault", &verdict.faults),
            ("broken", &verdict.broken_slos),
        ] {
            for line in lines {
                writeln!(f, "{word}: {line}")?;
            }
        }
        if verdict.is_good() {
            writeln!(f, "everything came whole, once and in order")
        } else {
            Ok(())
        }
    }
}

/// Three significant digits at least, whole numbers from 100 on, thousands grouped.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 || value.fract() == 0.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_groups() {
        for (value, text) in [
            (0.0, "0"),
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
}
