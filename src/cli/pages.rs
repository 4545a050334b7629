//! `reactor completions` and `reactor man`: what the command line says of itself, for shells and for
//! man(1). Made from the same tree as the help, so that nothing is written twice.

use super::environment::{on_each_arg, path_below, variable};
use super::layout::{ENVIRONMENT, EXIT_CODES, examples};
use super::{Cli, Error};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::Write;
use std::path::{Path, PathBuf};

/// `reactor completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `reactor man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page it is, such as serve or bench udp [default: the program's own].
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this directory, which must exist [default: one page, on
    /// stdout].
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl CompletionsArgs {
    /// Writes the script to stdout.
    pub fn write(&self) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::tree(), "reactor", &mut script);
        show(&script);
    }
}

impl ManArgs {
    /// Writes a page to stdout, or all into a directory.
    pub fn write(&self) -> Result<(), Error> {
        let tree = tree();
        if let Some(dir) = &self.dir {
            return write_all(&tree, "", dir);
        }
        let mut command = &tree;
        for name in &self.command {
            let below = command.find_subcommand(name).ok_or_else(|| {
                let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
                let known = if names.is_empty() { "no more".into() } else { names.join(", ") };
                Error::Usage(format!("man: no command {}; there is {known}", name.escape_debug()))
            })?;
            command = below;
        }
        show(&page(command, &self.command.join(" ")));
        Ok(())
    }
}

/// A reader that has seen enough is no error.
fn show(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// The tree as the pages need it: one list of options, each with its variable.
fn tree() -> Command {
    let tree = Cli::command().disable_help_subcommand(true);
    let mut tree = on_each_arg(tree, "", &|_, arg| match variable(&arg) {
        Some(name) => arg.env(name).hide_env_values(true).help_heading(None::<&str>),
        None => arg,
    });
    tree.build();
    tree
}

fn write_all(command: &Command, path: &str, dir: &Path) -> Result<(), Error> {
    let file = dir.join(format!("{}.1", dashed(path)));
    let failed = |error| Error::Failed(format!("write {}: {error}", file.display()));
    std::fs::write(&file, page(command, path)).map_err(failed)?;
    for below in command.get_subcommands() {
        write_all(below, &path_below(path, below), dir)?;
    }
    Ok(())
}

/// The page's name: `reactor-bench-udp`.
fn dashed(path: &str) -> String {
    format!("reactor {path}").trim_end().replace(' ', "-")
}

/// A page for section 1 of the manual: the order is that of man-pages(7), but for the examples, which
/// come first.
fn page(command: &Command, path: &str) -> Vec<u8> {
    let man = Man::new(command.clone().display_name(dashed(path)))
        .title(dashed(path))
        .manual("User Commands")
        .source(format!("reactor {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    // Only what the page is written to can fail, and a Vec does not.
    let write = |page: &mut Vec<u8>| -> std::io::Result<()> {
        man.render_title(page)?;
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        examples_section(path).to_writer(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        if command.has_subcommands() {
            man.render_subcommands_section(page)?;
        }
        ending(command, path).to_writer(page)
    };
    let _ = write(&mut page);
    page
}

fn examples_section(path: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in examples(path) {
        roff.control("TP", []).text([bold(*line)]).text([roman(*what)]);
    }
    roff
}

fn ending(command: &Command, path: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, when) in EXIT_CODES {
        roff.control("TP", []).text([bold(*code)]).text([roman(*when)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, what) in ENVIRONMENT {
        roff.control("TP", []).text([bold(*name)]).text([roman(*what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let above = path.rsplit_once(' ').map_or("", |(above, _)| above);
    let mut pages: Vec<String> = Vec::new();
    if !path.is_empty() {
        pages.push(dashed(above));
    }
    pages.extend(command.get_subcommands().map(|below| dashed(&path_below(path, below))));
    let mut others: Vec<String> = pages.iter().map(|page| format!("{page}(1)")).collect();
    others.extend(["nc(1)", "socket(7)"].map(str::to_owned));
    roff.text([roman(others.join(", "))]);
    roff
}
