//! The picture of README.md: a server and a client on two terminals, as a real run left their
//! screens (vt100 reads them), drawn as SVG. Draw it anew after a change of what a screen shows:
//! `REACTOR_PICTURE=docs/terminal.svg cargo test --test it picture::`

use crate::desk::Desk;
use crate::support::{Peer, command};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
use std::fmt::Write;
use std::process::Child;

const COLUMNS: u16 = 76;
const ROWS: u16 = 11;

/// A character cell, in the units of the picture; a monospaced letter of 13 is 7.8 wide.
const CELL: (f64, f64) = (7.83, 18.0);

/// Above each screen: its name.
const BAR: f64 = 26.0;

/// Around each screen's text.
const MARGIN: f64 = 10.0;

/// The eight colours of a terminal on dark ground, then the eight bright ones.
const PALETTE: [&str; 16] = [
    "#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5", "#bac2de",
    "#7f849c", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5", "#ffffff",
];

/// A program on a terminal of its own, all three descriptors of it.
struct Window {
    title: String,
    desk: Desk,
    program: Child,
}

impl Window {
    fn open(words: &[&str]) -> Self {
        let (desk, slave) = Desk::sized(COLUMNS, ROWS);
        let mut modes = tcgetattr(&slave).unwrap();
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR; // as a shell has it
        tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
        let mut command = command(words);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
        let program = command.stdout(slave).spawn().expect("the built program starts");
        Window { title: format!("$ reactor {}", words.join(" ")), desk, program }
    }

    fn wait_for(&self, text: &str) {
        self.desk.wait(text, |screen| screen.contents().contains(text));
    }

    /// What its screen shows, as SVG whose top is at `y`.
    fn draw(&self, y: f64) -> String {
        let mut svg = String::new();
        let (width, height) = size();
        writeln!(svg, r##"<g transform="translate(0 {y})"><rect width="{width}" height="{height}" rx="7" fill="#1e1e2e"/>"##).unwrap();
        writeln!(
            svg,
            r##"<text x="{MARGIN}" y="17" fill="#7f849c" font-size="12">{}</text>"##,
            escape(&self.title)
        )
        .unwrap();
        let parser = self.desk.screen.lock().unwrap();
        let screen = parser.0.screen();
        for row in 0..ROWS {
            let baseline = BAR + MARGIN + f64::from(row) * CELL.1 + 8.0;
            for run in runs(screen, row) {
                let x = MARGIN + f64::from(run.column) * CELL.0;
                let length = run.text.chars().count() as f64 * CELL.0;
                if run.inverse {
                    let top = baseline - 13.5;
                    writeln!(svg, r##"<rect x="{x:.1}" y="{top:.1}" width="{length:.1}" height="{}" fill="#cdd6f4"/>"##, CELL.1).unwrap();
                }
                writeln!(
                    svg,
                    r##"<text x="{x:.1}" y="{baseline:.1}" textLength="{length:.1}" fill="{}"{}{}>{}</text>"##,
                    if run.inverse { "#1e1e2e" } else { run.colour },
                    if run.bold { r#" font-weight="bold""# } else { "" },
                    if run.dim { r#" opacity="0.6""# } else { "" },
                    escape(&run.text),
                )
                .unwrap();
            }
        }
        let (row, column) = screen.cursor_position();
        let (x, top) =
            (MARGIN + f64::from(column) * CELL.0, BAR + MARGIN + f64::from(row) * CELL.1 - 5.5);
        writeln!(svg, r##"<rect x="{x:.1}" y="{top:.1}" width="{}" height="17" fill="#cdd6f4" opacity="0.8"/></g>"##, CELL.0).unwrap();
        svg
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.program);
        let _ = kill_process(pid, Signal::TERM); // it may have ended with its server
        let _ = self.program.wait();
    }
}

/// Cells of one look, side by side.
struct Run {
    column: u16,
    text: String,
    colour: &'static str,
    bold: bool,
    dim: bool,
    inverse: bool,
}

fn runs(screen: &vt100::Screen, row: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..COLUMNS {
        let Some(cell) = screen.cell(row, column) else { break };
        let text = if cell.has_contents() { cell.contents() } else { " " };
        let look = (colour(cell.fgcolor()), cell.bold(), cell.dim(), cell.inverse());
        match runs.last_mut() {
            Some(run) if (run.colour, run.bold, run.dim, run.inverse) == look => run.text += text,
            _ => {
                let (colour, bold, dim, inverse) = look;
                runs.push(Run { column, text: text.to_owned(), colour, bold, dim, inverse });
            }
        }
    }
    for run in runs.iter_mut().filter(|run| !run.inverse) {
        let text = run.text.trim_start();
        run.column += (run.text.len() - text.len()) as u16;
        run.text = text.trim_end().to_owned();
    }
    runs.retain(|run| !run.text.is_empty());
    runs
}

fn colour(of: vt100::Color) -> &'static str {
    match of {
        vt100::Color::Idx(index) if usize::from(index) < PALETTE.len() => {
            PALETTE[usize::from(index)]
        }
        _ => "#cdd6f4",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Of one window.
fn size() -> (f64, f64) {
    (f64::from(COLUMNS) * CELL.0 + 2.0 * MARGIN, BAR + f64::from(ROWS) * CELL.1 + MARGIN)
}

fn picture(windows: &[&Window]) -> String {
    let (width, each) = size();
    let height = windows.len() as f64 * (each + MARGIN) - MARGIN;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13" style="white-space: pre">"#
    );
    svg.push('\n');
    for (place, window) in windows.iter().enumerate() {
        svg += &window.draw(place as f64 * (each + MARGIN));
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_shows_what_a_run_left_on_two_screens() {
    let file = std::env::var_os("REACTOR_PICTURE");
    // In the file it stands with the port that everybody knows.
    let ports = if file.is_some() { ["127.0.0.1:65432"; 2] } else { ["127.0.0.1:0"; 2] };
    let server = Window::open(&["serve", "--tcp", ports[0], "--udp", ports[1]]);
    server.wait_for("listening udp");
    let told = server.desk.out.text();
    let told = told.split("listening tcp ").nth(1).and_then(|rest| rest.split(' ').next());
    let bound = told.and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("{told:?}"));
    let mut ann = Window::open(&["connect", told.unwrap_or_default(), "--name", "Ann"]);
    ann.wait_for("#lobby");
    let mut bob = Peer::join(bound);
    bob.say("/nick Bob\n");
    ann.wait_for("* guest2 is now Bob");
    bob.say("hello from nc\n");
    ann.wait_for("<Bob> hello from nc");
    ann.desk.keys("hi Bob, this is one loop for all of us\r");
    server.wait_for("<Ann> hi Bob");
    let mut server = server;
    server.desk.keys("and I am its console\r");
    ann.wait_for("<operator> and I am its console");
    ann.desk.keys("/msg Bob lunch at tw");
    ann.wait_for("/msg Bob lunch at tw");
    server.wait_for("and I am its console");
    let svg = picture(&[&server, &ann]);
    for text in ["hello from nc", "/msg Bob lunch at tw", "2 peers"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert!(svg.contains(PALETTE[2]) || svg.contains(PALETTE[6]), "names have colours");
    if let Some(file) = file {
        std::fs::write(file, svg).unwrap();
    }
}
