//! The port of the payment provider: the calls of this context, whichever provider is behind it.

use chassis::Money;

use crate::domain::{Method, Outcome, PaymentId};

/// The provider did not respond in time. The effect of the call is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no response: {0}")]
pub(crate) struct NoAnswer(pub(crate) String);

/// A payment provider.
#[tonic::async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Charges, or returns the outcome of the first call with this key.
    async fn charge(
        &self,
        key: PaymentId,
        amount: Money,
        method: &Method,
    ) -> Result<Outcome, NoAnswer>;
    /// The outcome of a charge; none if it was never requested.
    async fn query(&self, key: PaymentId) -> Result<Option<Outcome>, NoAnswer>;
    /// Refunds a part of the charge, once for a refund key. Succeeds without effect if the charge was voided.
    async fn refund(&self, key: PaymentId, refund: &str, amount: Money) -> Result<(), NoAnswer>;
    /// Undoes a charge if there is one, and prevents a later one.
    async fn void(&self, key: PaymentId) -> Result<(), NoAnswer>;
}
