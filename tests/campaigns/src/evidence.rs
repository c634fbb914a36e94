//! The recorded events and states, read directly from the databases.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use berth::view::v1::RebuildRequest;
use chassis::{
    Store,
    base::{clock::Clock, faults::Faults},
    client::peers::Peers,
    messaging::{in_process::InProcess, log_reader::LogReader},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
        stores::open_store_on,
    },
    store::DatabaseSettings,
};
use mesh::Mesh;
use stories::{invariants, world};

use crate::crowd::Crowd;

/// The longest time without progress while the platform has work to do.
const STALL_TIMEOUT: Duration = Duration::from_mins(5);

/// The stores of a platform.
#[derive(Debug)]
pub struct Evidence {
    /// The contexts without running tasks, to query the remaining work.
    sites: Vec<ContextRuntime>,
}

impl Evidence {
    /// Opens the stores of a platform for reading.
    pub async fn of(mesh: &Mesh) -> Result<Self> {
        let postgres = mesh.postgres.as_ref().context("a database server")?;
        let url = postgres.url("postgres");
        let database = DatabaseSettings::of(&format!("{url}?options=-csearch_path%3D{{context}}"));
        let mut opened = Vec::new();
        for context in all::contexts() {
            let (clock, faults) = (Clock::System, Faults::default());
            let here = Path::new(".");
            let store = open_store_on(&context, &database, here, clock, faults).await?;
            opened.push((context, store));
        }
        let logs = opened.iter().map(|(context, store)| {
            let log: Arc<dyn LogReader> = Arc::new(store.clone());
            (context.name.to_owned(), log)
        });
        let around = Wiring {
            peers: Peers::new(),
            logs: Arc::new(logs.collect::<BTreeMap<_, _>>()),
            bus: InProcess::new(),
            settings: Settings::default(),
        };
        let sites = opened
            .into_iter()
            .map(|(context, store)| ContextRuntime::new(context, store, &around));
        Ok(Self {
            sites: sites.collect(),
        })
    }

    /// The store of a context.
    pub fn store(&self, context: &str) -> Result<&Store> {
        let site = self.sites.iter().find(|site| site.context.name == context);
        site.map(|site| &site.deps.store)
            .with_context(|| format!("no context {context}"))
    }

    /// Waits until no work is left, and returns the duration.
    pub async fn quiet(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut polls = tokio::time::interval(Duration::from_millis(50));
        let (mut calm, mut last, mut moved) = (0, None, began);
        loop {
            polls.tick().await;
            let mut busy = None;
            for site in &self.sites {
                if busy.is_none() {
                    busy = site.busy().await?;
                }
            }
            calm = if busy.is_none() { calm + 1 } else { 0 };
            // One poll proves nothing: contexts that were idle at its beginning may be busy at its end.
            if calm == 3 {
                return Ok(began.elapsed());
            }
            // The description of the work contains its progress, so a long backlog is no stall.
            if busy != last {
                (last, moved) = (busy, Instant::now());
            }
            if let Some(busy) = &last
                && moved.elapsed() > STALL_TIMEOUT
            {
                bail!("not quiet after {:?}: {busy}", began.elapsed());
            }
        }
    }

    /// Waits until no work is left, and checks that every invariant holds, that the view equals a rebuilt one, that there
    /// are no dead letters, and that every confirmed booking is recorded.
    pub async fn check(&self, crowd: &Crowd) -> Result<()> {
        self.quiet().await?;
        let mut stores = BTreeMap::new();
        for site in &self.sites {
            stores.insert(site.context.name.to_owned(), site.deps.store.clone());
        }
        let any = stores.values().next().context("a store")?.clone();
        let store = |context: &str| stores.get(context).unwrap_or(&any).clone();
        let mut history = world::history(&store).await;
        let operator = crowd.operator().await?;
        let mut views = operator.views();
        let rebuilt = views.rebuild(RebuildRequest {}).await?.into_inner();
        history.view_differs = !rebuilt.equal;
        let broken = invariants::check(&history);
        ensure!(broken.is_empty(), "{broken:#?}");
        let made = history.by_reservation().len();
        ensure!(
            made >= crowd.bookings(),
            "{made} reservations are recorded, {} were answered",
            crowd.bookings()
        );
        for (context, store) in &stores {
            let first = (String::new(), String::new(), 0);
            let dead_letters = store.dead_letters(first, 10).await?;
            ensure!(
                dead_letters.is_empty(),
                "dead letters of {context}: {dead_letters:#?}"
            );
        }
        Ok(())
    }
}
