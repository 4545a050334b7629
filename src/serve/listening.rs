//! Where a server listens, told in one line for each socket and kept for the port file; and the two
//! files that say who and where it is. What must not be here: binding.

use super::Error;
use crate::log_form::TOLD;
use crate::os::Os;
use crate::os::held::HeldFile;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What a service manager and scripts want of a server.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Where its process id is written.
    pub pid_file: Option<PathBuf>,
    /// Where its sockets are.
    pub port_file: Option<PathBuf>,
    /// The service manager that is told how it goes; none: nobody is.
    pub managed: Option<super::Managed>,
}

/// The sockets that were told of, in order.
#[derive(Default)]
pub(super) struct Listening {
    lines: String,
}

impl Listening {
    /// Tells of one: `listening TRANSPORT ADDRESS SERVICE`, however quiet the log is.
    pub(super) fn tell(&mut self, transport: &str, address: &dyn Display, service: &str) {
        let line = format!("{transport} {address} {service}");
        log::info!(
            target: TOLD, event = "listening", transport, address:% = address, service;
            "listening {line}"
        );
        self.lines.push_str(&line);
        self.lines.push('\n');
    }

    /// Writes the two files, which are there as long as what is returned is.
    pub(super) fn hold_files<O: Os>(
        &self,
        os: &mut O,
        service: &Service,
    ) -> Result<Vec<HeldFile>, Error> {
        let mut held = Vec::new();
        let mut hold = |flag, path: &Option<PathBuf>, text: &str| -> Result<(), Error> {
            let Some(path) = path else { return Ok(()) };
            let file = os.hold_file(path, text.as_bytes());
            held.push(file.map_err(|error| failed(flag, path, &error))?);
            Ok(())
        };
        hold("--pid-file", &service.pid_file, &format!("{}\n", std::process::id()))?;
        hold("--port-file", &service.port_file, &self.lines)?;
        Ok(held)
    }
}

fn failed(flag: &str, path: &Path, error: &dyn Display) -> Error {
    Error::File(format!("{flag} {}: {error}", path.display()))
}
