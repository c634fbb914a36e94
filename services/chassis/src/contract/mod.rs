//! The contracts: the options of every rpc, and the headers of a call.

pub mod headers;
pub mod rpcs;
