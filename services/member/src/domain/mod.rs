//! The rules about accounts, failed attempts, sessions and signing keys. Pure functions: the clock, random values and
//! password checks are arguments. A password itself never gets here, only its hash and the result of a check
//! ([`values::PasswordCheck`]).

pub(crate) mod account;
pub(crate) mod attempts;
pub(crate) mod key_ring;
#[cfg(test)]
mod properties;
mod refusal;
pub(crate) mod revocation;
pub(crate) mod session;
pub(crate) mod source;
pub(crate) mod values;

pub(crate) use self::refusal::Refusal;
