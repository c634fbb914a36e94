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

pub(crate) mod availability;
pub(crate) mod booking;
mod by_person;
mod by_policy;
pub(crate) mod claims;
pub(crate) mod lost;
pub(crate) mod period;
pub(crate) mod refund;
pub(crate) mod refusal;
pub(crate) mod status;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chassis::{Aggregate, ClaimRange, Claims, MemberId, Money, Now, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use self::{
    booking::{Booking, Proposal},
    refusal::Refusal,
    status::{PaymentId, Rejection, Status},
    terms::Approval,
};

/// A customer's reservation of an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// The agreement.
    pub(crate) booking: Booking,
    /// Its status.
    pub(crate) status: Status,
    /// Payments that arrived when none was awaited.
    pub(crate) missed: BTreeSet<PaymentId>,
}

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

/// Who sends a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    pub(crate) member: MemberId,
    /// Whether they operate the platform.
    pub(crate) operator: bool,
}

/// The events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Requested {
        booking: Box<Booking>,
        until: Timestamp,
    },
    Approved {
        pay_by: Timestamp,
    },
    PaymentPending {
        give_up: Timestamp,
    },
    Confirmed {
        payment: PaymentId,
    },
    Rejected {
        why: Rejection,
    },
    Lapsed,
    CancelRequested {
        refund: Money,
        reason: String,
    },
    Cancelled {
        reason: String,
    },
    Refunded,
    Completed,
    ConfirmationMissed {
        payment: PaymentId,
    },
}

impl Aggregate for Reservation {
    const KIND: &'static str = "reservation";
    type Id = ReservationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        let event = match (this, command) {
            (None, Command::Request(proposal)) => Some(requested(proposal, now)?),
            (None, _) => return Err(Refusal::NotFound),
            (Some(this), Command::Request(proposal)) => {
                this.requested_again(&proposal.booking_request)?
            }
            (Some(this), Command::Approve { by }) => this.approve(*by, now.at)?,
            (Some(this), Command::Reject { by, reason }) => this.reject(*by, reason, now.at)?,
            (
                Some(this),
                Command::Cancel {
                    by,
                    reason,
                    expected_refund,
                },
            ) => this.cancel(*by, reason, *expected_refund, now.at)?,
            (Some(this), Command::Confirm { payment, amount }) => {
                this.confirm(*payment, *amount, now.at)
            }
            (Some(this), Command::Decline { reason }) => this.decline(reason),
            (Some(this), Command::AwaitPayment) => this.await_payment(now.at),
            (Some(this), Command::Refunded { payment }) => this.refunded(*payment),
            (Some(this), Command::Due) => this.lapse_or_complete(now.at),
        };
        Ok(event.into_iter().collect())
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        let Some(this) = this else {
            return match event {
                Event::Requested { booking, until } => Some(Self::new(booking, *until)),
                _ => None,
            };
        };
        let Self {
            booking,
            status,
            mut missed,
        } = this;
        let status = match (status, event.clone()) {
            (status, Event::ConfirmationMissed { payment }) => {
                missed.insert(payment);
                status
            }
            (Status::PendingApproval { .. }, Event::Approved { pay_by }) => {
                Status::Approved { pay_by }
            }
            (Status::PendingApproval { .. }, Event::Rejected { why }) => Status::Rejected { why },
            (status, Event::PaymentPending { give_up }) if status.awaits_payment() => {
                Status::PaymentPending { give_up }
            }
            (status, Event::Confirmed { payment }) if status.awaits_payment() => {
                Status::Confirmed { payment }
            }
            (status, Event::Rejected { why }) if status.awaits_payment() => {
                Status::Rejected { why }
            }
            (status, Event::Lapsed) => {
                let (_, why) = status.held_until()?;
                Status::Lapsed { why }
            }
            (Status::Confirmed { payment }, Event::CancelRequested { refund, reason }) => {
                Status::CancelRequested {
                    payment,
                    refund,
                    reason,
                }
            }
            (status, Event::Cancelled { reason }) if status.is_open() => Status::Cancelled {
                payment: status.payment(),
                refund: Money::zero(booking.price.currency),
                reason,
            },
            (
                Status::CancelRequested {
                    payment,
                    refund,
                    reason,
                },
                Event::Refunded,
            ) => Status::Cancelled {
                payment: Some(payment),
                refund,
                reason,
            },
            (Status::Confirmed { payment }, Event::Completed) => Status::Completed { payment },
            _ => return None,
        };
        Some(Self {
            booking,
            status,
            missed,
        })
    }

    fn claim_ranges(this: Option<&Self>, command: &Command) -> Vec<ClaimRange> {
        match (this, command) {
            (None, Command::Request(proposal)) => {
                let booking_request = &proposal.booking_request;
                vec![
                    claims::unit_claim_range(booking_request.offer, &booking_request.period),
                    claims::customer_slot_claim_range(booking_request.customer),
                ]
            }
            _ => vec![],
        }
    }

    fn claims(&self) -> Claims {
        if self.status.is_open() {
            self.booking.claims()
        } else {
            Claims::none()
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match &self.status {
            Status::Confirmed { .. } => Some(self.booking.stay.end),
            status => status.held_until().map(|(until, _)| until),
        }
    }

    fn when_due() -> Option<Command> {
        Some(Command::Due)
    }
}

fn requested(proposal: &Proposal, now: &Now) -> Result<Event, Refusal> {
    let (booking, until) = proposal.book(now)?;
    Ok(Event::Requested {
        booking: Box::new(booking),
        until,
    })
}

impl Reservation {
    fn new(booking: &Booking, until: Timestamp) -> Self {
        Self {
            booking: booking.clone(),
            status: match booking.approval {
                Approval::Nobody => Status::Requested { pay_by: until },
                Approval::Host => Status::PendingApproval { decide_by: until },
            },
            missed: BTreeSet::new(),
        }
    }
}
