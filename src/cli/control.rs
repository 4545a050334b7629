//! How a server is watched and steered from outside, on the command line: `--control` and `--metrics`
//! of `reactor serve`, and `reactor ctl`.

use super::{Error, FamilyArgs, resolve};
use crate::address::{Transport, Use};
use crate::ctl;
use crate::serve::Management;
use clap::Args;
use std::path::{Path, PathBuf};

/// The file of the default path, in `$XDG_RUNTIME_DIR`.
const DEFAULT_FILE: &str = "reactor.sock";

/// The flags of a server.
#[derive(Debug, Args)]
pub(super) struct ManagementArgs {
    /// Take the operator's words at PATH, for `reactor ctl`, from the owner alone [default: none; for
    /// PATH: $XDG_RUNTIME_DIR/reactor.sock].
    #[arg(long, value_name = "PATH")]
    control: Option<Option<PathBuf>>,
    /// Serve /metrics (OpenMetrics), /healthz and /readyz over HTTP at ADDR; may be repeated
    /// [default: none].
    #[arg(long, value_name = "ADDR")]
    metrics: Vec<String>,
}

impl ManagementArgs {
    /// Resolves the addresses; may block on a name server.
    pub(super) fn management(&self, family: &FamilyArgs) -> Result<Management, Error> {
        let mut metrics = Vec::new();
        for text in &self.metrics {
            metrics.extend(resolve(text, family.family(), Transport::Tcp, Use::Serve)?);
        }
        Ok(Management {
            control: self.control.as_ref().map(|at| path(at.as_deref())).transpose()?,
            metrics,
        })
    }
}

/// `reactor ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// The server's --control [default: $XDG_RUNTIME_DIR/reactor.sock].
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Write each answer as one JSON object on a line.
    #[arg(long)]
    json: bool,
    /// One of the operator's words with what belongs to it, as in /help; the slash may be left out.
    /// Without it each line of stdin is an order.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl CtlArgs {
    /// What is to be asked, and of whom.
    pub fn options(&self) -> Result<ctl::Options, Error> {
        let order = (!self.words.is_empty()).then(|| self.words.join(" "));
        match &order {
            Some(order) if order.trim().is_empty() => {
                return Err(Error::Usage("ctl: an empty order; try: reactor ctl help".into()));
            }
            Some(order) if order.contains(['\n', '\r']) => {
                return Err(Error::Usage(
                    "ctl: an order is one line; several come on stdin".into(),
                ));
            }
            _ => {}
        }
        Ok(ctl::Options { control: path(self.control.as_deref())?, order, json: self.json })
    }
}

/// The path that was typed, or the default one.
fn path(typed: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(typed) = typed {
        if typed.as_os_str().as_encoded_bytes().first() == Some(&b'@') {
            return Err(Error::Usage(format!(
                "--control {0}: a path; an abstract name has no permissions, and a file of that \
                 name is ./{0}",
                typed.display()
            )));
        }
        return Ok(typed.to_owned());
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    folder.map(|folder| PathBuf::from(folder).join(DEFAULT_FILE)).ok_or_else(|| {
        Error::Usage(
            "--control: name a PATH; there is no XDG_RUNTIME_DIR to have a default in".into(),
        )
    })
}
