//! What `broadcast` and `framing` share: the time of one operation, and the instructions it takes
//! where valgrind is there. Time is noise on a shared machine; instructions are the same each time.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long each case is timed, in a full run and in a quick one.
const TIMED: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(10)];

/// Operations more in the second of two runs under callgrind: start and end cancel out.
const COUNTED: u32 = 2_000;

/// One thing to measure: its name, what one operation is, and the operation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) each: &'static str,
    pub(crate) run: fn() -> Box<dyn FnMut()>,
}

/// Times and counts all cases; or, called by itself under valgrind, runs one so many times.
pub(crate) fn main(cases: &[Case]) {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, times] = &words[..]
        && flag == "--only"
    {
        let case = cases.iter().find(|case| case.name == name).expect("one of ours");
        let mut operation = (case.run)();
        (0..times.parse().expect("a number of ours")).for_each(|_: u32| operation());
        return;
    }
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let full = has("--bench") && !has("--quick") && !has("--test");
    let counts = full && Command::new("valgrind").arg("--version").output().is_ok();
    println!("{:<28} {:>10} {:>13}  of", "", "ns", "instructions");
    for case in cases {
        let ns = time(case, TIMED[usize::from(!full)]);
        let instructions = match counts {
            true => instructions(case.name).map_or("?".to_owned(), |count| format!("{count:.0}")),
            false => "-".to_owned(),
        };
        println!("{:<28} {ns:>10.1} {instructions:>13}  {}", case.name, case.each);
    }
    if full && !counts {
        println!("instructions are not counted: valgrind is not installed");
    }
}

/// The least of ten means, in ns: whatever disturbs only adds.
fn time(case: &Case, total: Duration) -> f64 {
    let mut operation = (case.run)();
    let mut least = f64::INFINITY;
    for _ in 0..10 {
        let (begun, mut count) = (Instant::now(), 0u32);
        while begun.elapsed() < total / 10 {
            (0..100).for_each(|_| black_box(&mut operation)());
            count += 100;
        }
        least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(count));
    }
    least
}

/// Instructions of one operation, by callgrind.
fn instructions(name: &str) -> Option<f64> {
    let count = |times: u32| -> Option<f64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["--only", name, &times.to_string()])
            .output()
            .ok()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = told.lines().find_map(|line| line.split_once("Collected :"))?;
        line.1.trim().parse().ok()
    };
    Some((count(100 + COUNTED)? - count(100)?) / f64::from(COUNTED))
}
