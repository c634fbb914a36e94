//! Options of a platform beside its contexts.

use std::{net::SocketAddr, path::Path, sync::Arc};

use crate::{
    base::{clock::Clock, faults::Faults},
    client::addresses::Addresses,
    messaging::bus::Bus,
    runtime::{config::Config, settings::Settings},
    telemetry::LogFilter,
};

/// Options of a platform beside its contexts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the process, for example `berth` or a context's name.
    pub process: String,
    /// Settings of the process.
    pub config: Config,
    /// Settings of the contexts; missing ones have their defaults.
    pub settings: Settings,
    /// The clock.
    pub clock: Clock,
    /// Faults injected by a test.
    pub faults: Faults,
    /// The log filter, which can be changed on the admin port.
    pub log: Option<LogFilter>,
    /// Public ports of the contexts in other processes.
    pub peers: Addresses,
    /// Admin ports of the contexts in other processes whose logs are consumed.
    pub logs: Addresses,
    /// The bus; default: JetStream if NATS is configured, else the bus inside one process.
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
    /// The defaults, in a directory, on free ports. For tests.
    pub fn in_dir(dir: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Self::default();
        dir.clone_into(&mut options.config.data_dir);
        options.config.listen = any;
        options.config.admin_listen = any;
        options
    }
}
