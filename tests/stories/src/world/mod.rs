//! The world of a story: a platform in this process with its real ports, a manual clock, and injected faults.

mod backup;
mod broker;
mod evidence;
mod gate;
mod members;
mod process;
mod processes;
mod quiet;
mod setup;
mod words;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use chassis::{
    Store,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
        time::Timestamp,
    },
    messaging::bus::Bus,
    runtime::{context_runtime::ContextRuntime, options::Options},
};
use tempfile::TempDir;

use self::setup::Infrastructure;
pub use self::{
    backup::Backup,
    evidence::history,
    gate::Gate,
    process::Process,
    words::{eur, eventually, hours, nights},
};
use crate::{
    mode::Mode,
    people::{Line, Person},
};

/// The time at which stories begin: a Monday, noon in UTC.
pub const BEGIN: &str = "2027-03-01T12:00:00Z";

/// Address of the operator.
pub const ADMIN: &str = "admin@stories.example";

/// The world of one story.
#[derive(Debug)]
pub struct World {
    processes: Vec<Process>,
    line: Line,
    /// The clock of the platform.
    pub clock: ManualClock,
    /// The injected faults.
    pub faults: Faults,
    people: Mutex<Vec<Person>>,
    ids: AtomicU64,
    infrastructure: Infrastructure,
    _dir: TempDir,
}

impl World {
    /// A new world with the operator as its only member.
    pub async fn start(mode: Mode) -> Self {
        Self::with_flags(mode, &[]).await
    }

    /// A new world with flags for the platform.
    pub async fn with_flags(mode: Mode, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(mode, dir, BEGIN.parse().expect("a time"), flags, None).await
    }

    /// A new world with its own bus.
    pub async fn on_bus(mode: Mode, bus: Arc<dyn Bus>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(mode, dir, BEGIN.parse().expect("a time"), &[], Some(bus)).await
    }

    /// A new world whose broker is unavailable until [`World::broker`] is opened.
    pub async fn without_broker(mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let infrastructure = Infrastructure::of(mode).await;
        infrastructure.broker().shut();
        let begin = BEGIN.parse().expect("a time");
        Self::within(infrastructure, mode, dir, begin, &[], None).await
    }

    /// A world in one process on an existing data directory, at a time.
    pub async fn found(dir: TempDir, at: Timestamp) -> Self {
        Self::of(Mode::One, dir, at, &[], None).await
    }

    async fn of(
        mode: Mode,
        dir: TempDir,
        at: Timestamp,
        flags: &[&str],
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        Self::within(Infrastructure::of(mode).await, mode, dir, at, flags, bus).await
    }

    async fn within(
        infrastructure: Infrastructure,
        mode: Mode,
        dir: TempDir,
        at: Timestamp,
        flags: &[&str],
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        let clock = ManualClock::new(at);
        let faults = Faults::default();
        let base = Options {
            settings: setup::settings(flags),
            clock: Clock::Manual(clock.clone()),
            faults: faults.clone(),
            bus,
            ..Options::in_dir(dir.path())
        };
        let mut world = Self {
            processes: infrastructure.processes(mode, dir.path(), &base).await,
            line: Line::default(),
            clock,
            faults,
            people: Mutex::default(),
            ids: AtomicU64::new(1),
            infrastructure,
            _dir: dir,
        };
        world.restart().await;
        world
    }

    /// The address of the admin port of a running context.
    pub fn admin_port(&self, context: &str) -> SocketAddr {
        let runs = |process: &&Process| {
            process
                .runtimes()
                .iter()
                .any(|runtime| runtime.context.name == context)
        };
        let process = self.processes.iter().find(runs);
        process.expect("a running process").admin()
    }

    /// The gate before the database of a context.
    pub fn database(&self, context: &str) -> &Gate {
        self.infrastructure.database(context)
    }

    /// The gate before the broker.
    pub fn broker(&self) -> &Gate {
        self.infrastructure.broker()
    }

    /// The running contexts, one for each replica.
    pub fn runtimes(&self) -> impl Iterator<Item = &ContextRuntime> {
        self.processes.iter().flat_map(Process::runtimes)
    }

    /// The running replicas of a context.
    pub fn runtimes_of(&self, context: &str) -> impl Iterator<Item = &ContextRuntime> {
        self.runtimes()
            .filter(move |runtime| runtime.context.name == context)
    }

    /// A running context; of several replicas the first.
    pub fn runtime(&self, context: &str) -> &ContextRuntime {
        let found = self.runtimes_of(context).next();
        found.expect("a running context")
    }

    /// The store of a context.
    pub fn store(&self, context: &str) -> &Store {
        &self.runtime(context).deps.store
    }

    fn people(&self) -> std::sync::MutexGuard<'_, Vec<Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
