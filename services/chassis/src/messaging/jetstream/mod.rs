//! The bus between processes: NATS JetStream.
//!
//! Each producing context has a stream, each consumer a durable consumer on it. The broker is fast, and only that: the
//! cursor of a consumer is in its own database, repeated events are skipped, and missing events are read from the log of the
//! producer. So the broker may be away, come back empty or lose what it has acknowledged: events are late, but none is lost.
//!
//! Memory is bounded: a subscription requests at most one batch, a subscription and the connection have queues of a fixed
//! length, and messages that do not fit are dropped, because the log has the events.

mod broker;
mod bus;
mod cloudevents;
mod connection;
mod heartbeats;
mod publisher;
mod pull;
mod read_back;
mod settings;
mod streams;
mod subjects;
mod subscription;
mod wake;

pub use crate::messaging::jetstream::{
    bus::JetStream,
    settings::{NatsError, NatsSettings},
    subjects::Permissions,
};
