//! Calls to other contexts: peers, retries, the circuit breaker, and the keys that `member` publishes.

pub mod addresses;
mod breaker;
mod call_path;
pub mod peers;
mod remote;
mod response;
mod retry;
pub mod trust_renewal;
