//! A context at work: its store, its routes, and the workers that carry events and watch deadlines.
//!
//! A worker is a step plus a loop. Tests drive the steps ([`Site::step`]); a process runs the loops ([`Site::run`]).

use std::{path::Path, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    access::Access,
    bus::Bus,
    clock::Clock,
    consumer::{ConsumeError, Consumer},
    context::{Context, Deps, Logs, producer_of, views_of},
    deadline::{Deadlines, NotYet},
    faults::Faults,
    leading::{Lead, LeadSettings},
    peers::Peers,
    policy::Reactions,
    relay::relay_once,
    settings::Settings,
    store::{DatabaseSettings, Store, StoreError, StoreOptions},
};

/// How often a worker looks by itself, whatever it is told.
const TICK: Duration = Duration::from_millis(100);
/// How often the bus is told how far the log has come, whatever happens.
const BEAT: Duration = Duration::from_secs(1);
/// How long a worker rests after a failure.
const REST: Duration = Duration::from_millis(250);

/// Opens the store of a context in a directory, with its read models.
pub async fn open_store(
    context: &Context,
    dir: &Path,
    clock: Clock,
    faults: Faults,
) -> Result<Store, StoreError> {
    open_store_on(context, &DatabaseSettings::default(), dir, clock, faults).await
}

/// Opens the store of a context on its database, with its read models; if there is none, in a directory.
pub async fn open_store_on(
    context: &Context,
    database: &DatabaseSettings,
    dir: &Path,
    clock: Clock,
    faults: Faults,
) -> Result<Store, StoreError> {
    let own = |event_type: &str| producer_of(event_type) == Some(context.name);
    let options = StoreOptions {
        clock,
        faults,
        views: context.views.only(own),
        migrations: context.migrations,
    };
    if let Some(url) = database.url_of(context.name) {
        return Store::postgres(context.name, &url, database, options);
    }
    let path = dir.join(format!("{}.db", context.name));
    Store::sqlite(context.name, &path, options).await
}

/// What a site needs beside its own store.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The other contexts.
    pub peers: Peers,
    /// The logs it may listen to, by context.
    pub logs: Logs,
    /// Carries news of the logs.
    pub bus: Arc<dyn Bus>,
    /// Settings of the process.
    pub settings: Settings,
}

/// A context at work.
#[derive(Clone, Debug)]
pub struct Site {
    /// What it works with.
    pub deps: Deps,
    /// The context.
    pub context: Context,
    /// Its consumers: for policies and for views, one for each producer and partition.
    pub consumers: Vec<Consumer>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) lead: Lead,
    deadlines: Deadlines,
}

impl Site {
    /// Puts a context to work on its store.
    pub fn new(context: Context, store: Store, around: &Surroundings) -> Self {
        let context = context.tune(&around.settings);
        let deps = Deps {
            clock: store.clock().clone(),
            faults: store.faults().clone(),
            store,
            peers: around.peers.called_by(context.name),
            logs: around.logs.clone(),
            settings: around.settings.clone(),
        };
        let consumers = consumers(&context, &deps);
        let deadlines = Deadlines::new(deps.clone(), context.alarms.clone());
        let lead = Lead::new(context.name, &deps.settings::<LeadSettings>());
        Self {
            deps,
            context,
            consumers,
            bus: around.bus.clone(),
            lead,
            deadlines,
        }
    }

    /// What the context does once before it is ready ([`Context::on_start`]). A process calls it before it says that it
    /// serves, and tries again after a while if it could not be finished.
    pub async fn start(&self) -> Result<(), NotYet> {
        match &self.context.start {
            Some(start) => start(self.deps.clone()).await,
            None => Ok(()),
        }
    }

    /// Its gRPC services, guarded: what other contexts and clients may call.
    pub fn routes(&self, access: &Access) -> Routes {
        let routes = self.context.make_routes(&self.deps);
        access.guard(self.context.name, routes)
    }

    /// One step of every worker. Answers whether there was anything to do.
    pub async fn step(&self) -> Result<bool, StepError> {
        if self.deps.store.fenced().is_some() {
            return Ok(false);
        }
        let mut any = relay_once(&self.deps.store, &self.bus)
            .await
            .map_err(|error| StepError(error.to_string()))?;
        for consumer in &self.consumers {
            let mut feed = self.subscribe(consumer).await?;
            while let Some(signal) = feed.ready() {
                any |= consumer.consume(signal).await?;
                feed.taken().await;
            }
            any |= consumer.retry().await?;
        }
        for work in self
            .deadlines
            .due()
            .await
            .map_err(|error| StepError(error.to_string()))?
        {
            any |= work.await;
        }
        Ok(any)
    }

