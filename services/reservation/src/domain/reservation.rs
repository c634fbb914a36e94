//! The aggregate: which events a command leads to, and the state after each event.

use std::collections::BTreeSet;

use chassis::{Aggregate, ClaimRange, Claims, Money, Now, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    booking::{Booking, Proposal},
    claims,
    command::Command,
    event::Event,
    refusal::Refusal,
    status::{PaymentId, Status},
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
                    claims::unit_claim_range(
                        booking_request.offer,
                        &booking_request.period,
                        proposal.terms.capacity,
                        booking_request.quantity,
                    ),
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
