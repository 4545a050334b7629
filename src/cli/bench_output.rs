//! Where a bench's report goes, and `bench compare`. Files are written after the run, so that a
//! disk does not disturb it.

use super::{Error, STDOUT};
use crate::bench::Report;
use crate::bench::report::{compare, hgrm, html, json, text};
use clap::Args;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that `compare` reads: a report has some 100 KiB.
const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The forms of a report beside the text.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON; to stdout, instead of the text, without FILE or where it is `-` [default:
    /// text on stdout].
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
    /// Write latency by percentile in µs as HdrHistogram's text; further curves go to FILE with
    /// their name before the extension [default: none].
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    hgrm: Option<PathBuf>,
    /// Write one HTML page with tables and pictures, which needs no network [default: none].
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    html: Option<PathBuf>,
}

/// Two runs.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// What `--json` wrote, to compare with.
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// What `--json` wrote, to be compared.
    #[arg(value_name = "B.json")]
    b: PathBuf,
}

impl OutputArgs {
    /// Shows the report on stdout, then writes each file. The first file that could not be written
    /// is the error; the others are written all the same.
    pub(super) fn write(&self, report: &Report) -> Result<(), Error> {
        let (to_stdout, json_file) = match self.json.as_deref() {
            Some(path) if path == Path::new(STDOUT) => (json::to_json(report), None),
            path => (text::text(report), path),
        };
        show(&to_stdout);
        let mut written = Ok(());
        let mut write = |path: &Path, form: String| {
            let failed = |error| Error::Failed(format!("write {}: {error}", path.display()));
            let outcome = fs::write(path, form).map_err(failed);
            if written.is_ok() {
                written = outcome;
            }
        };
        if let Some(path) = json_file {
            write(path, json::to_json(report));
        }
        if let Some(path) = &self.hgrm {
            for (index, curve) in report.curves.iter().enumerate() {
                write(&curve_path(path, index, &curve.name), hgrm::hgrm(curve));
            }
        }
        if let Some(path) = &self.html {
            write(path, html::html(report));
        }
        written
    }
}

impl CompareArgs {
    /// Shows both side by side on stdout.
    pub(super) fn run(&self) -> Result<(), Error> {
        let (a, b) = (read(&self.a)?, read(&self.b)?);
        let names = [&self.a, &self.b].map(|path| path.to_string_lossy());
        show(&compare::compare([&names[0], &names[1]], [&a, &b]));
        Ok(())
    }
}

/// Not `-`, which would be a file of that name: only `--json` can go to stdout.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    match text {
        STDOUT => Err("it goes to a file; only --json can go to stdout".to_owned()),
        path => Ok(PathBuf::from(path)),
    }
}

/// A reader that has seen enough is no error.
fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The first curve's is the path as it is, another's has the curve's name before its extension.
fn curve_path(path: &Path, index: usize, name: &str) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    match path.extension() {
        Some(end) => path.with_extension(format!("{name}.{}", end.to_string_lossy())),
        None => path.with_extension(name),
    }
}

fn read(path: &Path) -> Result<Report, Error> {
    let told = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| told(&error))?;
    let len = file.take(JSON_BYTES_MAX + 1).read_to_string(&mut text);
    match len.map_err(|error| told(&error))? as u64 {
        len if len > JSON_BYTES_MAX => Err(told(&"not a bench report: longer than 16 MiB")),
        _ => json::from_json(&text).map_err(|error| told(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_curve_has_a_file_of_its_own() {
        for (path, index, expected) in [
            ("out/a.hgrm", 0, "out/a.hgrm"),
            ("out/a.hgrm", 1, "out/a.sent.hgrm"),
            ("out.d/a", 1, "out.d/a.sent"),
        ] {
            assert_eq!(curve_path(Path::new(path), index, "sent"), Path::new(expected));
        }
    }
}
