//! What one consumer does with an event: its policies give commands, or its views update read models.

use std::collections::BTreeSet;

use tracing::{Instrument, Span, field::Empty};

use crate::{
    base::faults::Faults,
    domain::{consumer_name::ConsumerName, event::Recorded},
    messaging::policies::{Policies, ReactError},
    store::{StoreError, Subjects, UnitOfWork, projections::Views},
    telemetry::traces,
};

/// What one consumer does with an event.
#[derive(Clone, Debug)]
pub(crate) enum Reactions {
    Policies(Policies),
    Views(Views),
}

impl Reactions {
    /// The event types that it handles.
    pub(super) fn types(&self) -> BTreeSet<String> {
        match self {
            Self::Policies(policies) => policies.iter().map(|p| p.event_type.clone()).collect(),
            Self::Views(views) => views.iter().map(|view| view.event_type.clone()).collect(),
        }
    }

    /// The aggregates that will receive commands because of some events.
    pub(super) fn subjects<'e>(&self, events: impl Iterator<Item = &'e Recorded>) -> Subjects {
        let mut subjects = Subjects::new();
        if let Self::Policies(policies) = self {
            events.for_each(|event| policies.add_subjects(event, &mut subjects));
        }
        subjects
    }

    /// Locks what it writes until the transaction ends, if consumers of several producers write the same rows. Everything
    /// that applies events calls it first: a batch, the retry of a dead letter, a rebuild.
    pub(super) async fn lock(
        &self,
        unit: &mut UnitOfWork<'_>,
        consumer: &ConsumerName,
    ) -> Result<(), StoreError> {
        match self {
            // Aggregates have versions.
            Self::Policies(_) => Ok(()),
            Self::Views(_) => unit.lock_views(consumer).await,
        }
    }

    /// Applies an event for a consumer.
    pub(super) async fn apply(
        &self,
        unit: &mut UnitOfWork<'_>,
        consumer: &ConsumerName,
        event: &Recorded,
        faults: &Faults,
    ) -> Result<(), ReactError> {
        faults.pass_named(|| format!("event.{consumer}.{}", event.id))?;
        let applied = async {
            match self {
                Self::Policies(policies) => policies.react(unit, event).await,
                Self::Views(views) => Ok(views.show(unit.conn(), event).await?),
            }
        };
        applied.instrument(span(consumer, event)).await
    }
}

/// The span of one event in the trace of the request that caused it. None if that request has no trace.
fn span(consumer: &ConsumerName, event: &Recorded) -> Span {
    let traceparent = &event.cause.traceparent;
    if traceparent.is_empty() {
        return Span::none();
    }
    let span = tracing::info_span!("event", %consumer, event.id = %event.id, event.type = %event.event_type,
        otel.kind = "consumer", trace = Empty);
    traces::join_cause(&span, traceparent);
    span
}
