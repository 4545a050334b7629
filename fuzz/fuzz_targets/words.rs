//! `reactor_fuzz::words` for what libFuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reactor_fuzz::words(input));
