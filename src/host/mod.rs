//! Being written.

pub mod interfaces;
pub mod privileges;
