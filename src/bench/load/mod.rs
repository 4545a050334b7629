//! What is sent, by whom, when and from where: the pure half of the generator. What must not be
//! here: what became of it (`account`).

pub(in crate::bench) mod dials;
pub(in crate::bench) mod marker;
pub(in crate::bench) mod pace;
pub(in crate::bench) mod publisher;
pub(in crate::bench) mod schedule;
