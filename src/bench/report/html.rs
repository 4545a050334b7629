//! A report as one page: it opens without a network, runs no script, prints, and follows the
//! screen's light or dark. Pure. Everything that comes from a report is escaped.

use super::model::Report;
use super::plot::{self, Plot};
use super::rows::{self, Rows};
use crate::visible::visible;
use std::fmt::Write;

const TEMPLATE: &str = include_str!("page.html");

/// The whole page.
pub fn html(report: &Report) -> String {
    let title = format!("reactor bench {}", report.scenario);
    let verdict = if report.verdict.is_good() { "good" } else { "bad" };
    let reasons = report
        .verdict
        .reasons()
        .map(|(word, line)| format!("<p><strong>{word}</strong> {}</p>\n", escaped(line)));
    let notes = report.verdict.notes.iter().map(|line| format!("<p>{}</p>\n", escaped(line)));
    let said: String = reasons.chain(notes).collect();
    let circumstances = rows::circumstances(report)
        .into_iter()
        .map(|[word, value]| format!("<tr><th>{word}</th><td>{}</td></tr>\n", escaped(&value)));
    let mut measured = section("Figures", &table("figures", rows::figures(report)));
    if !report.curves.is_empty() {
        measured += &section("Percentiles", &table("percentiles", rows::percentiles(report)));
    }
    let pictures = [
        (
            "Latency by percentile",
            "Each step to the right leaves a tenth as many over. Both axes are logarithmic.",
            plot::by_percentile(&report.curves),
        ),
        (
            "Latency over time",
            "Median, 99th percentile and greatest of each slice of time, from intended time.",
            plot::over_time(&report.slices),
        ),
    ];
    let pictures =
        pictures.into_iter().filter_map(|(name, says, plot)| Some(figure(name, says, &plot?)));
    fill(&[
        ("title", &escaped(&title)),
        ("verdict", verdict),
        ("said", &said),
        ("command", &escaped(&rows::command(report))),
        ("circumstances", &circumstances.collect::<String>()),
        ("pictures", &pictures.collect::<String>()),
        ("measured", &measured),
    ])
}

/// The template with its `{{names}}` replaced, each where it stands: a value is not looked at again.
fn fill(values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(TEMPLATE.len() * 8);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the template closes what it opens");
        let value = values.iter().find(|(known, _)| *known == name);
        out.push_str(before);
        out.push_str(value.expect("the template asks for what there is").1);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn section(name: &str, body: &str) -> String {
    format!("<section>\n<h2>{name}</h2>\n{body}</section>\n")
}

fn table(class: &str, rows: Rows) -> String {
    let mut out = format!("<table class=\"numbers {class}\">\n");
    let mut row = |cells: Vec<String>, tag: &str| {
        out.push_str("<tr>");
        for cell in cells {
            // Writing to a String does not fail.
            let _ = write!(out, "<{tag}>{}</{tag}>", escaped(&cell));
        }
        out.push_str("</tr>\n");
    };
    row(rows.head, "th");
    rows.rows.into_iter().for_each(|cells| row(cells, "td"));
    out + "</table>\n"
}

fn figure(name: &str, says: &str, plot: &Plot) -> String {
    let keys = plot.legend.iter().map(|(label, colour)| {
        let line =
            format!("<polyline points=\"0,5 30,5\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        format!("<li><svg class=\"key\" viewBox=\"0 0 30 10\">{line}</svg>{}</li>", escaped(label))
    });
    let keys: String = keys.collect();
    format!(
        "<figure>\n<h2>{name}</h2>\n<ul class=\"legend\">{keys}</ul>\n{}\
         <figcaption>{says}</figcaption>\n</figure>\n",
        plot.svg
    )
}

/// Text as HTML, in an element or a quoted attribute; what steers or hides is made visible.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_page_asks_nobody_for_anything() {
        let page = html(&example::invalid_report());
        for word in ["http", "//", "<script", "src=", "<link", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(
            page.contains("<strong>INVALID</strong>") && page.contains("class=\"verdict bad\"")
        );
        assert_eq!(page.matches("<figure>").count(), 2);
    }

    #[test]
    fn a_hostile_report_stays_text() {
        let mut report = example::invalid_report();
        let hostile = "</td><img onerror='x'>\"&{{said}}\u{202e}\x1b";
        for part in [&mut report.server, &mut report.scenario, &mut report.machine.cpu] {
            *part = hostile.into();
        }
        report.figures[0].label = hostile.into();
        report.curves[1].name = hostile.into();
        report.command.push(hostile.into());
        report.settings.insert(hostile.into(), hostile.into());
        report.verdict.notes.push(hostile.into());
        report.verdict.faults.push(hostile.into());
        let page = html(&report);
        assert!(!page.contains("<img") && !page.contains(['\u{202e}', '\x1b']));
        let escaped = "&lt;/td&gt;&lt;img onerror=&#39;x&#39;&gt;&quot;&amp;{{said}}\\u{202e}\\x1b";
        assert!(page.matches(escaped).count() >= 10, "{page}");
    }

    #[test]
    fn a_report_without_latencies_is_a_page_without_pictures() {
        let mut report = example::report();
        (report.curves, report.slices) = (Vec::new(), Vec::new());
        assert!(!html(&report).contains("<figure"));
    }
}
