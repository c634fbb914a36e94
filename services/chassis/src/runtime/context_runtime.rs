//! A context at work: its store, its routes, and the workers that carry events and watch deadlines.
//!
//! A worker is a step plus a loop. Tests drive the steps ([`ContextRuntime::step`]); a process runs the loops ([`ContextRuntime::run`]).

use std::sync::Arc;

use tonic::service::Routes;

use crate::{
    client::peers::Peers,
    domain::log_id::LogId,
    messaging::{
        bus::Bus,
        consumer::{ConsumeError, Consumer},
        policies::Reactions,
        relay::relay_once,
    },
    runtime::{
        context::{Context, producer_of, views_of},
        deadlines::Deadlines,
        deps::{Deps, Logs, RetryLater},
        leader::{LeadSettings, Leader},
        settings::Settings,
    },
    security::access::Access,
    store::{Store, StoreError},
};

/// What a site needs beside its own store.
#[derive(Clone, Debug)]
pub struct Wiring {
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
pub struct ContextRuntime {
    /// What it works with.
    pub deps: Deps,
    /// The context.
    pub context: Context,
    /// Its consumers: for policies and for views, one for each producer.
    pub consumers: Vec<Consumer>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) leader: Leader,
    pub(super) deadlines: Deadlines,
}

impl ContextRuntime {
    /// Puts a context to work on its store.
    pub fn new(context: Context, store: Store, around: &Wiring) -> Self {
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
        let leader = Leader::new(deps.store.clone(), &deps.settings::<LeadSettings>());
        Self {
            deps,
            context,
            consumers,
            bus: around.bus.clone(),
            leader,
            deadlines,
        }
    }

    /// What the context does once before it is ready ([`Context::on_start`]). A process calls it before it says that it
    /// serves, and tries again after a while if it could not be finished.
    pub async fn start(&self) -> Result<(), RetryLater> {
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

    /// Whether this replica does the work of the context that nobody asks for, or stands by.
    pub fn leads(&self) -> bool {
        self.leader.is_leading()
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

    pub(super) async fn subscribe(
        &self,
        consumer: &Consumer,
    ) -> Result<Box<dyn crate::messaging::bus::Feed>, StepError> {
        self.bus
            .subscribe(consumer.producer().clone(), consumer.name())
            .await
            .map_err(|error| StepError(error.to_string()))
    }
}

/// A step of a worker failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepError(pub String);

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
        let log_id = LogId::of(&producer);
        if policies.iter().next().is_some() {
            let reactions = Reactions::Policies(policies);
            let name = context.name.to_owned();
            consumers.push(Consumer::new(
                name,
                log_id.clone(),
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
                log_id,
                deps.store.clone(),
                log.clone(),
                reactions,
            ));
        }
    }
    consumers
}
