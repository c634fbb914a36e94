//! Policies: the commands that a context gives to its aggregates when an event has happened.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use prost::{Message, Name};

use crate::{
    base::faults::Injected,
    domain::event::{Cause, Malformed, Publish, Received, Recorded},
    store::{
        AsStoreError, ExecuteError, StoreError, Subjects, UnitOfWork, projections::ProjectionError,
    },
};

/// The commands that a policy returns, on aggregates of its own context.
#[derive(Clone, Debug)]
pub struct Then<A: Publish>(Vec<(A::Id, A::Command)>, Option<IfLost>);

impl<A: Publish> Then<A> {
    /// No command.
    pub fn nothing() -> Self {
        Self(Vec::new(), None)
    }

    /// One command.
    pub fn on(id: A::Id, command: A::Command) -> Self {
        Self(vec![(id, command)], None)
    }

    /// Another command, given instead if a command is refused because its aggregate does not exist and an operator has
    /// accepted that this context lost events. Any other refusal is retried.
    #[must_use]
    pub fn if_lost<B: Publish>(mut self, id: B::Id, command: B::Command) -> Self {
        self.1 = Some(IfLost(Arc::new(move |unit, cause| {
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

    async fn give(self, unit: &mut UnitOfWork<'_>, cause: &Cause) -> Result<(), ReactError> {
        let Self(commands, if_lost) = self;
        for (id, command) in commands {
            let given = give::<A>(unit, id, &command, cause).await;
            match (given, &if_lost) {
                (Err(ReactError::Refused(_)), Some(IfLost(fallback)))
                    if unit.has_losses().await? && unit.load::<A>(id).await?.is_none() =>
                {
                    fallback(unit, cause).await?;
                }
                (given, _) => given?,
            }
        }
        Ok(())
    }
}

/// The cause of the commands that policies give because of an event.
fn cause_of(event: &Recorded) -> Cause {
    Cause {
        actor: format!("service:{}", event.producer),
        causation: event.id.clone(),
        correlation: event.cause.correlation.clone(),
        traceparent: event.cause.traceparent.clone(),
    }
}

/// Why an event could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReactError {
    /// The event violates its contract.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The aggregate refused the command; a retry may succeed.
    #[error("refused: {0}")]
    Refused(String),
    /// The handler panicked.
    #[error("panicked")]
    Panicked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault injected by a test.
    #[error(transparent)]
    Fault(#[from] Injected),
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

impl ReactError {
    /// The error of the store if it fails the whole step, and not only this event.
    pub(super) fn store_fault(&self) -> Option<StoreError> {
        use StoreError::{Contended, Fenced, Unavailable};
        let fault = self.as_store_error();
        fault
            .filter(|error| matches!(error, Unavailable(_) | Contended | Fenced(_)))
            .cloned()
    }
}

impl AsStoreError for ReactError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

type Fallback = dyn for<'u> Fn(&'u mut UnitOfWork<'_>, &'u Cause) -> BoxFuture<'u, Result<(), ReactError>>
    + Send
    + Sync;

/// The command of [`Then::if_lost`].
#[derive(Clone)]
struct IfLost(Arc<Fallback>);

impl fmt::Debug for IfLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fallback")
    }
}

/// Gives a command to an aggregate.
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

/// A policy: the commands to give when an event has happened.
#[derive(Clone)]
pub struct Policy {
    /// Its name, never changed.
    pub slug: &'static str,
    /// The event type that it handles.
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
    /// No policies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a policy: when `E` has happened, the commands that `policy` returns are given.
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
            let received = recorded.receive::<E>().map_err(Malformed::because);
            if let Ok(Then(commands, _)) = received.and_then(|received| pure(received)) {
                let ids = commands.into_iter().map(|(id, _)| id.to_string());
                subjects.entry(A::KIND).or_default().extend(ids);
            }
        });
        let react: Arc<React> = Arc::new(move |unit, recorded| {
            let policy = policy.clone();
            Box::pin(async move {
                let received = recorded.receive::<E>().map_err(Malformed::because)?;
                policy(received)?.give(unit, &cause_of(recorded)).await
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

    /// Returns the policies for some event types.
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

    /// Adds the aggregates that will receive commands because of the event, as far as that is known before it is applied.
    pub(super) fn add_subjects(&self, event: &Recorded, subjects: &mut Subjects) {
        let handles = |policy: &&Policy| policy.event_type == event.event_type;
        for policy in self.0.iter().filter(handles) {
            let add = AssertUnwindSafe(|| (policy.subjects)(event, subjects));
            // A policy that panics here panics again when the event is applied, and is reported then.
            let _ = std::panic::catch_unwind(add);
        }
    }

    /// Applies every policy that handles the event. A panic of a policy is the failure of one event, not of the process.
    pub(super) async fn react(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<(), ReactError> {
        let handles = |policy: &&Policy| policy.event_type == event.event_type;
        for policy in self.0.iter().filter(handles) {
            let reaction = AssertUnwindSafe((policy.react)(unit, event));
            let reacted = reaction.catch_unwind().await;
            reacted.unwrap_or(Err(ReactError::Panicked))?;
        }
        Ok(())
    }
}
