//! The ledger of the simulated provider: the requests with each key, and their effects.
//!
//! It is stored as an aggregate of its own that nothing else reads and that has its own transactions, because a real
//! provider does not share ours. Requests are counted, so the behaviour is the same before and after a restart.

use std::collections::BTreeMap;

use chassis::{Aggregate, Fact, Kind, Money, Now, Publish, Refused, Versioned};
use serde::{Deserialize, Serialize};

use super::script::Script;
use crate::domain::{Method, Outcome, PaymentId};

/// The record of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderLedger {
    /// The number of requests.
    pub(crate) requests: u32,
    /// The payment method of the first charge request.
    method: Option<Method>,
    /// The outcome.
    pub(crate) outcome: Option<Outcome>,
    /// The charges, before refunds. At most one.
    charges: Vec<Money>,
    /// For each refund key the number of requests, and the amount that was refunded.
    refunds: BTreeMap<String, (u32, Option<Money>)>,
    voided: bool,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Charge {
        amount: Money,
        method: Method,
        /// The provider's reference of the charge.
        reference: String,
    },
    Query,
    Refund {
        key: String,
        amount: Money,
    },
    Void,
}

/// A request as it was recorded. Every request is one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// Whether the request was lost before it had an effect.
    pub(crate) lost: bool,
}

/// No request is refused; a lost one has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Never {}

impl Refused for Never {
    fn kind(&self) -> Kind {
        match *self {}
    }

    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for ProviderLedger {
    const KIND: &'static str = "simulated-provider";
    type Id = PaymentId;
    type Command = Ask;
    type Event = Asked;
    type Refusal = Never;

    fn decide(this: Option<&Self>, ask: &Ask, _: &Now) -> Result<Vec<Asked>, Never> {
        let ledger = this.cloned().unwrap_or_default();
        let script = match ask {
            Ask::Charge { method, .. } if ledger.method.is_none() => Script::of(method),
            _ => ledger.script(),
        };
        let lost = match ask {
            Ask::Refund { key, .. } => {
                ledger.refunds.get(key).map_or(0, |(tries, _)| *tries) < script.refund_fails
            }
            _ => false,
        };
        let lost = lost || ledger.requests < script.down;
        let ask = ask.clone();
        Ok(vec![Asked { ask, lost }])
    }

    fn evolve(this: Option<Self>, event: &Asked) -> Option<Self> {
        let mut ledger = this.unwrap_or_default();
        ledger.requests = ledger.requests.saturating_add(1);
        ledger.note(&event.ask);
        if !event.lost {
            ledger.act(&event.ask);
        }
        Some(ledger)
    }
}

impl ProviderLedger {
    /// The script of the payment method.
    pub(crate) fn script(&self) -> Script {
        self.method
            .as_ref()
            .map_or_else(Script::default, Script::of)
    }

    /// The part of a request that is recorded even if the request is lost.
    fn note(&mut self, ask: &Ask) {
        match ask {
            Ask::Charge { method, .. } if self.method.is_none() => {
                self.method = Some(method.clone());
            }
            Ask::Refund { key, .. } => {
                let (tries, _) = self.refunds.entry(key.clone()).or_default();
                *tries = tries.saturating_add(1);
            }
            _ => {}
        }
    }

    fn act(&mut self, ask: &Ask) {
        match ask {
            Ask::Charge {
                amount, reference, ..
            } if self.outcome.is_none() => self.charge(*amount, reference),
            Ask::Refund { key, amount } if !self.voided && self.left() >= amount.minor => {
                if let Some((_, refunded @ None)) = self.refunds.get_mut(key) {
                    *refunded = Some(*amount);
                }
            }
            Ask::Void => {
                self.voided = true;
                self.outcome = Some(Outcome::Declined {
                    reason: "VOIDED".into(),
                });
            }
            _ => {}
        }
    }

    fn charge(&mut self, amount: Money, reference: &str) {
        let declined = self.script().declines.map(|reason| Outcome::Declined {
            reason: reason.into(),
        });
        let outcome = declined.unwrap_or_else(|| {
            self.charges.push(amount);
            Outcome::Charged {
                reference: reference.to_owned(),
            }
        });
        self.outcome = Some(outcome);
    }

    /// Whether a refund was made, or is unnecessary because the charge was voided.
    pub(crate) fn has_refunded(&self, key: &str) -> bool {
        self.voided || matches!(self.refunds.get(key), Some((_, Some(_))))
    }

    /// The amount that can still be refunded.
    fn left(&self) -> i64 {
        let charged: i64 = self.charges.iter().map(|amount| amount.minor).sum();
        let refunds = self.refunds.values().filter_map(|(_, refunded)| *refunded);
        charged - refunds.map(|amount| amount.minor).sum::<i64>()
    }
}

impl Publish for ProviderLedger {
    fn facts(_: PaymentId, _: &Asked, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}
