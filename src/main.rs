//! The program: parse, start logging, call, map an error to one line and an exit code.

fn main() {}
