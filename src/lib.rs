//! `reactor`: TCP stream chat and UDP echo on one thread and one hand-written poll loop.

pub mod handler;
pub mod log_queue;
pub mod os;
pub mod visible;
