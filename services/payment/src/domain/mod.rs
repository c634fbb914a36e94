//! The payment of one reservation: charged at most once, and refunded when the reservation no longer needs it.
//!
//! ```text
//! (none) ─Request→ Pending ─Settle(charged)→ Charged ─Refund→ a refund is open ─Refunded→ it is done
//!                   │ └─NoAnswer→ Pending, asked again later
//!                   ├─Settle(declined)→ Declined ─Settle(charged)→ Charged, and all of it is refunded
//!                   └─NoAnswer after 24 h→ Declined, a void is owed ─Voided→ Declined for good
//! (none) ─Notify→ Announced ─Request→ Charged | Declined       the provider was faster than the request
//!                   └─Forget after 24 h→ Forgotten             nobody ever requested it
//! ```
//!
//! The next call to the provider ([`Payment::task`]) is part of the state and committed before the call; its outcome is
//! committed after it. If the process crashes in between, the call is repeated with the same key.

mod refusal;
mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use chassis::{MemberId, Money, ReservationId, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

pub(crate) use self::refusal::Refusal;

/// A payment has the id of the reservation it pays for, so that a reservation cannot be charged twice.
pub(crate) type PaymentId = ReservationId;

/// After this time without a response a payment is given up: it is voided at the provider and declined.
pub(crate) const BOUND: SignedDuration = SignedDuration::from_hours(24);
/// How long a notification about an unknown payment is kept.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How many notifications about unknown payments are kept at a time.
pub(crate) const SLOTS: u32 = 1000;
/// The reason of a payment that was given up.
pub(crate) const PROVIDER_TIMEOUT: &str = "PROVIDER_TIMEOUT";
/// The wait after the first attempt without a response; it doubles with every further one.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// The payment of one reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Payment {
    /// The provider reported its outcome before it was requested.
    Announced {
        outcome: Outcome,
        /// The number of its slot among such payments.
        slot: u32,
        until: Timestamp,
    },
    /// It was announced and never requested.
    Forgotten,
    /// It was requested.
    Requested(Requested),
}

/// A payment that was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requested {
    pub(crate) order: Order,
    pub(crate) at: Timestamp,
    /// The refunds that were requested, each with its amount; none means everything that is left.
    pub(crate) refund_requests: BTreeMap<Why, Option<Money>>,
    pub(crate) stage: Stage,
}

/// The stage of a requested payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// The provider has not decided.
    Pending(Retry),
    /// Nothing was charged, or what was is being voided.
    Declined { reason: String, void: Void },
    /// It was charged.
    Charged {
        reference: String,
        refunds: Vec<Refund>,
    },
}

/// What is to be charged, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) customer: MemberId,
    pub(crate) host: MemberId,
    pub(crate) amount: Money,
    pub(crate) method: Method,
}

/// Token of a payment method. It is a secret, so it is never shown or logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Method(String);

impl Method {
    pub(crate) fn new(token: String) -> Self {
        Self(token)
    }

    /// The token, for the provider.
    pub(crate) fn token(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Method(…)")
    }
}

/// The provider's decision about a charge. It is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Charged {
        /// The provider's name for the charge.
        reference: String,
    },
    Declined {
        reason: String,
    },
}

/// Why money is refunded. There is at most one refund for each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Why {
    /// The reservation was cancelled.
    Cancelled,
    /// The charge succeeded when the reservation no longer awaited it.
    Unwanted,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Unwanted => "unwanted",
        })
    }
}

/// A refund that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) why: Why,
    pub(crate) amount: Money,
    /// When the provider is asked next; none once it has refunded.
    pub(crate) open: Option<Retry>,
}

/// Whether a declined payment has to be voided at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Void {
    /// The provider itself declined.
    NotNeeded,
    /// The outcome is unknown, so a charge must be undone or prevented.
    Owed(Retry),
    /// The provider has voided it and will not charge it.
    Done,
}

/// The number of failed attempts, and the time of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) due: Timestamp,
}

impl Retry {
    /// No attempt yet.
    pub(crate) fn at(due: Timestamp) -> Self {
        Self { attempts: 0, due }
    }

    /// One more failed attempt.
    fn again(self, now: Timestamp) -> Self {
        let doubled = 1_i32.checked_shl(self.attempts.min(20)).unwrap_or(1);
        let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
        Self {
            attempts: self.attempts.saturating_add(1),
            due: after(now, wait),
        }
    }
}

