//! The payment provider: the port, and the simulator behind it.
//!
//! A provider is asked under a key, the payment's id, and answers the same however often it is asked: it charges at most
//! once for a key, refunds at most once for a refund key, and a key that is voided is never charged any more. Whoever
//! gets no answer asks again.

mod ledger;
mod script;
mod simulator;

use chassis::{Deps, Money};

use crate::domain::{Method, Outcome, PaymentId};

/// The provider did not answer, or not in time. Whether it did anything is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer: {0}")]
pub(crate) struct NoAnswer(pub(crate) String);

/// A payment provider.
#[tonic::async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Charges, or answers what came of it when it was asked before.
    async fn charge(
        &self,
        key: PaymentId,
        amount: Money,
        method: &Method,
    ) -> Result<Outcome, NoAnswer>;
    /// What came of a charge; none if it was never asked for.
    async fn query(&self, key: PaymentId) -> Result<Option<Outcome>, NoAnswer>;
    /// Gives back a part of what was charged, once for a refund key. Nothing is left to do if it was voided.
    async fn refund(&self, key: PaymentId, refund: &str, amount: Money) -> Result<(), NoAnswer>;
    /// Undoes a charge if there was one, and never makes it again.
    async fn void(&self, key: PaymentId) -> Result<(), NoAnswer>;
}

/// The provider of this deployment.
pub(crate) fn of(deps: &Deps) -> Box<dyn Provider> {
    Box::new(simulator::Simulator::new(deps.store.clone()))
}
