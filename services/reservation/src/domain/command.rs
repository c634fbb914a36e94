//! The commands of a reservation.

use chassis::Money;

use super::{actor::Actor, booking::Proposal, status::PaymentId};

/// The commands.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// The customer requests it.
    Request(Box<Proposal>),
    /// The host approves.
    Approve { by: Actor },
    /// The host rejects.
    Reject { by: Actor, reason: String },
    /// Guest, host or operator cancels.
    Cancel {
        by: Actor,
        reason: String,
        /// The refund that the caller expects, if given.
        expected_refund: Option<Money>,
    },
    /// It was paid.
    Confirm { payment: PaymentId, amount: Money },
    /// The payment was declined.
    Decline { reason: String },
    /// The outcome of the payment is not known yet.
    AwaitPayment,
    /// The refund has been made.
    Refunded { payment: PaymentId },
    /// Its deadline has passed.
    Due,
}
