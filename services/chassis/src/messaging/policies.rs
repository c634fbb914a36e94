//! Policies and views: what a context does whenever something has happened.

use std::{collections::BTreeSet, fmt, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use prost::{Message, Name};

use crate::{
    domain::event::{Cause, Malformed, Publish, Received, Recorded},
    store::{
        AsStoreError, ExecuteError, StoreError, Subjects, UnitOfWork,
        projections::{ProjectionError, Views},
    },
};

/// What a policy wants done: commands on aggregates of its own context.
#[derive(Clone, Debug)]
pub struct Then<A: Publish>(Vec<(A::Id, A::Command)>, Option<Otherwise>);

impl<A: Publish> Then<A> {
    /// Nothing.
    pub fn nothing() -> Self {
        Self(Vec::new(), None)
    }

    /// One command.
    pub fn on(id: A::Id, command: A::Command) -> Self {
        Self(vec![(id, command)], None)
    }

    /// If a command is refused because there is no such aggregate, and an operator has accepted that something was lost
    /// from this context, another command instead. Otherwise it is a refusal as any other, and tried again.
    #[must_use]
    pub fn if_lost<B: Publish>(mut self, id: B::Id, command: B::Command) -> Self {
        self.1 = Some(Otherwise(Arc::new(move |unit, cause| {
            let command = command.clone();
            Box::pin(async move { give::<B>(unit, id, &command, cause).await })
        })));
        self
    }

    /// One more command.
    #[must_use]
    pub fn and(mut self, id: A::Id, command: A::Command) -> Self {
        self.0.push((id, command));
        self
    }
}

impl From<ProjectionError> for ReactError {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Malformed(malformed) => Self::Malformed(malformed),
            ProjectionError::Panicked => Self::Panicked,
            ProjectionError::Store(error) => Self::Store(error),
        }
    }
}

/// Why an event could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReactError {
    /// The event breaks its contract.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The domain said no: not yet, perhaps.
    #[error("refused: {0}")]
    Refused(String),
    /// The handler panicked.
    #[error("panicked")]
    Panicked,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ReactError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

type Instead = dyn for<'u> Fn(&'u mut UnitOfWork<'_>, &'u Cause) -> BoxFuture<'u, Result<(), ReactError>>
    + Send
    + Sync;

/// What is done instead.
#[derive(Clone)]
struct Otherwise(Arc<Instead>);

impl fmt::Debug for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something else")
    }
}

/// Gives a command.
async fn give<A: Publish>(
    unit: &mut UnitOfWork<'_>,
    id: A::Id,
    command: &A::Command,
    cause: &Cause,
) -> Result<(), ReactError> {
    match unit.execute::<A>(id, command, cause).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Refused(refusal)) => Err(ReactError::Refused(refusal.to_string())),
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}

type Subject = dyn Fn(&Recorded, &mut Subjects) + Send + Sync;
type React = dyn for<'u> Fn(&'u mut UnitOfWork<'_>, &'u Recorded) -> BoxFuture<'u, Result<(), ReactError>>
    + Send
    + Sync;
/// A policy: whenever an event has happened, commands are given.
#[derive(Clone)]
pub struct Policy {
    /// Names it for ever.
    pub slug: &'static str,
    /// The event it listens to.
    pub event_type: String,
    subjects: Arc<Subject>,
    react: Arc<React>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} whenever {}", self.slug, self.event_type)
    }
}

/// The policies of a context, in the order in which they react to the same event.
#[derive(Clone, Debug, Default)]
pub struct Policies(Vec<Policy>);

