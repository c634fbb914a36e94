//! Authentication of callers, and authorization of their calls.

pub mod access;
mod audit;
mod authentication;
pub mod caller;
pub mod claims;
mod owner_field;
mod ownership;
pub mod service_identity;
pub mod tokens;
mod trusted_keys;
