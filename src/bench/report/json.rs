//! A report as JSON, and back. The form is public: docs/bench.schema.json describes it.

use super::model::{Report, VERSION};
use serde::Deserialize;

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not the fields.
    #[error("not a bench report: {0}")]
    NoReport(#[from] serde_json::Error),
    /// Another form than ours.
    #[error("its form is version {0}; this program reads version {VERSION}")]
    Version(u64),
}

/// One object on many lines, with a newline at its end. Figures must be finite: JSON has no word for
/// others, and they would not come back.
pub fn to_json(report: &Report) -> String {
    // Fails for maps whose keys are no text, and for writers that fail: there is neither.
    let text = serde_json::to_string_pretty(report).expect("a report is plain data");
    text + "\n"
}

/// What [`to_json`] wrote. Fields that are not known are passed over: a new one is no break.
pub fn from_json(text: &str) -> Result<Report, Error> {
    #[derive(Deserialize)]
    struct Head {
        version: u64,
    }
    // First, so that another version is told as such and not as a missing field.
    let head: Head = serde_json::from_str(text)?;
    if head.version != u64::from(VERSION) {
        return Err(Error::Version(head.version));
    }
    Ok(serde_json::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_report_comes_back_as_it_was() {
        for report in [example::report(), example::invalid_report()] {
            assert_eq!(from_json(&to_json(&report)).unwrap(), report);
        }
    }

    #[test]
    fn another_version_is_told_even_where_its_fields_are_others() {
        let error = from_json(r#"{"version": 2, "all": "different"}"#).unwrap_err().to_string();
        assert_eq!(error, "its form is version 2; this program reads version 1");
    }

    #[test]
    fn what_is_no_report_is_refused_in_one_line() {
        for text in ["", "[]", "{}", r#"{"version": 1}"#, r#"{"version": "1"}"#, "\0"] {
            let error = from_json(text).unwrap_err().to_string();
            assert!(error.starts_with("not a bench report: ") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_new_field_is_no_break() {
        let json = to_json(&example::report()).replacen('{', "{\"new\": [1, 2],", 1);
        assert_eq!(from_json(&json).unwrap(), example::report());
    }

    #[test]
    fn histograms_are_left_out() {
        assert!(!to_json(&example::report()).contains("histogram"));
    }
}
