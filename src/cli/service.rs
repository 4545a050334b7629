//! What a service manager and scripts need of `reactor serve`, on the command line.

use super::Error;
use crate::os::notify;
use crate::serve::{Managed, Service};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// True for JSON.
    pub fn is_json(self) -> bool {
        matches!(self, LogFormat::Json)
    }
}

/// The flags of a service.
#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Write the process id to FILE once everything is bound; removed at the end [default: none].
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Write a line for each socket to FILE once all are bound, `tcp ADDRESS chat`; removed at the
    /// end [default: none].
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
}

impl ServiceArgs {
    pub(super) fn service(&self) -> Service {
        Service {
            pid_file: self.pid_file.clone(),
            port_file: self.port_file.clone(),
            managed: notify::is_wanted().then(|| Managed { watchdog: notify::watchdog() }),
        }
    }
}

/// The sockets of one kind: those that the service manager has bound, or what a flag asks for.
pub(super) fn instead<A, T>(
    flag: &str,
    inherited: Vec<A>,
    asked: &[T],
    resolve: impl FnOnce(&[T]) -> Result<Vec<A>, Error>,
) -> Result<Vec<A>, Error> {
    if inherited.is_empty() {
        return resolve(asked);
    }
    if !asked.is_empty() {
        log::warn!("{flag} is left out: the service manager's sockets of that kind replace it");
    }
    Ok(inherited)
}
