//! The rules of a reservation: who holds what, until when, and what becomes of it.
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
//! period and one of its customer's places. Everything else holds nothing and is left by nothing.
//!
//! Customers, hosts and operators may be refused. Colleagues may not: what a payment, a refund or the time brings is an
//! event or nothing, in whatever order it comes.

pub(crate) mod availability;
pub(crate) mod booking;
mod brought;
pub(crate) mod claims;
pub(crate) mod lost;
pub(crate) mod period;
pub(crate) mod refund;
pub(crate) mod refusal;
pub(crate) mod status;
pub(crate) mod terms;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::BTreeSet;

use chassis::{Aggregate, ClaimRange, Claims, MemberId, Money, Now, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use self::{
    booking::{Booking, Request},
    refusal::Refusal,
    status::{PaymentId, Rejection, Status},
    terms::Approval,
};

/// A customer's claim on something that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// What was agreed.
    pub(crate) booking: Booking,
    /// How far it has come.
    pub(crate) status: Status,
    /// Payments that came and were not wanted.
    pub(crate) missed: BTreeSet<PaymentId>,
}

/// What a reservation can be told.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// The customer wants it.
    Request(Box<Request>),
    /// The host agrees.
    Approve { by: Actor },
    /// The host does not.
    Reject { by: Actor, reason: String },
    /// Guest, host or operator gives it up.
    Cancel {
        by: Actor,
        reason: String,
        /// What the caller believes is refunded, if they say so.
        expected_refund: Option<Money>,
    },
    /// It was paid.
    Confirm { payment: PaymentId, amount: Money },
    /// The payment was declined.
    Decline { reason: String },
    /// Nobody knows yet whether it was paid.
    AwaitPayment,
    /// The refund has been made.
    Refunded { payment: PaymentId },
    /// Its time has come.
    Due,
}

/// Who tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    pub(crate) member: MemberId,
    /// Whether they operate the platform.
    pub(crate) operator: bool,
}

/// What can happen to a reservation.
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
            (None, Command::Request(request)) => Some(requested(request, now)?),
            (None, _) => return Err(Refusal::NotFound),
            (Some(this), Command::Request(request)) => this.requested_again(&request.wish)?,
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
            (None, Command::Request(request)) => {
                let wish = &request.wish;
                vec![
                    claims::look_at_units(wish.offer, &wish.period),
                    claims::look_at_places(wish.customer),
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

fn requested(request: &Request, now: &Now) -> Result<Event, Refusal> {
    let (booking, until) = request.book(now)?;
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
