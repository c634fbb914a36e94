//! The rules of a payment.

use std::collections::BTreeMap;

use chassis::{Aggregate, ClaimRange, Claims, Money, Now, Timestamp};

use super::{
    Command, Event, KEPT, Notice, Outcome, PROVIDER_TIMEOUT, Payment, PaymentId, Refund, Refusal,
    Requested, Retry, SLOTS, Stage, Void, Why, after, next_refund,
};

/// The claim scope of the slots for payments that were announced and not requested.
const ANNOUNCED: &str = "announced";

impl Aggregate for Payment {
    const KIND: &'static str = "payment";
    type Id = PaymentId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None | Some(Self::Forgotten), Command::Request { order, lead }) => {
                Ok(vec![Event::Requested {
                    order: order.clone(),
                    at: now.at,
                    due: after(now.at, *lead),
                }])
            }
            (Some(Self::Announced { outcome, .. }), Command::Request { order, .. }) => Ok(vec![
                Event::Requested {
                    order: order.clone(),
                    at: now.at,
                    due: now.at,
                },
                settled(outcome),
            ]),
            (Some(Self::Requested(this)), Command::Request { order, .. }) => {
                if this.order == *order {
                    Ok(vec![])
                } else {
                    Err(Refusal::OtherContent)
                }
            }
            (None | Some(Self::Forgotten), Command::Notify(Notice::Settled(outcome))) => {
                announce(outcome, now)
            }
            (Some(Self::Announced { outcome, slot, .. }), Command::Notify(notice)) => {
                Ok(announce_again(outcome, *slot, notice, now.at))
            }
            (Some(Self::Announced { until, .. }), Command::Forget) if now.at >= *until => {
                Ok(vec![Event::Forgotten])
            }
            (Some(_), Command::Forget) => Ok(vec![]),
            (Some(Self::Requested(this)), command) => this.decide(command, now.at),
            (None | Some(Self::Announced { .. } | Self::Forgotten), _) => Err(Refusal::Unknown),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (
                None | Some(Self::Forgotten | Self::Announced { .. }),
                Event::Announced {
                    outcome,
                    slot,
                    until,
                },
            ) => Some(Self::Announced {
                outcome: outcome.clone(),
                slot: *slot,
                until: *until,
            }),
            (Some(Self::Announced { .. }), Event::Forgotten) => Some(Self::Forgotten),
            (
                None | Some(Self::Forgotten | Self::Announced { .. }),
                Event::Requested { order, at, due },
            ) => Some(Self::Requested(Requested {
                order: order.clone(),
                at: *at,
                refund_requests: BTreeMap::new(),
                stage: Stage::Pending(Retry::at(*due)),
            })),
            (Some(Self::Requested(mut this)), event) => {
                this.evolve(event)?;
                Some(Self::Requested(this))
            }
            _ => None,
        }
    }

    fn claim_ranges(this: Option<&Self>, command: &Command) -> Vec<ClaimRange> {
        match (this, command) {
            (None | Some(Self::Forgotten), Command::Notify(_)) => vec![ClaimRange::all(ANNOUNCED)],
            _ => vec![],
        }
    }

    fn claims(&self) -> Claims {
        match self {
            Self::Announced { slot, .. } => Claims::none().and(ANNOUNCED, place(*slot)),
            Self::Forgotten | Self::Requested(_) => Claims::none(),
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Announced { until, .. } => Some(*until),
            Self::Forgotten => None,
            Self::Requested(this) => match &this.stage {
                Stage::Pending(retry)
                | Stage::Declined {
                    void: Void::Owed(retry),
                    ..
                } => Some(retry.due),
                Stage::Declined { .. } => None,
                Stage::Charged { refunds, .. } => next_refund(refunds).map(|(due, _)| due),
            },
        }
    }
}

