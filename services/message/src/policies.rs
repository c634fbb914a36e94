//! Whenever something has happened to a reservation, the people concerned are told.

use berth::reservation::v1::{
    ConfirmationMissed, Reservation, ReservationApproved, ReservationCancelRequested,
    ReservationCancelled, ReservationCompleted, ReservationConfirmed, ReservationLapsed,
    ReservationPaymentPending, ReservationRejected, ReservationRequested, ReservationStatus,
};
use chassis::{Heard, Malformed, Policies, Then};
use prost::Name;

use crate::{
    codec,
    domain::{Audience, Command, Happened, Message},
};

pub(crate) fn list() -> Policies {
    Policies::new()
        .whenever("tell-of-request", whenever_reservation_requested_tell)
        .whenever("tell-of-approval", whenever_reservation_approved_tell)
        .whenever(
            "tell-of-pending-payment",
            whenever_reservation_payment_pending_tell,
        )
        .whenever("tell-of-confirmation", whenever_reservation_confirmed_tell)
        .whenever("tell-of-rejection", whenever_reservation_rejected_tell)
        .whenever("tell-of-lapse", whenever_reservation_lapsed_tell)
        .whenever(
            "tell-of-cancel-request",
            whenever_reservation_cancel_requested_tell,
        )
        .whenever("tell-of-cancellation", whenever_reservation_cancelled_tell)
        .whenever("tell-of-completion", whenever_reservation_completed_tell)
        .whenever(
            "tell-of-missed-confirmation",
            whenever_confirmation_missed_tell,
        )
}

type Told = Result<Then<Message>, Malformed>;

fn whenever_reservation_requested_tell(heard: Heard<ReservationRequested>) -> Told {
    let reservation = heard.event.reservation.as_ref();
    let asks_host = reservation
        .is_some_and(|reservation| reservation.status() == ReservationStatus::PendingApproval);
    let happened = if asks_host {
        Happened::ApprovalAsked
    } else {
        Happened::Requested
    };
    News::of(&heard, happened).tell(heard.event.reservation)
}

fn whenever_reservation_approved_tell(heard: Heard<ReservationApproved>) -> Told {
    News::of(&heard, Happened::Approved).tell(heard.event.reservation)
}

fn whenever_reservation_payment_pending_tell(heard: Heard<ReservationPaymentPending>) -> Told {
    News::of(&heard, Happened::PaymentPending).tell(heard.event.reservation)
}

fn whenever_reservation_confirmed_tell(heard: Heard<ReservationConfirmed>) -> Told {
    News::of(&heard, Happened::Confirmed).tell(heard.event.reservation)
}

fn whenever_reservation_rejected_tell(heard: Heard<ReservationRejected>) -> Told {
    News::of(&heard, Happened::Rejected).tell(heard.event.reservation)
}

fn whenever_reservation_lapsed_tell(heard: Heard<ReservationLapsed>) -> Told {
    News::of(&heard, Happened::Lapsed).tell(heard.event.reservation)
}

fn whenever_reservation_cancel_requested_tell(heard: Heard<ReservationCancelRequested>) -> Told {
    News::of(&heard, Happened::CancelRequested).tell(heard.event.reservation)
}

fn whenever_reservation_cancelled_tell(heard: Heard<ReservationCancelled>) -> Told {
    News::of(&heard, Happened::Cancelled).tell(heard.event.reservation)
}

fn whenever_reservation_completed_tell(heard: Heard<ReservationCompleted>) -> Told {
    News::of(&heard, Happened::Completed).tell(heard.event.reservation)
}

fn whenever_confirmation_missed_tell(heard: Heard<ConfirmationMissed>) -> Told {
    News::of(&heard, Happened::ConfirmationMissed).tell(heard.event.reservation)
}

/// What happened, and who did it.
struct News {
    happened: Happened,
    event_type: String,
    event_id: String,
    actor: String,
}

impl News {
    fn of<E: Name>(heard: &Heard<E>, happened: Happened) -> Self {
        Self {
            happened,
            event_type: E::full_name(),
            event_id: heard.id.clone(),
            actor: heard.actor.clone(),
        }
    }

    /// Tells the customer of everything, and the host of what concerns them and they have not done themselves.
    fn tell(self, reservation: Option<Reservation>) -> Told {
        let reservation = reservation.ok_or_else(|| Malformed::because("no reservation"))?;
        let (change, customer, host) = codec::change(self.happened, self.event_type, &reservation)?;
        let to_customer = Command::Tell {
            recipient: customer,
            audience: Audience::Customer,
            change: change.clone(),
        };
        let then = Then::on(codec::message_id(&self.event_id, customer), to_customer);
        if !self.happened.concerns_host() || self.actor == host.to_string() {
            return Ok(then);
        }
        let to_host = Command::Tell {
            recipient: host,
            audience: Audience::Host,
            change,
        };
        Ok(then.and(codec::message_id(&self.event_id, host), to_host))
    }
}
