//! What happened, as the logs tell it: the evidence from which the invariants are checked. Nothing here asks the code
//! under test for its opinion; it reads what was recorded.

use std::collections::BTreeMap;

use berth::{
    offer::v1::period,
    payment::v1::{Payment, PaymentStatus},
    reservation::v1::{Reservation, ReservationStatus},
};
use chassis::{
    Money,
    base::{
        time,
        time::{Date, SignedDuration, Timestamp, ToSpan},
    },
    domain::event::Recorded,
};
use prost::Message;
use serde::Deserialize;

/// One state that a reservation had.
#[derive(Clone, Debug)]
pub struct ReservationStep {
    /// Place in the log.
    pub seq: i64,
    /// When it came about.
    pub at: Timestamp,
    /// Type of the event that told of it.
    pub event_type: String,
    /// Version of the aggregate.
    pub version: i64,
    /// The reservation then.
    pub reservation: Reservation,
}

/// One state that a payment had.
#[derive(Clone, Debug)]
pub struct PaymentStep {
    /// Place in the log.
    pub seq: i64,
    /// When it came about.
    pub at: Timestamp,
    /// Type of the event that told of it.
    pub event_type: String,
    /// The payment then.
    pub payment: Payment,
}

/// What a claim is: scope, key, owner.
pub type Claim = (String, String, String);

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// States of reservations, in the order of the log.
    pub reservations: Vec<ReservationStep>,
    /// States of payments, in the order of the log.
    pub payments: Vec<PaymentStep>,
    /// Capacity of each offer, the highest it ever had.
    pub capacities: BTreeMap<String, i32>,
    /// What the store of reservations holds in claims now.
    pub claims: Vec<Claim>,
    /// Ids of all events of the reservation log.
    pub events: Vec<Recorded>,
    /// Messages: the event told of, and the recipient.
    pub messages: Vec<(String, String)>,
    /// What the payment provider did, by its own books.
    pub provider: BTreeMap<String, Books>,
    /// Where a stored reservation is not what its log makes of it.
    pub unlike_log: Vec<String>,
    /// Whether the view shows something else than the logs say.
    pub view_differs: bool,
}

/// The payment provider's own books about one payment.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Books {
    /// What it charged.
    pub charges: Vec<Money>,
    /// How often each refund was asked for, and what was refunded.
    pub refunds: BTreeMap<String, (u32, Option<Money>)>,
    /// Whether everything was undone.
    pub voided: bool,
}

impl Books {
    /// What it has kept, in minor units.
    pub fn kept(&self) -> i64 {
        if self.voided {
            return 0;
        }
        let refunds = self.refunds.values().filter_map(|(_, refunded)| *refunded);
        let charged: i64 = self.charges.iter().map(|money| money.minor).sum();
        charged - refunds.map(|money| money.minor).sum::<i64>()
    }
}

/// The wrapper of every reservation event: the reservation is its first field.
#[derive(Clone, PartialEq, prost::Message)]
struct AboutReservation {
    #[prost(message, optional, tag = "1")]
    reservation: Option<Reservation>,
}

/// The wrapper of every payment event: the payment is its first field.
#[derive(Clone, PartialEq, prost::Message)]
struct AboutPayment {
    #[prost(message, optional, tag = "1")]
    payment: Option<Payment>,
}

impl History {
    /// Adds the log of reservations.
    pub fn read_reservations(&mut self, log: &[Recorded]) -> Result<(), prost::DecodeError> {
        // What is told of what was lost is no step of anybody's life.
        let lost = [".ReservationLost", ".EventLost"];
        let is_step = |event: &&Recorded| !lost.iter().any(|lost| event.event_type.ends_with(lost));
        for event in log.iter().filter(is_step) {
            let about = AboutReservation::decode(event.data.clone())?;
            self.events.push(event.clone());
            if let Some(reservation) = about.reservation {
                self.reservations.push(ReservationStep {
                    seq: event.seq,
                    at: event.at,
                    event_type: event.event_type.clone(),
                    version: event.version,
                    reservation,
                });
            }
        }
        Ok(())
    }

    /// Adds the log of payments.
    pub fn read_payments(&mut self, log: &[Recorded]) -> Result<(), prost::DecodeError> {
        for event in log {
            if let Some(payment) = AboutPayment::decode(event.data.clone())?.payment {
                self.payments.push(PaymentStep {
                    seq: event.seq,
                    at: event.at,
                    event_type: event.event_type.clone(),
                    payment,
                });
            }
        }
        Ok(())
    }

    /// The steps of each reservation.
    pub fn by_reservation(&self) -> BTreeMap<&str, Vec<&ReservationStep>> {
        let mut steps: BTreeMap<&str, Vec<&ReservationStep>> = BTreeMap::new();
        for step in &self.reservations {
            steps
                .entry(&step.reservation.reservation_id)
                .or_default()
                .push(step);
        }
        steps
    }

    /// The steps of each payment.
    pub fn by_payment(&self) -> BTreeMap<&str, Vec<&PaymentStep>> {
        let mut steps: BTreeMap<&str, Vec<&PaymentStep>> = BTreeMap::new();
        for step in &self.payments {
            steps
                .entry(&step.payment.payment_id)
                .or_default()
                .push(step);
        }
        steps
    }
}

/// Whether units are held in a state.
pub fn holds(status: ReservationStatus) -> bool {
    use ReservationStatus as Status;
    matches!(
        status,
        Status::Requested
            | Status::PendingApproval
            | Status::Approved
            | Status::PaymentPending
            | Status::Confirmed
    )
}

/// The smallest pieces of time that a reservation is for: its nights, or its quarters of an hour, as text.
pub fn slots(reservation: &Reservation) -> Vec<String> {
    match reservation
        .period
        .as_ref()
        .and_then(|period| period.kind.as_ref())
    {
        Some(period::Kind::Dates(dates)) => {
            let ends = (
                dates.start_date.as_ref().and_then(time::date_from_proto),
                dates.end_date.as_ref().and_then(time::date_from_proto),
            );
            let (Some(start), Some(end)) = ends else {
                return Vec::new();
            };
            nights(start, end)
        }
        Some(period::Kind::Times(times)) => {
            let ends = (
                times.start_time.as_ref().and_then(time::from_proto),
                times.end_time.as_ref().and_then(time::from_proto),
            );
            let (Some(start), Some(end)) = ends else {
                return Vec::new();
            };
            quarters(start, end)
        }
        None => Vec::new(),
    }
}

fn nights(start: Date, end: Date) -> Vec<String> {
    start
        .series(1.day())
        .take_while(|date| *date < end)
        .map(|date| date.to_string())
        .collect()
}

fn quarters(start: Timestamp, end: Timestamp) -> Vec<String> {
    let quarter = SignedDuration::from_mins(15);
    std::iter::successors(Some(start), |at| at.checked_add(quarter).ok())
        .take_while(|at| *at < end)
        .map(|at| at.to_string())
        .collect()
}

/// Status of a payment step.
pub fn paid(step: &PaymentStep) -> bool {
    step.payment.status() == PaymentStatus::Paid
}
