//! `reactor`: TCP stream chat and UDP echo on one thread and one hand-written poll loop.

pub mod address;
pub mod bench;
pub mod chat;
pub mod cli;
pub mod connect;
pub mod echo;
pub mod handler;
pub mod log_queue;
pub mod os;
pub mod reactor;
pub mod serve;
#[cfg(test)]
mod sim;
pub mod stats;
pub mod timers;
pub mod visible;
pub mod wire;
