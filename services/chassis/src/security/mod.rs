//! Who calls, and whether they may.

pub mod access;
pub mod caller;
pub mod claims;
mod owner_field;
mod recent;
pub mod service_identity;
pub mod tokens;