    /// Starts the loops of the workers, which work while this replica leads; they end when `stop` is cancelled, after the
    /// step in hand.
    pub fn run(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().lead(stop.clone()));
        tasks.spawn(self.clone().pass_on(stop.clone()));
        tasks
    }

    /// Whether this replica does the work of the context that nobody asks for, or stands by.
    pub fn leads(&self) -> bool {
        self.lead.is_leading()
    }

    pub(crate) fn workers(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().relay(stop.clone()));
        tasks.spawn(self.clone().beat(stop.clone()));
        tasks.spawn(self.clone().watch_deadlines(stop.clone()));
        for consumer in &self.consumers {
            tasks.spawn(self.clone().listen(consumer.clone(), stop.clone()));
            tasks.spawn(retry(consumer.clone(), stop.clone()));
        }
        tasks
    }

    /// What is left to do now, if anything is. What waits for its time is not.
    pub async fn busy(&self) -> Result<Option<String>, StoreError> {
        let name = self.context.name;
        if self.deps.store.fenced().is_some() {
            return Ok(None);
        }
        if self.deps.store.unnumbered().await? > 0 {
            return Ok(Some(format!("{name} has news to tell")));
        }
        for consumer in &self.consumers {
            if let Some(left) = consumer.busy().await? {
                return Ok(Some(left));
            }
        }
        if self.deadlines.busy().await? {
            return Ok(Some(format!("{name} has work that is due")));
        }
        Ok(None)
    }

    async fn subscribe(&self, consumer: &Consumer) -> Result<Box<dyn crate::bus::Feed>, StepError> {
        let topic = (consumer.producer().to_owned(), consumer.partition());
        self.bus
            .subscribe(topic, consumer.name())
            .await
            .map_err(|error| StepError(error.to_string()))
    }

    async fn relay(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        while !stop.is_cancelled() {
            commits.mark_unchanged();
            match relay_once(&self.deps.store, &self.bus).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(context = self.context.name, error = %error, "relay failed");
                    rest(&stop, REST).await;
                }
            }
            tokio::select! {
                _ = commits.changed() => {}
                () = rest(&stop, TICK) => {}
            }
        }
    }

    /// Tells the bus every now and then how far the log has come, so that a tail that was lost on the way is missed.
    async fn beat(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            for partition in 0..self.deps.store.partitions() {
                if let Ok(head) = self.deps.store.head(partition).await {
                    let topic = (self.context.name.to_owned(), partition);
                    self.bus.beat(&topic, head).await;
                }
            }
            rest(&stop, BEAT).await;
        }
    }

    async fn listen(self, consumer: Consumer, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let heard = tokio::select! {
                heard = self.hear(&consumer) => heard,
                () = stop.cancelled() => return,
            };
            if let Err(error) = heard {
                consumer.fails(&error);
                tracing::warn!(consumer = consumer.name(), producer = consumer.producer(), error = %error, "consumer failed");
                rest(&stop, REST).await;
            }
        }
    }

    /// Follows a feed until something fails; then a new one begins where the cursor is.
    async fn hear(&self, consumer: &Consumer) -> Result<(), StepError> {
        let mut feed = self.subscribe(consumer).await?;
        if let Err(error) = consumer.report().await {
            // The log can be away while the bus is there.
            tracing::debug!(consumer = consumer.name(), error = %error, "producer not told");
        }
        loop {
            let signal = feed
                .next()
                .await
                .map_err(|error| StepError(error.to_string()))?;
            consumer.consume(signal).await?;
            feed.taken().await;
        }
    }

    async fn watch_deadlines(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        let mut running: JoinSet<bool> = JoinSet::new();
        while !stop.is_cancelled() {
            commits.mark_unchanged();
            match self.deadlines.due().await {
                Ok(work) => work.into_iter().for_each(|work| {
                    running.spawn(work);
                }),
                Err(error) => {
                    tracing::warn!(context = self.context.name, error = %error, "deadlines failed");
                }
            }
            while running.try_join_next().is_some() {}
            tokio::select! {
                _ = commits.changed() => tokio::time::sleep(Duration::from_millis(2)).await,
                Some(_) = running.join_next() => {}
                () = rest(&stop, TICK) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

async fn retry(consumer: Consumer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match consumer.retry().await {
            Ok(true) => {}
            Ok(false) => rest(&stop, TICK).await,
            Err(error) => {
                tracing::warn!(consumer = consumer.name(), error = %error, "dead letters could not be tried");
                rest(&stop, REST).await;
            }
        }
    }
}

pub(crate) async fn rest(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// A step of a worker failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepError(String);

impl From<ConsumeError> for StepError {
    fn from(error: ConsumeError) -> Self {
        Self(error.to_string())
    }
}

/// The consumers of a context: policies and the views of other contexts' events apart, so that a view can be rebuilt.
fn consumers(context: &Context, deps: &Deps) -> Vec<Consumer> {
    let foreign = context
        .views
        .only(|event_type| producer_of(event_type) != Some(context.name));
    let mut consumers = Vec::new();
    for producer in context.listens_to() {
        let Some(log) = deps.logs.get(&producer) else {
            continue;
        };
        let of = |event_type: &str| producer_of(event_type) == Some(producer.as_str());
        let policies = context.policies.only(of);
        let views = foreign.only(of);
        // Partitions beyond the first come with the producer's setting.
        let topic = (producer.clone(), 0);
        if policies.iter().next().is_some() {
            let reactions = Reactions::Policies(policies);
            let name = context.name.to_owned();
            consumers.push(Consumer::new(
                name,
                topic.clone(),
                deps.store.clone(),
                log.clone(),
                reactions,
            ));
        }
        if views.iter().next().is_some() {
            let reactions = Reactions::Views(views);
            let name = views_of(context.name);
            consumers.push(Consumer::new(
                name,
                topic,
                deps.store.clone(),
                log.clone(),
                reactions,
            ));
        }
    }
    consumers
}

/// Steps sites until none has anything to do; fails if that takes more than `rounds`.
pub async fn settle(sites: &[Site], rounds: usize) -> Result<(), StepError> {
    for _ in 0..rounds {
        let mut any = false;
        for site in sites {
            any |= site.step().await?;
        }
        if !any {
            return Ok(());
        }
    }
    Err(StepError(format!("not quiet after {rounds} rounds")))
}
