//! What a measurement comes to. `model` is the data; the other files are its forms.

pub mod merge;
pub mod model;
mod text;

pub(super) use text::grouped;