impl Requested {
    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        Ok(match (&self.stage, command) {
            (_, Command::Settle(outcome) | Command::Notify(Notice::Settled(outcome))) => {
                self.settle(outcome, now)
            }
            (_, Command::Refund { why, amount }) => return self.refund(*why, *amount, now),
            (Stage::Pending(_), Command::NoAnswer) if self.is_overdue(now) => {
                let mut events = vec![Event::GivenUp { due: now }];
                events.extend(self.nothing_refunded());
                events
            }
            (Stage::Pending(retry), Command::NoAnswer) => vec![Event::Delayed(retry.again(now))],
            (
                Stage::Declined {
                    void: Void::Owed(_),
                    ..
                },
                Command::Voided,
            ) => {
                vec![Event::Voided]
            }
            (
                Stage::Declined {
                    void: Void::Owed(retry),
                    ..
                },
                Command::NotVoided,
            ) => vec![Event::VoidDelayed(retry.again(now))],
            (Stage::Charged { refunds, .. }, Command::Refunded(why)) => open(refunds, *why)
                .map(|(refund, _)| Event::Refunded {
                    why: *why,
                    amount: refund.amount,
                })
                .into_iter()
                .collect(),
            (Stage::Charged { refunds, .. }, Command::NotRefunded(why)) => open(refunds, *why)
                .map(|(_, retry)| Event::RefundDelayed {
                    why: *why,
                    retry: retry.again(now),
                })
                .into_iter()
                .collect(),
            // The report does not say which refund was made, so the provider is asked at once.
            (Stage::Charged { refunds, .. }, Command::Notify(Notice::Refunded)) => refunds
                .iter()
                .filter_map(|refund| Some((refund.why, refund.open?)))
                .filter(|(_, retry)| retry.due > now)
                .map(|(why, retry)| Event::RefundDelayed {
                    why,
                    retry: Retry { due: now, ..retry },
                })
                .collect(),
            _ => vec![],
        })
    }

    /// Applies the outcome of the charge, from a response, a query or a notification.
    fn settle(&self, outcome: &Outcome, now: Timestamp) -> Vec<Event> {
        match (&self.stage, outcome) {
            (Stage::Pending(_), Outcome::Charged { .. }) => {
                let mut left = self.order.amount;
                let mut events = vec![settled(outcome)];
                for (why, amount) in &self.refund_requests {
                    events.push(begin(&mut left, *why, *amount, now));
                }
                events
            }
            (Stage::Pending(_), Outcome::Declined { .. }) => {
                let mut events = vec![settled(outcome)];
                events.extend(self.nothing_refunded());
                events
            }
            // The payment was given up, so the charge is refunded, unless it is being voided.
            (
                Stage::Declined {
                    void: Void::NotNeeded,
                    ..
                },
                Outcome::Charged { .. },
            ) => {
                let mut events = vec![settled(outcome)];
                if !self.refund_requests.contains_key(&Why::Unwanted) {
                    events.push(Event::RefundRequested {
                        why: Why::Unwanted,
                        amount: None,
                    });
                }
                events.push(begin(&mut { self.order.amount }, Why::Unwanted, None, now));
                events
            }
            // A repeat, or a contradiction that moves no money.
            _ => vec![],
        }
    }

    fn refund(
        &self,
        why: Why,
        amount: Option<Money>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let currency = self.order.amount.currency;
        if amount.is_some_and(|amount| amount.currency != currency) {
            return Err(Refusal::OtherCurrency);
        }
        match self.refund_requests.get(&why) {
            Some(before) if *before == amount || why == Why::Unwanted => return Ok(vec![]),
            Some(_) => return Err(Refusal::OtherContent),
            None => {}
        }
        let mut events = vec![Event::RefundRequested { why, amount }];
        match &self.stage {
            // It begins when the outcome is known.
            Stage::Pending(_) => {}
            Stage::Declined { .. } => events.push(Event::NothingRefunded { why }),
            Stage::Charged { .. } => {
                let minor = self
                    .order
                    .amount
                    .minor
                    .saturating_sub(self.refunded().minor);
                let mut left = Money::new(currency, minor);
                events.push(begin(&mut left, why, amount, now));
            }
        }
        Ok(events)
    }

    /// Completes every requested refund: there was no charge.
    fn nothing_refunded(&self) -> impl Iterator<Item = Event> {
        self.refund_requests
            .keys()
            .map(|why| Event::NothingRefunded { why: *why })
    }

    fn evolve(&mut self, event: &Event) -> Option<()> {
        match (&mut self.stage, event) {
            (Stage::Pending(retry), Event::Delayed(next)) => *retry = *next,
            (
                stage @ (Stage::Pending(_) | Stage::Declined { .. }),
                Event::Charged { reference },
            ) => {
                *stage = Stage::Charged {
                    reference: reference.clone(),
                    refunds: Vec::new(),
                };
            }
            (stage @ Stage::Pending(_), Event::Declined { reason }) => {
                *stage = Stage::Declined {
                    reason: reason.clone(),
                    void: Void::NotNeeded,
                };
            }
            (stage @ Stage::Pending(_), Event::GivenUp { due }) => {
                *stage = Stage::Declined {
                    reason: PROVIDER_TIMEOUT.to_owned(),
                    void: Void::Owed(Retry::at(*due)),
                };
            }
            (Stage::Declined { void, .. }, Event::VoidDelayed(next)) => *void = Void::Owed(*next),
            (Stage::Declined { void, .. }, Event::Voided) => *void = Void::Done,
            (_, Event::RefundRequested { why, amount }) => {
                self.refund_requests.insert(*why, *amount);
            }
            (Stage::Charged { refunds, .. }, Event::RefundBegun { why, amount, due }) => {
                refunds.push(Refund {
                    why: *why,
                    amount: *amount,
                    open: Some(Retry::at(*due)),
                });
            }
            (Stage::Charged { refunds, .. }, Event::RefundDelayed { why, retry }) => {
                refunds.iter_mut().find(|refund| refund.why == *why)?.open = Some(*retry);
            }
            (Stage::Charged { refunds, .. }, Event::Refunded { why, .. }) => {
                refunds.iter_mut().find(|refund| refund.why == *why)?.open = None;
            }
            (_, Event::NothingRefunded { .. }) => {}
            _ => return None,
        }
        Some(())
    }
}

