//! The dependencies of a context.

use std::{collections::BTreeMap, sync::Arc};

use clap::Args;

use crate::{
    base::{clock::Clock, faults::Faults},
    client::peers::Peers,
    error::refusal::Refused,
    messaging::log_reader::LogReader,
    runtime::settings::{Settings, SettingsType},
    store::{ExecuteError, Store, StoreError},
};

/// The dependencies of a context. Clones share them.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Its store.
    pub store: Store,
    /// The services of other contexts.
    pub peers: Peers,
    /// The logs of the contexts whose events it consumes, by name.
    pub logs: Logs,
    /// The clock.
    pub clock: Clock,
    /// Faults injected by a test.
    pub faults: Faults,
    /// The settings of the contexts of this process.
    pub settings: Settings,
}

impl Deps {
    /// The context's settings, declared with [`Context::settings`](crate::Context::settings); the defaults if they are not.
    pub fn settings<S: Args + Send + Sync + 'static>(&self) -> Arc<S> {
        let read = || {
            Settings::defaults(&[SettingsType::of::<S>()])
                .ok()?
                .get::<S>()
        };
        #[expect(
            clippy::expect_used,
            reason = "settings have defaults: the first start shows the bug of a required flag"
        )]
        self.settings
            .get::<S>()
            .or_else(read)
            .expect("settings without defaults")
    }
}

/// The logs of the contexts whose events a context consumes, by name.
pub type Logs = Arc<BTreeMap<String, Arc<dyn LogReader>>>;

/// A job failed and must run again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RetryLater(pub String);

impl From<StoreError> for RetryLater {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl<R: Refused> From<ExecuteError<R>> for RetryLater {
    fn from(error: ExecuteError<R>) -> Self {
        Self(error.to_string())
    }
}

impl From<tonic::Status> for RetryLater {
    fn from(status: tonic::Status) -> Self {
        Self(format!("{}: {}", status.code(), status.message()))
    }
}
