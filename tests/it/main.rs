//! The real binary over real sockets: one theme a file, one behaviour a test. Every wait has a
//! deadline, and that nothing arrives is shown by what arrives after it, not by waiting.

mod addresses;
mod bench;
mod bench_report;
mod chat;
mod clocks;
mod connect;
mod connect_eof;
mod connect_link;
mod console;
mod desk;
mod faults;
mod flood;
mod gate;
mod limits;
mod lines_raw;
mod memory;
mod operator;
mod pace;
mod peers;
mod probes;
mod python;
mod reconnect;
mod rooms;
mod serve;
mod slow;
mod soak;
mod stop;
mod support;
mod terminal;
mod terminal_connect;
mod trace;
mod transcript;
mod tutorial;
mod udp;
mod udp_guard;
