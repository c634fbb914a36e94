//! The ledger of the simulated provider: what it was asked under each key, and what it did.
//!
//! They are kept as aggregates of their own, changed in transactions of their own and read by nothing else: a provider
//! does not share our transactions. Every request is counted, so what happens is the same before and after a restart.

use std::collections::BTreeMap;

use chassis::{Aggregate, Fact, Kind, Money, Now, Publish, Refused, Versioned};
use serde::{Deserialize, Serialize};

use super::script::Script;
use crate::domain::{Method, Outcome, PaymentId};

/// What the provider knows about one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderLedger {
    /// How often it was asked anything.
    pub(crate) requests: u32,
    /// The method it was first asked to charge.
    method: Option<Method>,
    /// What it decided.
    pub(crate) outcome: Option<Outcome>,
    /// What it has charged, whatever it gave back since. At most one charge.
    charges: Vec<Money>,
    /// How often each refund was asked for, and what was refunded.
    refunds: BTreeMap<String, (u32, Option<Money>)>,
    voided: bool,
}

/// What it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Charge {
        amount: Money,
        method: Method,
        /// What a charge will be called.
        reference: String,
    },
    Query,
    Refund {
        key: String,
        amount: Money,
    },
    Void,
}

/// What it did. Every request is one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// Whether it was not even heard.
    pub(crate) lost: bool,
}

/// It never says no: it does not answer.
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
    /// What it does with the method it was asked to charge.
    pub(crate) fn script(&self) -> Script {
        self.method
            .as_ref()
            .map_or_else(Script::default, Script::of)
    }

    /// What a request leaves behind even if it is lost: a test counts it.
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

    /// Whether a refund was made, or need not be because everything was undone.
    pub(crate) fn has_refunded(&self, key: &str) -> bool {
        self.voided || matches!(self.refunds.get(key), Some((_, Some(_))))
    }

    /// What can still be refunded.
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
