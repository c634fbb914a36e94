//! The basic types: time, money, ids, page tokens, private files, the clock, random numbers, text, fault points.

pub mod clock;
pub mod faults;
pub mod flag_values;
pub mod id;
pub(crate) mod last_outcome;
pub mod money;
pub mod page;
pub(crate) mod private_files;
pub mod random;
pub mod text;
pub mod time;
