//! What a context is given to work with.

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

/// What a context is given to work with. Clones are the same things.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Its store.
    pub store: Store,
    /// The other contexts' services.
    pub peers: Peers,
    /// The logs of the contexts it listens to, by name.
    pub logs: Logs,
    /// Tells the time.
    pub clock: Clock,
    /// What a test breaks.
    pub faults: Faults,
    /// The settings of the contexts of this process.
    pub settings: Settings,
}

impl Deps {
    /// The context's settings, declared with [`Context::settings`]; their defaults if they were not.
    pub fn settings<S: Args + Send + Sync + 'static>(&self) -> Arc<S> {
        let read = || {
            Settings::defaults(&[SettingsType::of::<S>()])
                .ok()?
                .get::<S>()
        };
        #[expect(
            clippy::expect_used,
            reason = "settings have defaults: a required flag is a bug a first start shows"
        )]
        self.settings
            .get::<S>()
            .or_else(read)
            .expect("settings without defaults")
    }
}

/// The logs of the contexts that this one listens to, by name.
pub type Logs = Arc<BTreeMap<String, Arc<dyn LogReader>>>;

/// An job could not be finished and is to be run again.
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
