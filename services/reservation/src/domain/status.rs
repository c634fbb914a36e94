//! The status of a reservation.

use std::fmt;

use chassis::{Money, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

/// A payment has the id of its reservation, so a reservation is never charged twice.
pub(crate) type PaymentId = ReservationId;

/// The status of a reservation, with the data that exists only in that status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// Held and not yet paid.
    Requested { pay_by: Timestamp },
    /// Held until the host decides.
    PendingApproval { decide_by: Timestamp },
    /// The host approved; the charge is pending.
    Approved { pay_by: Timestamp },
    /// The outcome of the payment is unknown, so the units stay held.
    PaymentPending { give_up: Timestamp },
    /// Paid.
    Confirmed { payment: PaymentId },
    /// Rejected.
    Rejected { why: Rejection },
    /// Not paid or not approved in time.
    Lapsed { why: Lapse },
    /// Cancelled; the refund is pending.
    CancelRequested {
        payment: PaymentId,
        refund: Money,
        reason: String,
    },
    /// Cancelled; nothing is left to refund.
    Cancelled {
        payment: Option<PaymentId>,
        refund: Money,
        reason: String,
    },
    /// The stay is over.
    Completed { payment: PaymentId },
}

/// Why a reservation was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rejection {
    /// The host rejected it, with a reason.
    ByHost(String),
    /// The payment provider declined, with a reason.
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
    /// Whether it holds its claims.
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

    /// Whether the host approved it.
    pub(crate) fn was_approved(&self) -> bool {
        matches!(
            self,
            Self::Approved { .. }
                | Self::PaymentPending { .. }
                | Self::Confirmed { .. }
                | Self::Completed { .. }
        )
    }

    /// The end of the hold without a payment, and the reason of the lapse.
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

    /// The payment, also of a cancelled reservation.
    pub(crate) fn payment(&self) -> Option<PaymentId> {
        match self {
            Self::Confirmed { payment }
            | Self::CancelRequested { payment, .. }
            | Self::Completed { payment } => Some(*payment),
            Self::Cancelled { payment, .. } => *payment,
            _ => None,
        }
    }

    /// The refund, pending or done.
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
