//! `REACTOR_*`: a variable for every flag, named after it and shared by all commands that have the
//! flag. What is typed wins; the variable wins over the default. Nothing here names a flag, so a new
//! one has its variable at once. Positional arguments have none.
//!
//! A variable counts as if its flag had been typed, with three exceptions: an empty one is none; one
//! whose flag excludes something that was typed is none; and so is one whose flag needs another that
//! is not there. So variables for all commands can be set at once, and none ever spoils what was typed.

use super::Error;
use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

/// Between the values of a flag that may be repeated.
const SEPARATOR: char = ',';

/// The variable of a flag: `--udp-rate` has `REACTOR_UDP_RATE`. None for what is no flag of ours.
pub(super) fn variable(arg: &Arg) -> Option<String> {
    let of_clap = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    let long = arg.get_long().filter(|_| !of_clap)?;
    Some(format!("REACTOR_{}", long.to_uppercase().replace('-', "_")))
}

/// A flag that was not typed and whose variable is set.
struct Candidate {
    arg: Arg,
    variable: String,
    value: OsString,
}

/// Parses what was typed, with the variables that count. What was typed wrongly ends the program
/// here, as clap does it; so do `--help` and `--version`.
pub(super) fn parse(tree: &Command, typed: &[OsString]) -> Result<ArgMatches, Error> {
    let alone = tree.clone().try_get_matches_from(typed);
    if let Err(error) = &alone
        && error.kind() != ErrorKind::MissingRequiredArgument
    {
        error.exit();
    }
    let levels = Levels::of(tree, typed);
    let set = levels.candidates(|name| std::env::var_os(name))?;
    if set.is_empty() {
        return alone.map_err(|error| error.exit());
    }
    let (mut counts, mut dependent) = (Vec::new(), Vec::new());
    for candidate in &set {
        let tried = with(tree, &[candidate]).try_get_matches_from(&levels.names);
        match tried.map_err(|error| (error.kind(), error)) {
            Ok(_) => counts.push(candidate),
            Err((ErrorKind::MissingRequiredArgument, _)) => dependent.push(candidate),
            Err((_, error)) => return Err(candidate.wrong(&reason(&error))),
        }
    }
    levels.check_pairs(&counts)?;
    // One may need another that needs a third: as often as there are some, at most.
    for _ in 0..dependent.len() {
        for &candidate in &dependent {
            let new = !counts.iter().any(|other| other.variable == candidate.variable);
            let more: Vec<&Candidate> = counts.iter().copied().chain([candidate]).collect();
            if new && with(tree, &more).try_get_matches_from(typed).is_ok() {
                counts = more;
            }
        }
    }
    with(tree, &counts).try_get_matches_from(typed).map_err(|error| error.exit())
}

/// Each of these reads its variable. A variable's words for yes and no are more than the command
/// line has, which has none.
fn with(tree: &Command, candidates: &[&Candidate]) -> Command {
    let counts = |name: &str| candidates.iter().any(|candidate| candidate.variable == name);
    on_each_arg(tree.clone(), "", &|_, arg| match variable(&arg) {
        Some(name) if counts(&name) => {
            let arg = arg.env(name);
            match arg.get_action() {
                ArgAction::Append => arg.value_delimiter(SEPARATOR),
                ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
                _ => arg,
            }
        }
        _ => arg,
    })
}

/// Changes each argument of the command at `path` (the program's own is empty, another's is like
/// `bench udp`) and of those below it; `change` is told the path.
pub(super) fn on_each_arg(
    command: Command,
    path: &str,
    change: &dyn Fn(&str, Arg) -> Arg,
) -> Command {
    let command = command.mut_args(|arg| change(path, arg));
    command.mut_subcommands(|below| {
        let path = path_below(path, &below);
        on_each_arg(below, &path, change)
    })
}

/// The path of a command that stands below the one at `path`.
pub(super) fn path_below(path: &str, below: &Command) -> String {
    format!("{path} {}", below.get_name()).trim_start().to_owned()
}

/// The commands that were typed, from the program's own name on.
struct Levels {
    names: Vec<String>,
    /// Each with what was typed of it.
    levels: Vec<(Command, Vec<Id>)>,
}

