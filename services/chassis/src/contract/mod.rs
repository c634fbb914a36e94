//! The contracts as data: what the descriptors say about every rpc, and the headers of a call.

pub mod headers;
pub mod rpcs;
