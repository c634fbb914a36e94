//! The payment provider: the port, the simulated provider behind it, and the signature of its notifications.
//!
//! Every call carries an idempotency key, the payment's id, and a repeated call has the same result: a provider charges at
//! most once for a key, refunds at most once for a refund key, and never charges a voided key. A caller without a response
//! repeats the call.

mod ledger;
mod port;
mod script;
pub(crate) mod signature;
mod simulator;

use chassis::Deps;

pub(crate) use self::port::{NoAnswer, Provider};

/// The provider of this deployment.
pub(crate) fn of(deps: &Deps) -> Box<dyn Provider> {
    Box::new(simulator::Simulator::new(deps.store.clone()))
}
