//! What a service manager and scripts need of `reactor serve`, on the command line.

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
    /// Write the process id to FILE once everything is bound; removed at the end.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Write a line for each socket to FILE once all are bound: `tcp ADDRESS chat`; removed at the end.
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
