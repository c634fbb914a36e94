//! Calls to other contexts: peers, retries, the circuit breaker, and the keys that `member` publishes.

pub mod addresses;
mod answer;
mod breaker;
pub mod peers;
mod remote;
mod retry;
pub mod trust_renewal;
