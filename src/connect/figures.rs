//! The last lines of a run of probes: the figures as ping(8) has them, or their JSON. What must not
//! be here: the account.

use super::screen::Screen;
use super::{Error, JsonTo, PingOptions};
use crate::probes::Report;
use crate::terminal::Kind;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

/// Shows the figures under a head, or their JSON where that is the only thing on stdout.
pub(super) fn show(screen: &mut Screen, what: &str, report: &Report<'_>, pings: &PingOptions) {
    let text = match pings.json {
        Some(JsonTo::Stdout) => report.json(),
        _ => format!("--- {what}, {} bytes each ---\n{}", report.size, report.summary),
    };
    text.lines().for_each(|line| screen.show_line(line.as_bytes(), Kind::Text));
}

/// The file of `--json`, where it has one.
pub(super) struct JsonFile(Option<(File, PathBuf)>);

impl JsonFile {
    /// Made before anything is sent: a path that cannot be written is told at once.
    pub(super) fn create(pings: Option<&PingOptions>) -> Result<Self, Error> {
        let Some(JsonTo::File(path)) = pings.and_then(|pings| pings.json.as_ref()) else {
            return Ok(JsonFile(None));
        };
        let file = File::create(path)
            .map_err(|error| Error::Link(format!("--json {}: {error}", path.display())))?;
        Ok(JsonFile(Some((file, path.clone()))))
    }

    /// Writes what `json` gives, where there is a file.
    pub(super) fn write(self, json: impl FnOnce() -> String) -> Result<(), Error> {
        let Some((mut file, path)) = self.0 else { return Ok(()) };
        file.write_all(json().as_bytes())
            .map_err(|error| Error::Link(format!("--json {}: {error}", path.display())))
    }
}
