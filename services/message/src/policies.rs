//! Reactions to the events of a reservation: its customer, and its host if it concerns them, are notified.

use berth::reservation::v1::{
    ConfirmationMissed, Reservation, ReservationApproved, ReservationCancelRequested,
    ReservationCancelled, ReservationCompleted, ReservationConfirmed, ReservationLapsed,
    ReservationPaymentPending, ReservationRejected, ReservationRequested, ReservationStatus,
};
use chassis::{Malformed, MemberId, Policies, Received, Then, Timestamp};
use prost::Name;

use crate::{
    codec,
    domain::{Audience, Change, Command, Happened, Message},
};

/// The policies. Their names are stored and never change. `by_email` is whether a mail server is configured.
pub(crate) fn list(by_email: bool) -> Policies {
    let then = move |notice: Result<Notice, Malformed>| notice.map(|notice| notice.then(by_email));
    Policies::new()
        .whenever("notify-of-request", move |received| {
            then(whenever_reservation_requested_notify(received))
        })
        .whenever("notify-of-approval", move |received| {
            then(whenever_reservation_approved_notify(received))
        })
        .whenever("notify-of-pending-payment", move |received| {
            then(whenever_reservation_payment_pending_notify(received))
        })
        .whenever("notify-of-confirmation", move |received| {
            then(whenever_reservation_confirmed_notify(received))
        })
        .whenever("notify-of-rejection", move |received| {
            then(whenever_reservation_rejected_notify(received))
        })
        .whenever("notify-of-lapse", move |received| {
            then(whenever_reservation_lapsed_notify(received))
        })
        .whenever("notify-of-cancel-request", move |received| {
            then(whenever_reservation_cancel_requested_notify(received))
        })
        .whenever("notify-of-cancellation", move |received| {
            then(whenever_reservation_cancelled_notify(received))
        })
        .whenever("notify-of-completion", move |received| {
            then(whenever_reservation_completed_notify(received))
        })
        .whenever("notify-of-missed-confirmation", move |received| {
            then(whenever_confirmation_missed_notify(received))
        })
}

fn whenever_reservation_requested_notify(
    received: Received<ReservationRequested>,
) -> Result<Notice, Malformed> {
    let reservation = received.event.reservation.as_ref();
    let asks_host = reservation
        .is_some_and(|reservation| reservation.status() == ReservationStatus::PendingApproval);
    let happened = if asks_host {
        Happened::ApprovalAsked
    } else {
        Happened::Requested
    };
    Occurrence::of(&received, happened).notify(received.event.reservation)
}

fn whenever_reservation_approved_notify(
    received: Received<ReservationApproved>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Approved).notify(received.event.reservation)
}

fn whenever_reservation_payment_pending_notify(
    received: Received<ReservationPaymentPending>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::PaymentPending).notify(received.event.reservation)
}

fn whenever_reservation_confirmed_notify(
    received: Received<ReservationConfirmed>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Confirmed).notify(received.event.reservation)
}

fn whenever_reservation_rejected_notify(
    received: Received<ReservationRejected>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Rejected).notify(received.event.reservation)
}

fn whenever_reservation_lapsed_notify(
    received: Received<ReservationLapsed>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Lapsed).notify(received.event.reservation)
}

fn whenever_reservation_cancel_requested_notify(
    received: Received<ReservationCancelRequested>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::CancelRequested).notify(received.event.reservation)
}

fn whenever_reservation_cancelled_notify(
    received: Received<ReservationCancelled>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Cancelled).notify(received.event.reservation)
}

fn whenever_reservation_completed_notify(
    received: Received<ReservationCompleted>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::Completed).notify(received.event.reservation)
}

fn whenever_confirmation_missed_notify(
    received: Received<ConfirmationMissed>,
) -> Result<Notice, Malformed> {
    Occurrence::of(&received, Happened::ConfirmationMissed).notify(received.event.reservation)
}

/// An event of a reservation, and who caused it.
struct Occurrence {
    happened: Happened,
    event_type: String,
    event_id: String,
    at: Timestamp,
    actor: String,
}

impl Occurrence {
    fn of<E: Name>(received: &Received<E>, happened: Happened) -> Self {
        Self {
            happened,
            event_type: E::full_name(),
            event_id: received.id.clone(),
            at: received.at,
            actor: received.actor.clone(),
        }
    }

    /// Notifies the customer of every event, and the host of those that concern a host and were not caused by this host.
    fn notify(self, reservation: Option<Reservation>) -> Result<Notice, Malformed> {
        let reservation = reservation.ok_or_else(|| Malformed::because("no reservation"))?;
        let (change, customer, host) = codec::change(self.happened, self.event_type, &reservation)?;
        let mut recipients = vec![(customer, Audience::Customer)];
        if self.happened.concerns_host() && self.actor != host.to_string() {
            recipients.push((host, Audience::Host));
        }
        Ok(Notice {
            event_id: self.event_id,
            at: self.at,
            change,
            recipients,
        })
    }
}

/// A change, and whom it is sent to.
struct Notice {
    event_id: String,
    at: Timestamp,
    change: Change,
    recipients: Vec<(MemberId, Audience)>,
}

impl Notice {
    fn then(self, by_email: bool) -> Then<Message> {
        self.recipients
            .into_iter()
            .fold(Then::nothing(), |then, (recipient, audience)| {
                let change = self.change.clone();
                let notify = Command::Notify {
                    recipient,
                    audience,
                    change,
                    by_email,
                };
                then.and(
                    codec::message_id(&self.event_id, self.at, recipient),
                    notify,
                )
            })
    }
}
