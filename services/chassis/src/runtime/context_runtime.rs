//! A context at work: its store, its routes and its consumers, and single steps of its workers for tests.
//!
//! A worker is a step plus a loop. Tests drive the steps ([`ContextRuntime::step`]); a process runs the loops
//! ([`ContextRuntime::run`]).

use std::{fmt::Display, sync::Arc};

use tonic::service::Routes;

use crate::{
    client::peers::Peers,
    domain::consumer_name::ConsumerName,
    messaging::{
        bus::{Bus, Subscription},
        consumer::Consumer,
        reactions::Reactions,
        relay::relay_once,
    },
    runtime::{
        context::{Context, producer_of},
        deadlines::Deadlines,
        deps::{Deps, Logs, RetryLater},
        leader::{LeadSettings, Leader},
        settings::Settings,
    },
    security::access::Access,
    store::{Store, StoreError},
};

/// The connections of a context to other contexts.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// The services of other contexts.
    pub peers: Peers,
    /// The logs of other contexts.
    pub logs: Logs,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Settings of the process.
    pub settings: Settings,
}

/// A context at work.
#[derive(Clone, Debug)]
pub struct ContextRuntime {
    /// Its dependencies.
    pub deps: Deps,
    /// The context.
    pub context: Context,
    /// Its consumers: for policies and for views, one for each producer.
    pub consumers: Vec<Consumer>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) leader: Leader,
    pub(super) deadlines: Deadlines,
}

impl ContextRuntime {
    /// Connects a context with its store and its surroundings. Nothing runs yet.
    pub fn new(context: Context, store: Store, wiring: &Wiring) -> Self {
        let context = context.tune(&wiring.settings);
        let deps = Deps {
            clock: store.clock().clone(),
            faults: store.faults().clone(),
            store,
            peers: wiring.peers.called_by(context.name),
            logs: wiring.logs.clone(),
            settings: wiring.settings.clone(),
        };
        Self {
            consumers: consumers(&context, &deps),
            deadlines: Deadlines::new(deps.clone(), context.due_handlers.clone()),
            leader: Leader::new(deps.store.clone(), &deps.settings::<LeadSettings>()),
            bus: wiring.bus.clone(),
            deps,
            context,
        }
    }

    /// Runs [`Context::on_start`]. A process calls it before it is ready, and again after a while if it fails.
    pub async fn start(&self) -> Result<(), RetryLater> {
        match &self.context.start {
            Some(start) => start(self.deps.clone()).await,
            None => Ok(()),
        }
    }

    /// Its gRPC services, with access control, for clients and other contexts.
    pub fn routes(&self, access: &Access) -> Routes {
        let routes = self.context.make_routes(&self.deps);
        access.guard(self.context.name, routes)
    }

    /// Runs one step of every worker. Returns whether there was anything to do.
    pub async fn step(&self) -> Result<bool, StepError> {
        if self.deps.store.fenced().is_some() {
            return Ok(false);
        }
        let relayed = relay_once(&self.deps.store, &self.bus).await;
        let mut any = relayed.map_err(StepError::of)?;
        for consumer in &self.consumers {
            let mut subscription = self.subscribe(consumer).await?;
            while let Some(signal) = subscription.try_next() {
                let result = consumer.consume(signal).await;
                any |= result.map_err(StepError::of)?;
                subscription.acknowledge().await;
            }
            any |= consumer.retry().await.map_err(StepError::of)?;
        }
        for work in self.deadlines.due().await.map_err(StepError::of)? {
            any |= work.await;
        }
        Ok(any)
    }

    /// Whether this replica leads, and so runs the workers of the context.
    pub fn leads(&self) -> bool {
        self.leader.is_leading()
    }

    /// Returns the work that is left now, if any. Work that is not due yet does not count.
    pub async fn busy(&self) -> Result<Option<String>, StoreError> {
        let name = self.context.name;
        if self.deps.store.fenced().is_some() {
            return Ok(None);
        }
        if self.deps.store.unnumbered().await? > 0 {
            return Ok(Some(format!("{name} has events to publish")));
        }
        for consumer in &self.consumers {
            if let Some(work) = consumer.busy().await? {
                return Ok(Some(work));
            }
        }
        let due = self.deadlines.busy().await?;
        Ok(due.then(|| format!("{name} has aggregates that are due")))
    }

    pub(super) async fn subscribe(
        &self,
        consumer: &Consumer,
    ) -> Result<Box<dyn Subscription>, StepError> {
        let log = consumer.producer().clone();
        let subscribed = self.bus.subscribe(log, consumer.name()).await;
        subscribed.map_err(StepError::of)
    }
}

/// A step of a worker failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepError(pub String);

impl StepError {
    pub(super) fn of(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// The consumers of a context whose producers' logs are known.
fn consumers(context: &Context, deps: &Deps) -> Vec<Consumer> {
    let consumers = context.consumers().into_iter();
    let consumers = consumers.filter_map(|(name, producer)| {
        let log = deps.logs.get(producer.context())?.clone();
        let published = |event_type: &str| producer_of(event_type) == Some(producer.context());
        let reactions = if name == ConsumerName::of_policies(context.name) {
            Reactions::Policies(context.policies.only(published))
        } else {
            Reactions::Views(context.views.only(published))
        };
        let store = deps.store.clone();
        Some(Consumer::new(name, producer.clone(), store, log, reactions))
    });
    consumers.collect()
}
