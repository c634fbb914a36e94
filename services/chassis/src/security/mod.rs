//! Authentication of callers, and authorization of their calls.

pub mod access;
pub mod caller;
pub mod claims;
mod owner_field;
pub mod service_identity;
pub mod tokens;
mod trusted_keys;