/// The next call to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Charge, repeated with the same key as often as needed.
    Charge(Order),
    /// Query the outcome: it is too late to charge.
    Query,
    /// Undo the charge, or prevent it.
    Void,
    /// Refund, once for each reason.
    Refund { why: Why, amount: Money },
    /// No call: a notification has been kept long enough.
    Forget,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Charge this order. The job takes over after `lead`; until then the caller calls the provider.
    Request { order: Order, lead: SignedDuration },
    /// The provider decided.
    Settle(Outcome),
    /// The provider did not respond to a charge.
    NoAnswer,
    /// Refund an amount, or everything that is left.
    Refund { why: Why, amount: Option<Money> },
    /// The provider refunded.
    Refunded(Why),
    /// The provider did not respond to a refund.
    NotRefunded(Why),
    /// The provider voided.
    Voided,
    /// The provider did not respond to a void.
    NotVoided,
    /// The provider sent a notification.
    Notify(Notice),
    /// The announced payment was never requested.
    Forget,
}

/// The content of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The outcome of a charge.
    Settled(Outcome),
    /// Something was refunded; the notification does not name the refund.
    Refunded,
}

/// The events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Announced {
        outcome: Outcome,
        slot: u32,
        until: Timestamp,
    },
    Forgotten,
    Requested {
        order: Order,
        at: Timestamp,
        due: Timestamp,
    },
    Delayed(Retry),
    Charged {
        reference: String,
    },
    Declined {
        reason: String,
    },
    /// Declined because the outcome is unknown.
    GivenUp {
        due: Timestamp,
    },
    VoidDelayed(Retry),
    Voided,
    RefundRequested {
        why: Why,
        amount: Option<Money>,
    },
    RefundBegun {
        why: Why,
        amount: Money,
        due: Timestamp,
    },
    RefundDelayed {
        why: Why,
        retry: Retry,
    },
    Refunded {
        why: Why,
        amount: Money,
    },
    /// A refund was requested, but nothing was charged or is left.
    NothingRefunded {
        why: Why,
    },
}

impl Payment {
    /// The payment, if it was ever requested.
    pub(crate) fn requested(&self) -> Option<&Requested> {
        match self {
            Self::Requested(requested) => Some(requested),
            Self::Announced { .. } | Self::Forgotten => None,
        }
    }

    /// The next call to the provider, if any.
    pub(crate) fn task(&self, now: Timestamp) -> Option<Task> {
        match self {
            Self::Announced { .. } => Some(Task::Forget),
            Self::Forgotten => None,
            Self::Requested(requested) => requested.task(now),
        }
    }

    /// Whether its outcome is the opposite of what the provider reports.
    pub(crate) fn contradicts(&self, notice: &Notice) -> bool {
        let stage = self.requested().map(|requested| &requested.stage);
        matches!(
            (stage, notice),
            (
                Some(Stage::Charged { .. }),
                Notice::Settled(Outcome::Declined { .. })
            ) | (
                Some(Stage::Declined { .. }),
                Notice::Settled(Outcome::Charged { .. })
            )
        )
    }
}

impl Requested {
    fn task(&self, now: Timestamp) -> Option<Task> {
        match &self.stage {
            Stage::Pending(_) if self.is_overdue(now) => Some(Task::Query),
            Stage::Pending(_) => Some(Task::Charge(self.order.clone())),
            Stage::Declined { void, .. } => matches!(void, Void::Owed(_)).then_some(Task::Void),
            Stage::Charged { refunds, .. } => {
                next_refund(refunds).map(|(_, refund)| Task::Refund {
                    why: refund.why,
                    amount: refund.amount,
                })
            }
        }
    }

    /// Whether it has had no response for too long.
    fn is_overdue(&self, now: Timestamp) -> bool {
        now >= after(self.at, BOUND)
    }

    /// The amount that was or is to be refunded.
    pub(crate) fn refunded(&self) -> Money {
        let minor = match &self.stage {
            Stage::Charged { refunds, .. } => {
                refunds.iter().map(|refund| refund.amount.minor).sum()
            }
            Stage::Pending(_) | Stage::Declined { .. } => 0,
        };
        Money::new(self.order.amount.currency, minor)
    }
}

/// The refund that is due first, and its time.
fn next_refund(refunds: &[Refund]) -> Option<(Timestamp, &Refund)> {
    let open = |refund: &Refund| refund.open.map(|retry| retry.due);
    let next = refunds
        .iter()
        .filter_map(|refund| Some((open(refund)?, refund)));
    next.min_by_key(|(due, _)| *due)
}

fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