fn settled(outcome: &Outcome) -> Event {
    match outcome {
        Outcome::Charged { reference } => Event::Charged {
            reference: reference.clone(),
        },
        Outcome::Declined { reason } => Event::Declined {
            reason: reason.clone(),
        },
    }
}

/// Begins a refund, of at most what is `left`, which it reduces.
fn begin(left: &mut Money, why: Why, requested: Option<Money>, due: Timestamp) -> Event {
    let minor = requested.map_or(left.minor, |amount| amount.minor.clamp(0, left.minor));
    left.minor -= minor;
    if minor == 0 {
        return Event::NothingRefunded { why };
    }
    let amount = Money::new(left.currency, minor);
    Event::RefundBegun { why, amount, due }
}

fn open(refunds: &[Refund], why: Why) -> Option<(&Refund, Retry)> {
    let refund = refunds.iter().find(|refund| refund.why == why)?;
    refund.open.map(|retry| (refund, retry))
}

fn announce(outcome: &Outcome, now: &Now) -> Result<Vec<Event>, Refusal> {
    let slot = (1..=SLOTS).find(|slot| !now.is_held(ANNOUNCED, &place(*slot)));
    Ok(vec![Event::Announced {
        outcome: outcome.clone(),
        slot: slot.ok_or(Refusal::TooManyNotices)?,
        until: after(now.at, KEPT),
    }])
}

/// Of two reports that contradict each other the one about moved money counts.
fn announce_again(before: &Outcome, slot: u32, notice: &Notice, now: Timestamp) -> Vec<Event> {
    match (before, notice) {
        (Outcome::Declined { .. }, Notice::Settled(outcome @ Outcome::Charged { .. })) => {
            vec![Event::Announced {
                outcome: outcome.clone(),
                slot,
                until: after(now, KEPT),
            }]
        }
        _ => vec![],
    }
}

fn place(slot: u32) -> String {
    format!("{slot:04}")
}
