//! A bounded context as a value: its routes, policies, views, events, deadlines and settings.

use std::{fmt, sync::Arc};

use clap::Args;
use futures::future::BoxFuture;
use tonic::service::Routes;

use crate::{
    domain::{
        aggregate::Aggregate,
        consumer_name::ConsumerName,
        event::{EventType, Publish},
        log_id::LogId,
    },
    messaging::policies::Policies,
    runtime::{
        deadlines::DueHandler,
        deps::{Deps, RetryLater},
        settings::{Settings, SettingsType},
    },
    store::{
        ClaimFormat, Migration,
        projections::Views,
        restorer::{Restore, Restorer},
    },
};

type RoutesOf = dyn Fn(&Deps) -> Routes + Send + Sync;
type Start = dyn Fn(Deps) -> BoxFuture<'static, Result<(), RetryLater>> + Send + Sync;

/// A bounded context.
#[derive(Clone)]
pub struct Context {
    /// Its name: also the package of its contract and the name of its process.
    pub name: &'static str,
    pub(crate) routes: Option<Arc<RoutesOf>>,
    /// Its policies.
    pub policies: Policies,
    /// Its read models.
    pub views: Views,
    /// The events it publishes.
    pub publishes: &'static [EventType],
    /// DDL of its read models.
    pub migrations: &'static [Migration],
    /// The formats of the claims of its aggregates.
    pub claims: Vec<ClaimFormat>,
    pub(crate) due_handlers: Vec<DueHandler>,
    pub(crate) start: Option<Arc<Start>>,
    /// Restorers of its aggregates from the log.
    pub restores: Vec<Restorer>,
    /// Its settings.
    pub settings: Vec<SettingsType>,
    tune: Option<fn(Context, &Settings) -> Context>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A context without any parts.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            routes: None,
            policies: Policies::new(),
            views: Views::new(),
            publishes: &[],
            migrations: &[],
            claims: Vec::new(),
            due_handlers: Vec::new(),
            start: None,
            restores: Vec::new(),
            settings: Vec::new(),
            tune: None,
        }
    }

    /// Its gRPC services.
    #[must_use]
    pub fn routes(mut self, routes: impl Fn(&Deps) -> Routes + Send + Sync + 'static) -> Self {
        self.routes = Some(Arc::new(routes));
        self
    }

    /// Its policies.
    #[must_use]
    pub fn policies(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// Its read models, and the DDL of their tables.
    #[must_use]
    pub fn views(mut self, views: Views, migrations: &'static [Migration]) -> Self {
        self.views = views;
        self.migrations = migrations;
        self
    }

    /// The events it publishes.
    #[must_use]
    pub fn publishes(mut self, events: &'static [EventType]) -> Self {
        self.publishes = events;
        self
    }

    /// Aggregates of this kind hold claims.
    #[must_use]
    pub fn claims<A: Aggregate>(mut self) -> Self {
        self.claims.push(ClaimFormat::of::<A>());
        self
    }

    /// Aggregates of this kind receive the command [`Aggregate::when_due`] when they are due.
    #[must_use]
    pub fn deadlines<A: Publish>(mut self) -> Self {
        self.due_handlers.push(DueHandler::command::<A>());
        self
    }

    /// A job runs for aggregates of this kind when they are due: `async fn(Deps, A::Id) -> Result<(), RetryLater>`.
    #[must_use]
    pub fn jobs<A, F, Fut>(mut self, job: F) -> Self
    where
        A: Publish,
        F: Fn(Deps, A::Id) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), RetryLater>> + Send + 'static,
    {
        self.due_handlers.push(DueHandler::job::<A, F, Fut>(job));
        self
    }

    /// Aggregates of this kind can be restored from the log.
    #[must_use]
    pub fn restores<A: Restore>(mut self) -> Self {
        self.restores.push(Restorer::of::<A>());
        self
    }

    /// A function that runs before the context is ready: `async fn(Deps) -> Result<(), RetryLater>`. It runs at every start,
    /// and again if it fails, so it must be idempotent. See [`crate::runtime::context_runtime::ContextRuntime::start`].
    #[must_use]
    pub fn on_start<F, Fut>(mut self, start: F) -> Self
    where
        F: Fn(Deps) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), RetryLater>> + Send + 'static,
    {
        self.start = Some(Arc::new(move |deps| Box::pin(start(deps))));
        self
    }

    /// Its settings: a struct of flags with defaults.
    #[must_use]
    pub fn settings<S: Args + Send + Sync + 'static>(mut self) -> Self {
        self.settings.push(SettingsType::of::<S>());
        self
    }

    /// Changes the context according to its settings, for example to fewer policies. The events that it consumes and
    /// publishes must stay the same.
    #[must_use]
    pub fn tuned(mut self, tune: fn(Self, &Settings) -> Self) -> Self {
        self.tune = Some(tune);
        self
    }

    /// The context, changed according to its settings.
    pub(crate) fn tune(self, settings: &Settings) -> Self {
        match self.tune {
            Some(tune) => tune(self, settings),
            None => self,
        }
    }

    /// Creates its gRPC services.
    pub fn make_routes(&self, deps: &Deps) -> Routes {
        self.routes
            .as_ref()
            .map_or_else(Routes::default, |routes| routes(deps))
    }

    /// The contexts whose events it consumes (the second part of `berth.<context>.v1.…`).
    pub fn listens_to(&self) -> Vec<String> {
        let types = self
            .policies
            .iter()
            .map(|policy| policy.event_type.as_str());
        let types = types.chain(self.views.iter().map(|view| view.event_type.as_str()));
        let mut producers: Vec<String> = types.filter_map(producer_of).map(str::to_owned).collect();
        producers.sort();
        producers.dedup();
        producers
    }

    /// Its consumers, by name and log: one for its policies, and one for its views of the events of other contexts.
    pub fn consumers(&self) -> Vec<(ConsumerName, LogId)> {
        let is_of = |event_type: &str, producer: &str| producer_of(event_type) == Some(producer);
        let mut consumers = Vec::new();
        for producer in self.listens_to() {
            let log = LogId::of(&producer);
            let mut policies = self.policies.iter();
            if policies.any(|policy| is_of(&policy.event_type, &producer)) {
                consumers.push((ConsumerName::of_policies(self.name), log.clone()));
            }
            let mut views = self.views.iter();
            if producer != self.name && views.any(|view| is_of(&view.event_type, &producer)) {
                consumers.push((ConsumerName::of_views(self.name), log));
            }
        }
        consumers
    }
}

/// The context that publishes an event type: `berth.<context>.v1.<Event>`.
pub fn producer_of(event_type: &str) -> Option<&str> {
    event_type.strip_prefix("berth.")?.split('.').next()
}
