//! Whenever something has happened to a reservation, the people concerned are told.

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

/// The policies; without a mail server nobody waits for an e-mail.
pub(crate) fn list(by_email: bool) -> Policies {
    let told = move |news: Told| news.map(|told| told.then(by_email));
    Policies::new()
        .whenever("tell-of-request", move |heard| {
            told(whenever_reservation_requested_tell(heard))
        })
        .whenever("tell-of-approval", move |heard| {
            told(whenever_reservation_approved_tell(heard))
        })
        .whenever("tell-of-pending-payment", move |heard| {
            told(whenever_reservation_payment_pending_tell(heard))
        })
        .whenever("tell-of-confirmation", move |heard| {
            told(whenever_reservation_confirmed_tell(heard))
        })
        .whenever("tell-of-rejection", move |heard| {
            told(whenever_reservation_rejected_tell(heard))
        })
        .whenever("tell-of-lapse", move |heard| {
            told(whenever_reservation_lapsed_tell(heard))
        })
        .whenever("tell-of-cancel-request", move |heard| {
            told(whenever_reservation_cancel_requested_tell(heard))
        })
        .whenever("tell-of-cancellation", move |heard| {
            told(whenever_reservation_cancelled_tell(heard))
        })
        .whenever("tell-of-completion", move |heard| {
            told(whenever_reservation_completed_tell(heard))
        })
        .whenever("tell-of-missed-confirmation", move |heard| {
            told(whenever_confirmation_missed_tell(heard))
        })
}

type Told = Result<Tell, Malformed>;

fn whenever_reservation_requested_tell(heard: Received<ReservationRequested>) -> Told {
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

fn whenever_reservation_approved_tell(heard: Received<ReservationApproved>) -> Told {
    News::of(&heard, Happened::Approved).tell(heard.event.reservation)
}

fn whenever_reservation_payment_pending_tell(heard: Received<ReservationPaymentPending>) -> Told {
    News::of(&heard, Happened::PaymentPending).tell(heard.event.reservation)
}

fn whenever_reservation_confirmed_tell(heard: Received<ReservationConfirmed>) -> Told {
    News::of(&heard, Happened::Confirmed).tell(heard.event.reservation)
}

fn whenever_reservation_rejected_tell(heard: Received<ReservationRejected>) -> Told {
    News::of(&heard, Happened::Rejected).tell(heard.event.reservation)
}

fn whenever_reservation_lapsed_tell(heard: Received<ReservationLapsed>) -> Told {
    News::of(&heard, Happened::Lapsed).tell(heard.event.reservation)
}

fn whenever_reservation_cancel_requested_tell(heard: Received<ReservationCancelRequested>) -> Told {
    News::of(&heard, Happened::CancelRequested).tell(heard.event.reservation)
}

fn whenever_reservation_cancelled_tell(heard: Received<ReservationCancelled>) -> Told {
    News::of(&heard, Happened::Cancelled).tell(heard.event.reservation)
}

fn whenever_reservation_completed_tell(heard: Received<ReservationCompleted>) -> Told {
    News::of(&heard, Happened::Completed).tell(heard.event.reservation)
}

fn whenever_confirmation_missed_tell(heard: Received<ConfirmationMissed>) -> Told {
    News::of(&heard, Happened::ConfirmationMissed).tell(heard.event.reservation)
}

/// What happened, and who did it.
struct News {
    happened: Happened,
    event_type: String,
    event_id: String,
    at: Timestamp,
    actor: String,
}

impl News {
    fn of<E: Name>(heard: &Received<E>, happened: Happened) -> Self {
        Self {
            happened,
            event_type: E::full_name(),
            event_id: heard.id.clone(),
            at: heard.at,
            actor: heard.actor.clone(),
        }
    }

    /// Tells the customer of everything, and the host of what concerns them and they have not done themselves.
    fn tell(self, reservation: Option<Reservation>) -> Told {
        let reservation = reservation.ok_or_else(|| Malformed::because("no reservation"))?;
        let (change, customer, host) = codec::change(self.happened, self.event_type, &reservation)?;
        let mut whom = vec![(customer, Audience::Customer)];
        if self.happened.concerns_host() && self.actor != host.to_string() {
            whom.push((host, Audience::Host));
        }
        Ok(Tell {
            event_id: self.event_id,
            at: self.at,
            change,
            whom,
        })
    }
}

/// What is to be told to whom.
struct Tell {
    event_id: String,
    at: Timestamp,
    change: Change,
    whom: Vec<(MemberId, Audience)>,
}

impl Tell {
    fn then(self, by_email: bool) -> Then<Message> {
        self.whom
            .into_iter()
            .fold(Then::nothing(), |then, (recipient, audience)| {
                let change = self.change.clone();
                let tell = Command::Tell {
                    recipient,
                    audience,
                    change,
                    by_email,
                };
                then.and(codec::message_id(&self.event_id, self.at, recipient), tell)
            })
    }
}
