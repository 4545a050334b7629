//! The real binary over real sockets: one theme a file, one behaviour a test. Every wait has a
//! deadline, and that nothing arrives is shown by what arrives after it, not by waiting.

mod addresses;
mod chat;
mod connect;
mod console;
mod limits;
mod lines_raw;
mod operator;
mod python;
mod rooms;
mod serve;
mod slow;
mod stop;
mod support;
mod trace;
mod tutorial;
mod udp;
mod udp_guard;
