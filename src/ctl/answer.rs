//! An answer of the control socket, as it is understood and as `--json` writes it; pure. The form is
//! public: docs/ctl.schema.json.

use crate::serve::control::{OK, REFUSED};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the form. New fields may come; one that goes or changes its meaning raises it.
const VERSION: u32 = 1;

/// What the server said to one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its lines, without the `* ` of notices.
    pub lines: Vec<String>,
    /// It ended with `ok`.
    pub obeyed: bool,
}

impl Answer {
    /// Whether the order was obeyed, where this line, without its ending, ends an answer.
    pub(super) fn end(line: &str) -> Option<bool> {
        match line {
            OK => Some(true),
            REFUSED => Some(false),
            _ => None,
        }
    }
}

/// One line of an answer, without the mark of a notice and without its ending.
pub(super) fn text(line: &str) -> &str {
    let line = line.trim_end_matches(['\n', '\r']);
    line.strip_prefix("* ").unwrap_or(line)
}

/// What is asked for a program: counters by name.
pub(super) fn asked_as(order: &str) -> &str {
    match word(order) {
        "stats" => "stats all",
        _ => order,
    }
}

fn word(order: &str) -> &str {
    let order = order.strip_prefix('/').unwrap_or(order);
    if order.eq_ignore_ascii_case("stats") { "stats" } else { order }
}

/// A sample's value; of a metric that is counted by a label one for each of the label's values.
#[derive(Debug, Serialize, PartialEq)]
#[serde(untagged)]
enum Sample {
    Whole(u64),
    Number(f64),
    By(BTreeMap<String, Sample>),
}

#[derive(Serialize)]
struct Object<'a> {
    version: u32,
    order: &'a str,
    obeyed: bool,
    lines: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<BTreeMap<String, Sample>>,
}

/// One object on one line. Of `stats` the samples are fields by name.
pub fn json(order: &str, answer: &Answer) -> String {
    let asked = asked_as(order).strip_prefix('/').unwrap_or(asked_as(order));
    let stats = asked.eq_ignore_ascii_case("stats all") && answer.obeyed;
    let stats = stats.then(|| samples(&answer.lines));
    let Answer { lines, obeyed } = answer;
    let object = Object { version: VERSION, order, obeyed: *obeyed, lines, stats };
    serde_json::to_string(&object).expect("texts and numbers are JSON") + "\n"
}

/// `NAME VALUE` and `NAME{LABEL="WHICH"} VALUE`.
fn samples(lines: &[String]) -> BTreeMap<String, Sample> {
    let mut samples = BTreeMap::new();
    for line in lines {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let value = match (value.parse::<u64>(), value.parse::<f64>()) {
            (Ok(whole), _) => Sample::Whole(whole),
            (_, Ok(number)) if number.is_finite() => Sample::Number(number),
            _ => continue,
        };
        let labelled = name.split_once('{').and_then(|(name, label)| {
            let which = label.split_once("=\"")?.1.strip_suffix("\"}")?;
            Some((name, which))
        });
        match labelled {
            None => drop(samples.insert(name.to_owned(), value)),
            Some((name, which)) => {
                let by = samples.entry(name.to_owned());
                if let Sample::By(by) = by.or_insert_with(|| Sample::By(BTreeMap::new())) {
                    by.insert(which.to_owned(), value);
                }
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str], obeyed: bool) -> Answer {
        Answer { lines: lines.iter().map(|line| (*line).to_owned()).collect(), obeyed }
    }

    #[test]
    fn an_answer_ends_with_a_bare_word_and_nothing_else_does() {
        assert_eq!((Answer::end("ok"), Answer::end("refused")), (Some(true), Some(false)));
        for line in ["* ok", "* refused", "[to ok] ok", "OK", "", "ok "] {
            assert_eq!(Answer::end(line), None, "{line:?}");
        }
    }

    #[test]
    fn an_answer_is_one_object_with_its_lines() {
        let json = json("/kick bob", &answer(&["nobody is called bob"], false));
        assert_eq!(
            json,
            "{\"version\":1,\"order\":\"/kick bob\",\"obeyed\":false,\
             \"lines\":[\"nobody is called bob\"]}\n"
        );
    }

    #[test]
    fn counters_are_fields_by_name_and_by_label() {
        let lines =
            ["a_total 18446744073709551615", "b_seconds 0.5", "c_total{reason=\"own port\"} 2"];
        let json = json("stats", &answer(&lines, true));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["stats"]["a_total"], u64::MAX);
        assert_eq!(value["stats"]["b_seconds"], 0.5);
        assert_eq!(value["stats"]["c_total"]["own port"], 2);
        assert_eq!(value["lines"].as_array().unwrap().len(), 3);
    }
}
