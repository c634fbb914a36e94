//! Why a platform could not be started.

use std::{io, net::SocketAddr};

use crate::{
    messaging::jetstream::NatsError, security::service_identity::BadServiceKey, store::StoreError,
};

/// Why a platform could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("data directory {0} cannot be used: {1}")]
    DataDir(String, io::Error),
    /// Another process uses the data directory.
    #[error("data directory {0} is in use by another process")]
    InUse(String),
    /// A port cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A store cannot be opened.
    #[error("store of {0} cannot be opened: {1}")]
    Store(&'static str, StoreError),
    /// The address of another process is invalid.
    #[error("address of {0} is invalid: {1}")]
    Address(String, tonic::transport::Error),
    /// The service key cannot be used.
    #[error("{0}")]
    ServiceKey(#[from] BadServiceKey),
    /// The settings of the broker are invalid.
    #[error("{0}")]
    Nats(#[from] NatsError),
    /// Contexts in several processes need the broker.
    #[error(
        "--nats-url (BERTH_NATS_URL) is missing: contexts in several processes need the broker"
    )]
    NoBroker,
    /// The contracts cannot be described.
    #[error("contracts cannot be described: {0}")]
    Contracts(#[from] tonic_reflection::server::Error),
    /// The Tokio runtime could not be created, or the start was aborted.
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

impl StartError {
    /// Whether the settings of the process are the cause.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Address(..) | Self::ServiceKey(_) | Self::Nats(_) | Self::NoBroker
        )
    }
}
