//! How a platform runs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use crate::{
    base::{clock::Clock, faults::Faults},
    client::addresses::Addresses,
    messaging::bus::Bus,
    runtime::{config::Config, settings::Settings},
    telemetry::LogFilter,
};

/// What a platform is made of beside its contexts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the process, for example `berth` or a context's name.
    pub process: String,
    /// What every process is told.
    pub config: Config,
    /// Settings of the contexts; what is missing has its default.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// What a test breaks.
    pub faults: Faults,
    /// The log filter, to be changed on the admin port.
    pub log: Option<LogFilter>,
    /// Contexts that run elsewhere, by their ports.
    pub peers: Addresses,
    /// Contexts that run elsewhere and whose logs are listened to, by their admin ports.
    pub logs: Addresses,
    /// Carries news between the contexts; none means the one that suits where they run.
    pub bus: Option<Arc<dyn Bus>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            process: "berth".to_owned(),
            config: Config::default(),
            settings: Settings::default(),
            clock: Clock::System,
            faults: Faults::default(),
            log: None,
            peers: Addresses::default(),
            logs: Addresses::default(),
            bus: None,
        }
    }
}

impl Options {
    /// The defaults, in a directory, on ports that the system chooses. For tests.
    pub fn in_dir(dir: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Self::default();
        dir.clone_into(&mut options.config.data_dir);
        options.config.listen = any;
        options.config.admin_listen = any;
        options
    }
}