impl Levels {
    fn of(tree: &Command, typed: &[OsString]) -> Self {
        // What it lacks may come from a variable.
        let matches = tree.clone().ignore_errors(true).try_get_matches_from(typed);
        let mut matches = matches.as_ref().ok();
        let mut built = tree.clone();
        built.build();
        let mut command = Some(&built);
        let mut all = Levels { names: Vec::new(), levels: Vec::new() };
        while let (Some(this), Some(found)) = (command, matches) {
            let is_typed = |id: &&Id| {
                found.value_source(id.as_str()).is_some_and(|from| from == ValueSource::CommandLine)
            };
            all.names.push(this.get_name().to_owned());
            all.levels.push((this.clone(), found.ids().filter(is_typed).cloned().collect()));
            let below = found.subcommand();
            command = below.and_then(|(name, _)| this.find_subcommand(name));
            matches = below.map(|(_, matches)| matches);
        }
        all
    }

    fn candidates(&self, var: impl Fn(&str) -> Option<OsString>) -> Result<Vec<Candidate>, Error> {
        let mut found: Vec<Candidate> = Vec::new();
        for arg in self.levels.iter().flat_map(|(command, _)| command.get_arguments()) {
            let Some(variable) = variable(arg) else { continue };
            let Some(value) = var(&variable).filter(|value| !value.is_empty()) else { continue };
            // A flag of every command is met at each level.
            if found.iter().any(|other| other.variable == variable) || self.is_excluded(arg) {
                continue;
            }
            let candidate = Candidate { arg: arg.clone(), variable, value };
            if candidate.is_on()? {
                found.push(candidate);
            }
        }
        Ok(found)
    }

    /// It was typed, or something that does not go with it.
    fn is_excluded(&self, arg: &Arg) -> bool {
        self.levels.iter().any(|(command, typed)| {
            let typed = command.get_arguments().filter(|other| typed.contains(other.get_id()));
            let mut typed = typed
                .map(|other| other.get_id() == arg.get_id() || { exclude(command, arg, other) });
            typed.any(|excluded| excluded)
        })
    }

    /// No two variables may exclude each other: neither was typed later than the other.
    fn check_pairs(&self, counts: &[&Candidate]) -> Result<(), Error> {
        for (index, one) in counts.iter().enumerate() {
            for other in &counts[index + 1..] {
                let at_odds = |(command, _): &(Command, _)| exclude(command, &one.arg, &other.arg);
                if self.levels.iter().any(at_odds) {
                    let (one, other) = (&one.variable, &other.variable);
                    return Err(Error::Usage(format!("{one} and {other} exclude each other")));
                }
            }
        }
        Ok(())
    }
}

/// Whether the two arguments exclude each other, whichever of them says so. False where the command
/// does not have both.
fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    let has = |arg: &Arg| command.get_arguments().any(|own| own.get_id() == arg.get_id());
    let names = |one: &Arg, other: &Arg| {
        let excluded = command.get_arg_conflicts_with(one);
        excluded.iter().any(|arg| arg.get_id() == other.get_id())
    };
    has(one) && has(other) && (names(one, other) || names(other, one))
}

impl Candidate {
    /// False where it says what holds anyway: a flag without a value that is off, and none of -v.
    fn is_on(&self) -> Result<bool, Error> {
        match self.arg.get_action() {
            ArgAction::SetTrue => {
                let parser = BoolishValueParser::new();
                let command = Command::new("reactor");
                let said = parser.parse_ref(&command, Some(&self.arg), &self.value);
                said.map_err(|_| self.wrong("true or false (or 1, 0, yes, no, on, off)"))
            }
            ArgAction::Count => Ok(self.value != OsStr::new("0")),
            _ => Ok(true),
        }
    }

    fn wrong(&self, why: &str) -> Error {
        let value = self.value.to_string_lossy();
        let flag = self.arg.get_long().unwrap_or_default();
        let value = value.escape_debug();
        Error::Usage(format!("{}={value} (for --{flag}): {why}", self.variable))
    }
}

/// Why clap takes a value for wrong, in one line.
fn reason(error: &clap::Error) -> String {
    match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(words))) => format!("one of {}", words.join(", ")),
        _ => error.kind().as_str().unwrap_or("no such value").to_owned(),
    }
}