impl Policies {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more: whenever `E` has happened, give the commands that `policy` answers.
    #[must_use]
    pub fn whenever<E, A, P>(mut self, slug: &'static str, policy: P) -> Self
    where
        E: Message + Name + Default + 'static,
        A: Publish,
        P: Fn(Received<E>) -> Result<Then<A>, Malformed> + Send + Sync + 'static,
    {
        let policy = Arc::new(policy);
        let pure = policy.clone();
        let subjects: Arc<Subject> = Arc::new(move |recorded, subjects| {
            let heard = recorded.receive::<E>().map_err(Malformed::because);
            if let Ok(Then(commands, _)) = heard.and_then(|heard| pure(heard)) {
                let ids = commands.into_iter().map(|(id, _)| id.to_string());
                subjects.entry(A::KIND).or_default().extend(ids);
            }
        });
        let react: Arc<React> = Arc::new(move |unit, recorded| {
            let policy = policy.clone();
            Box::pin(async move {
                let heard = recorded.receive::<E>().map_err(Malformed::because)?;
                let Then(commands, otherwise) = policy(heard)?;
                let cause = Cause {
                    actor: format!("service:{}", recorded.producer),
                    causation: recorded.id.clone(),
                    correlation: recorded.cause.correlation.clone(),
                    traceparent: recorded.cause.traceparent.clone(),
                };
                for (id, command) in commands {
                    let given = give::<A>(unit, id, &command, &cause).await;
                    match (given, &otherwise) {
                        (Err(ReactError::Refused(_)), Some(Otherwise(instead)))
                            if unit.has_losses().await? && unit.load::<A>(id).await?.is_none() =>
                        {
                            instead(unit, &cause).await?;
                        }
                        (given, _) => given?,
                    }
                }
                Ok(())
            })
        });
        self.0.push(Policy {
            slug,
            event_type: E::full_name(),
            subjects,
            react,
        });
        self
    }

    /// The policies.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.iter()
    }

    /// Only those on some events.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|policy| keep(&policy.event_type))
                .cloned()
                .collect(),
        )
    }

    /// Adds the aggregates that will be given commands because of the event, as far as they can be told before.
    fn add_subjects(&self, event: &Recorded, subjects: &mut Subjects) {
        let listen = |policy: &&Policy| policy.event_type == event.event_type;
        for policy in self.0.iter().filter(listen) {
            let add = AssertUnwindSafe(|| (policy.subjects)(event, subjects));
            // A policy that panics does it again when it reacts, and is heard then.
            let _ = std::panic::catch_unwind(add);
        }
    }

    /// Has every policy that listens to the event react.
    pub(crate) async fn react(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<(), ReactError> {
        for policy in self
            .0
            .iter()
            .filter(|policy| policy.event_type == event.event_type)
        {
            unpanicked((policy.react)(unit, event)).await?;
        }
        Ok(())
    }
}

/// What one consumer does with events: policies, or views.
#[derive(Clone, Debug)]
pub(crate) enum Reactions {
    Policies(Policies),
    Views(Views),
}

impl Reactions {
    /// The types it listens to.
    pub(crate) fn types(&self) -> BTreeSet<String> {
        match self {
            Self::Policies(policies) => policies
                .iter()
                .map(|policy| policy.event_type.clone())
                .collect(),
            Self::Views(views) => views.iter().map(|view| view.event_type.clone()).collect(),
        }
    }

    /// The aggregates that will be given commands because of events.
    pub(crate) fn subjects<'e>(&self, events: impl Iterator<Item = &'e Recorded>) -> Subjects {
        let mut subjects = Subjects::new();
        if let Self::Policies(policies) = self {
            events.for_each(|event| policies.add_subjects(event, &mut subjects));
        }
        subjects
    }

    pub(crate) async fn react(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<(), ReactError> {
        match self {
            Self::Policies(policies) => policies.react(unit, event).await,
            Self::Views(views) => Ok(views.show(unit.conn(), event).await?),
        }
    }
}

/// A handler's panic is a fault of one event, not of the process.
async fn unpanicked(reaction: BoxFuture<'_, Result<(), ReactError>>) -> Result<(), ReactError> {
    AssertUnwindSafe(reaction)
        .catch_unwind()
        .await
        .unwrap_or(Err(ReactError::Panicked))
}
