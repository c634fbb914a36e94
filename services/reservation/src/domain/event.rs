//! The events of a reservation.

use chassis::{Money, Timestamp};

use super::{
    booking::Booking,
    status::{PaymentId, Rejection},
};

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
