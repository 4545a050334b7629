//! The program: parse, start logging, call, map an error to one line and an exit code.

use reactor::address::host_name;
use reactor::bench::report::merge::merge;
use reactor::bench::report::progress::{ERASED, line};
use reactor::cli::{Bench, Cli, Command, Error};
use reactor::handler::Signal;
use reactor::log_form::{LogForm, TOLD};
use reactor::log_queue::LogQueue;
use reactor::os::activation::Inherited;
use reactor::os::clock::{utc_now, utc_now_ms};
use reactor::os::journal::stderr_is_journal;
use reactor::os::limit::raise_descriptor_limit;
use reactor::os::mio::{MioOs, Settings};
use reactor::os::signals::end_by;
use reactor::os::stdio::{Output, console_is_terminal, progress_terminal, write_last};
use reactor::os::terminal::{give_back, give_back_at_panic};
use reactor::os::trace::TraceOs;
use reactor::{bench, connect, ctl, serve};
use std::io::{IoSlice, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How long the last log lines may wait for a stderr that takes nothing.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(500);

/// The exit code of `ctl` where the server refused an order.
const REFUSED: u8 = 1;

fn main() -> ExitCode {
    give_back_at_panic();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "reactor: {error}");
            return ExitCode::from(error.code());
        }
    };
    let form = LogForm { json: cli.log_format.is_json(), journal: stderr_is_journal() };
    let log = LogQueue::of(form);
    start_logging(&cli, form, &log);
    let outcome = run(&cli, &log);
    give_back(); // a loop that failed has closed nothing
    write_last(&log, LAST_LINES_WITHIN);
    if let Ok(Outcome { signal: Some(signal), .. }) = outcome {
        end_by(signal); // the shell sees which; the code is for where that cannot be
    }
    outcome.map(|outcome| outcome.code).unwrap_or_else(|error| {
        log::error!(target: TOLD, event = "failed", code = error.code(); "reactor: {error}");
        write_last(&log, LAST_LINES_WITHIN); // again: a queue that was full had no room for it
        ExitCode::from(error.code())
    })
}

/// How a command ended well.
struct Outcome {
    code: ExitCode,
    /// To be ended by, for a client that it ended.
    signal: Option<Signal>,
}

impl From<ExitCode> for Outcome {
    fn from(code: ExitCode) -> Self {
        Outcome { code, signal: None }
    }
}

fn run(cli: &Cli, log: &LogQueue) -> Result<Outcome, Error> {
    let look = cli.look(console_is_terminal());
    let trace = log::log_enabled!(log::Level::Debug);
    match &cli.command {
        Command::Serve(args) => {
            let inherited = Inherited::of_environment().map_err(Error::Failed)?;
            let (before, descriptors) = raise_descriptor_limit();
            let options = args.options(look, descriptors, &inherited)?;
            let settings = Settings {
                ipv6_only: args.ipv6_only(),
                send_buffer: args.send_buffer()?,
                user_timeout: args.user_timeout(),
                ..Settings::default()
            };
            let version = env!("CARGO_PKG_VERSION");
            let (host, pid) = (host_name(), std::process::id());
            log::info!(
                target: TOLD, event = "started", version, host = &*host, pid;
                "reactor {version} on {host}, pid {pid}"
            );
            log::info!("descriptor limit {descriptors} (was {before})");
            let mut os = MioOs::new(settings).map_err(failed)?;
            os.inherit(inherited);
            if trace {
                serve::run(TraceOs::new(os), &options, log).map_err(failed)?;
            } else {
                serve::run(os, &options, log).map_err(failed)?;
            }
            Ok(ExitCode::SUCCESS.into())
        }
        Command::Connect(args) => {
            let options = args.options(look)?;
            let os = MioOs::new(args.settings(&options)).map_err(failed)?;
            let ended = if trace {
                connect::run(TraceOs::new(os), &options, log)
            } else {
                connect::run(os, &options, log)
            };
            let ended = ended.map_err(failed)?;
            Ok(Outcome { code: ended.into(), signal: ended.signal() })
        }
        Command::Ctl(args) => {
            let options = args.options()?;
            let (stdin, stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
            let obeyed = ctl::run(&options, stdin, stdout).map_err(failed)?;
            Ok(ExitCode::from(if obeyed { 0 } else { REFUSED }).into())
        }
        Command::Completions(args) => {
            args.write();
            Ok(ExitCode::SUCCESS.into())
        }
        Command::Man(args) => args.write().map(|()| ExitCode::SUCCESS.into()),
        Command::Bench(args) => {
            let Bench::Measure(options, writer) = args.start()? else {
                return Ok(ExitCode::SUCCESS.into());
            };
            let os = MioOs::new(Settings::default()).map_err(failed)?;
            let mut progress = progress_terminal().ok().flatten().filter(|_| !cli.quiet);
            let mut told = |live: &bench::Live| {
                if let Some((terminal, columns)) = &mut progress {
                    draw(terminal, &line(live, *columns));
                }
            };
            let ended = if trace {
                bench::run(TraceOs::new(os), &options, log, &mut told)
            } else {
                bench::run(os, &options, log, &mut told)
            };
            if let Some((terminal, _)) = &mut progress {
                draw(terminal, ERASED);
            }
            match ended.map_err(failed)? {
                bench::Ended::Reports(reports) => {
                    writer.write(&merge(reports))?;
                    Ok(ExitCode::SUCCESS.into())
                }
                bench::Ended::By(signal) => {
                    Ok(Outcome { code: connect::Ended::By(signal).into(), signal: Some(signal) })
                }
            }
        }
    }
}

/// A terminal that takes nothing misses a picture, and nothing waits for it.
fn draw(terminal: &mut Output, text: &str) {
    let _ = terminal.write(&[IoSlice::new(text.as_bytes())]);
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// Lines go to the queue, which the loop drains to stderr. RUST_LOG is for debugging, where
/// neither -v nor -q is given.
fn start_logging(cli: &Cli, form: LogForm, log: &LogQueue) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => log::LevelFilter::Error,
        (_, 0) => log::LevelFilter::Warn,
        (_, 1) => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).filter_module(TOLD, log::LevelFilter::Info);
    if !cli.quiet && cli.verbose == 0 {
        builder.parse_default_env();
    }
    builder.format(move |out, record| {
        let time = if form.json { utc_now_ms() } else { utc_now() };
        writeln!(out, "{}", form.line(&time, record))
    });
    builder.target(env_logger::Target::Pipe(Box::new(log.clone()))).init();
}
