//! The recorded history of a platform: the evidence from which the invariants are checked. It is read from the logs and
//! tables, without the code under test.

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

/// A state of a reservation.
#[derive(Clone, Debug)]
pub struct ReservationStep {
    /// Sequence number in the log.
    pub seq: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Type of the event.
    pub event_type: String,
    /// Version of the aggregate.
    pub version: i64,
    /// The reservation after the event.
    pub reservation: Reservation,
}

/// A state of a payment.
#[derive(Clone, Debug)]
pub struct PaymentStep {
    /// Sequence number in the log.
    pub seq: i64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Type of the event.
    pub event_type: String,
    /// The payment after the event.
    pub payment: Payment,
}

/// A claim: scope, key, owner.
pub type Claim = (String, String, String);

/// The recorded history.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// States of reservations, in the order of the log.
    pub reservations: Vec<ReservationStep>,
    /// States of payments, in the order of the log.
    pub payments: Vec<PaymentStep>,
    /// The highest capacity that each offer has had.
    pub capacities: BTreeMap<String, i32>,
    /// The claims that the store of `reservation` holds now.
    pub claims: Vec<Claim>,
    /// The events of the reservation log.
    pub events: Vec<Recorded>,
    /// Messages: the event, and the recipient.
    pub messages: Vec<(String, String)>,
    /// The ledger of the simulated payment provider, by payment.
    pub provider: BTreeMap<String, ProviderLedger>,
    /// Differences between stored reservations and the states restored from the log.
    pub unlike_log: Vec<String>,
    /// Whether the view differs from one that is rebuilt from the logs.
    pub view_differs: bool,
}

/// The ledger of the simulated payment provider for one payment.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ProviderLedger {
    /// The charges.
    pub charges: Vec<Money>,
    /// For each refund key the number of requests, and the amount refunded.
    pub refunds: BTreeMap<String, (u32, Option<Money>)>,
    /// Whether the charge was voided.
    pub voided: bool,
}

impl ProviderLedger {
    /// The amount that it keeps, in minor units.
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
        // Events about lost events are not states of a reservation.
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

/// Whether a reservation in this status holds its units.
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

/// The time slots of a reservation: its nights, or its quarter hours, as text.
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

/// Whether the payment is paid after a step.
pub fn paid(step: &PaymentStep) -> bool {
    step.payment.status() == PaymentStatus::Paid
}
