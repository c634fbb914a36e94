//! Why a command is refused.

use chassis::{Kind, Refused};

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Also for a caller whom the reservation does not concern, so that its existence is not disclosed.
    #[error("no such reservation")]
    NotFound,
    #[error("the reservation id was used for another request")]
    IdempotencyKeyReused,
    #[error("the offer is not sold by that kind of period")]
    WrongPeriod,
    #[error("the period is more than two years ahead")]
    TooFarAhead,
    #[error("the price is out of range")]
    PriceOutOfRange,
    #[error("the offer has been withdrawn")]
    OfferWithdrawn,
    #[error("the period has begun")]
    PeriodInPast,
    #[error("the offer is not sold on some date of the period")]
    BlackedOut,
    #[error("too few units are free")]
    SoldOut,
    #[error("too many persons for the units reserved")]
    TooManyPersons,
    #[error("too many open reservations")]
    TooManyReservations,
    #[error("the payment was declined: {0}")]
    PaymentDeclined(String),
    #[error("the reservation has lapsed")]
    Lapsed,
    #[error("the reservation is not waiting for a payment")]
    NotPayable,
    #[error("the reservation is not waiting for the host")]
    NotPending,
    #[error("the reservation can no longer be cancelled")]
    NotCancellable,
    #[error("the stay has begun")]
    StayHasBegun,
    #[error("the refund is no longer the expected one")]
    RefundChanged,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::IdempotencyKeyReused => Kind::AlreadyExists,
            Self::WrongPeriod | Self::TooFarAhead | Self::PriceOutOfRange => Kind::Invalid,
            Self::RefundChanged => Kind::Aborted,
            Self::OfferWithdrawn
            | Self::PeriodInPast
            | Self::BlackedOut
            | Self::SoldOut
            | Self::TooManyPersons
            | Self::TooManyReservations
            | Self::PaymentDeclined(_)
            | Self::Lapsed
            | Self::NotPayable
            | Self::NotPending
            | Self::NotCancellable
            | Self::StayHasBegun => Kind::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::WrongPeriod => "WRONG_PERIOD",
            Self::TooFarAhead => "TOO_FAR_AHEAD",
            Self::PriceOutOfRange => "PRICE_OUT_OF_RANGE",
            Self::OfferWithdrawn => "OFFER_WITHDRAWN",
            Self::PeriodInPast => "PERIOD_IN_PAST",
            Self::BlackedOut => "BLACKED_OUT",
            Self::SoldOut => "SOLD_OUT",
            Self::TooManyPersons => "TOO_MANY_PERSONS",
            Self::TooManyReservations => "TOO_MANY_RESERVATIONS",
            Self::PaymentDeclined(_) => "PAYMENT_DECLINED",
            Self::Lapsed => "RESERVATION_LAPSED",
            Self::NotPayable => "NOT_PAYABLE",
            Self::NotPending => "NOT_PENDING",
            Self::NotCancellable => "NOT_CANCELLABLE",
            Self::StayHasBegun => "STAY_HAS_BEGUN",
            Self::RefundChanged => "REFUND_CHANGED",
        }
    }
}
