//! The ports of a process: gRPC over HTTP/2 without TLS (the mesh has it), with a limit for everything a caller can use up.

pub(crate) mod admin;
mod concurrency;
mod delivery;
pub mod health;
mod http1;
mod http2;
pub mod limits;
mod listener;
mod message_limits;
mod pending_requests;
mod pipeline;
mod port;
mod reflection;
mod rpc_metrics;
mod services;
mod shares;
mod source;

pub use self::{
    listener::Connection,
    pipeline::RequestPipeline,
    port::serve,
    reflection::with_reflection,
    services::Services,
    source::{Proxies, Source, Trusted},
};
pub use crate::contract::rpcs::services_of;
