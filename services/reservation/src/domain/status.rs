//! How far a reservation has come.

use std::fmt;

use chassis::{Money, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

/// A payment bears the id of what it pays for, so a reservation is never charged twice.
pub(crate) type PaymentId = ReservationId;

/// How far a reservation has come, and only what is true then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// Held and not yet paid.
    Requested { pay_by: Timestamp },
    /// Held until the host decides.
    PendingApproval { decide_by: Timestamp },
    /// The host agreed; the charge is on its way.
    Approved { pay_by: Timestamp },
    /// Nobody knows yet whether it is paid, so it is not given to others.
    PaymentPending { give_up: Timestamp },
    /// Paid.
    Confirmed { payment: PaymentId },
    /// Refused.
    Rejected { why: Rejection },
    /// Not paid or not approved in time.
    Lapsed { why: Lapse },
    /// Given up; the refund is on its way.
    CancelRequested {
        payment: PaymentId,
        refund: Money,
        reason: String,
    },
    /// Given up; nothing is left to refund.
    Cancelled {
        payment: Option<PaymentId>,
        refund: Money,
        reason: String,
    },
    /// The stay is over.
    Completed { payment: PaymentId },
}

/// Why a reservation was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rejection {
    /// The host said no, and why.
    ByHost(String),
    /// The payment provider said no, and why.
    PaymentDeclined(String),
}

/// Why a hold lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lapse {
    NotPaid,
    NotApproved,
    PaymentUnknown,
}

impl Status {
    /// Whether it holds what it claims.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Requested { .. }
                | Self::PendingApproval { .. }
                | Self::Approved { .. }
                | Self::PaymentPending { .. }
                | Self::Confirmed { .. }
        )
    }

    /// Whether a payment would confirm it.
    pub(crate) fn awaits_payment(&self) -> bool {
        matches!(
            self,
            Self::Requested { .. } | Self::Approved { .. } | Self::PaymentPending { .. }
        )
    }

    /// Whether a host who was to decide has agreed, and it came of it.
    pub(crate) fn was_approved(&self) -> bool {
        matches!(
            self,
            Self::Approved { .. }
                | Self::PaymentPending { .. }
                | Self::Confirmed { .. }
                | Self::Completed { .. }
        )
    }

    /// Until when it is held without being paid, and why it lapses then.
    pub(crate) fn held_until(&self) -> Option<(Timestamp, Lapse)> {
        match self {
            Self::Requested { pay_by } | Self::Approved { pay_by } => {
                Some((*pay_by, Lapse::NotPaid))
            }
            Self::PendingApproval { decide_by } => Some((*decide_by, Lapse::NotApproved)),
            Self::PaymentPending { give_up } => Some((*give_up, Lapse::PaymentUnknown)),
            _ => None,
        }
    }

    /// What paid for it, now or before it was given up.
    pub(crate) fn payment(&self) -> Option<PaymentId> {
        match self {
            Self::Confirmed { payment }
            | Self::CancelRequested { payment, .. }
            | Self::Completed { payment } => Some(*payment),
            Self::Cancelled { payment, .. } => *payment,
            _ => None,
        }
    }

    /// What is or was refunded.
    pub(crate) fn refund(&self) -> Option<Money> {
        match self {
            Self::CancelRequested { refund, .. } | Self::Cancelled { refund, .. } => Some(*refund),
            _ => None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHost(reason) if reason.is_empty() => "REJECTED_BY_HOST",
            Self::ByHost(reason) => reason,
            Self::PaymentDeclined(_) => "PAYMENT_DECLINED",
        })
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPaid => "NOT_PAID",
            Self::NotApproved => "NOT_APPROVED",
            Self::PaymentUnknown => "PAYMENT_UNKNOWN",
        })
    }
}
