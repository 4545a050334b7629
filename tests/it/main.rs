//! The real binary over real sockets: one theme a file, one behaviour a test. Every wait has a
//! deadline, and that nothing arrives is shown by what arrives after it, not by waiting.

mod addresses;
mod chat;
mod clocks;
mod connect;
mod console;
mod faults;
mod flood;
mod limits;
mod lines_raw;
mod memory;
mod operator;
mod python;
mod rooms;
mod serve;
mod slow;
mod soak;
mod stop;
mod support;
mod trace;
mod tutorial;
mod udp;
