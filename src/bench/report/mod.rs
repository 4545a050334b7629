//! A report and its forms. [`model`] is the data; each other file makes one form of it and is pure.
//! What must not be here: measuring, files, the terminal.

pub mod compare;
mod curve;
#[cfg(test)]
mod example;
pub mod hgrm;
pub mod html;
pub mod json;
pub mod merge;
pub mod model;
mod number;
mod plot;
pub mod progress;
mod rows;
pub mod text;

pub use model::{Better, Curve, Figure, Machine, Point, Report, Slice, Verdict};
pub(super) use number::grouped;
pub use number::in_unit;
