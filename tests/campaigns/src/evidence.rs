//! What is recorded, read from the databases past all processes.

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

/// How long a platform that is not at rest may stay as it is.
const PATIENCE: Duration = Duration::from_mins(5);

/// The stores of a platform.
#[derive(Debug)]
pub struct Evidence {
    /// The contexts as nobody runs them: to see what is left to do.
    sites: Vec<ContextRuntime>,
}

impl Evidence {
    /// Opens the stores of a platform, to be read.
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

    /// Waits until nothing is left to do now. Answers how long that took.
    pub async fn quiet(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let (mut calm, mut last, mut moved) = (0, None, began);
        loop {
            looks.tick().await;
            let mut busy = None;
            for site in &self.sites {
                if busy.is_none() {
                    busy = site.busy().await?;
                }
            }
            calm = if busy.is_none() { calm + 1 } else { 0 };
            // One look is no proof: what was seen at its beginning may have changed by its end.
            if calm == 3 {
                return Ok(began.elapsed());
            }
            // What is left is told with how far it has come, so a long backlog is no standstill.
            if busy != last {
                (last, moved) = (busy, Instant::now());
            }
            if let Some(busy) = &last
                && moved.elapsed() > PATIENCE
            {
                bail!("not quiet after {:?}: {busy}", began.elapsed());
            }
        }
    }

    /// Comes to rest, and checks every invariant, that the view equals one built anew, that there are no dead letters, and
    /// that everybody who was told so has a reservation.
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
            let letters = store.dead_letters(first, 10).await?;
            ensure!(
                letters.is_empty(),
                "dead letters of {context}: {letters:#?}"
            );
        }
        Ok(())
    }
}
