//! The rules of a reservation: its states, its claims, its deadlines.
//!
//! ```text
//! Request ─┬→ Requested ────────────┬─ Confirm ──→ Confirmed ─┬─ Due ────→ Completed
//!          │      │ AwaitPayment    │                 │       ├─ Cancel ─→ CancelRequested ─ Refunded ─┐
//!          │      ├──→ PaymentPending ─ Confirm ──────┘       └─ Cancel, nothing to refund ────────────┴→ Cancelled
//!          │      │ AwaitPayment    │
//!          └→ PendingApproval ─ Approve → Approved ─ Confirm ─→ Confirmed
//!
//! while it is open and not paid:   Cancel → Cancelled   Due → Lapsed
//! while a payment is awaited:      Decline → Rejected
//! while the host is to decide:     Reject → Rejected
//! wherever no payment is wanted:   Confirm → ConfirmationMissed, once for each payment; the state stays as it is
//! ```
//!
//! What is open (Requested, PendingApproval, Approved, PaymentPending, Confirmed) holds its units for every slot of its
//! period and one slot of its customer. Every other state holds nothing and, except CancelRequested, is final.
//!
//! A command of a customer, host or operator may be refused. A command of a policy or a deadline never is: it leads to an
//! event or to nothing, in any order.

mod actor;
pub(crate) mod availability;
pub(crate) mod booking;
mod by_person;
mod by_policy;
pub(crate) mod claims;
mod command;
mod event;
pub(crate) mod lost;
pub(crate) mod period;
pub(crate) mod refund;
pub(crate) mod refusal;
mod reservation;
pub(crate) mod status;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

pub(crate) use self::{actor::Actor, command::Command, event::Event, reservation::Reservation};
