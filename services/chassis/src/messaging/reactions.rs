//! What one consumer does with an event: its policies give commands, or its views update read models.

use std::collections::BTreeSet;

use crate::{
    domain::event::Recorded,
    messaging::policies::{Policies, ReactError},
    store::{Savepoint, StoreError, Subjects, UnitOfWork, projections::Views},
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

    /// Applies an event.
    pub(super) async fn apply(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<(), ReactError> {
        match self {
            Self::Policies(policies) => policies.react(unit, event).await,
            Self::Views(views) => Ok(views.show(unit.conn(), event).await?),
        }
    }

    /// Applies an event within a savepoint. Returns why it failed if it did; its effect is rolled back then. Fails if the
    /// store fails.
    pub(super) async fn apply_in_savepoint(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<Option<String>, StoreError> {
        unit.savepoint(Savepoint::Set).await?;
        let mut applied = self.apply(unit, event).await;
        if applied.is_ok() {
            applied = unit.savepoint(Savepoint::Release).await.map_err(Into::into);
        }
        let Err(error) = applied else {
            return Ok(None);
        };
        if let Some(fault) = error.store_fault() {
            return Err(fault);
        }
        unit.savepoint(Savepoint::Back).await?;
        unit.savepoint(Savepoint::Release).await?;
        Ok(Some(error.to_string()))
    }
}
