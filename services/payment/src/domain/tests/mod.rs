//! Every arm of the rules.

mod charge;
mod notice;
mod properties;
mod refund;

use chassis::{MemberId, Money, Timestamp, base::time::SignedDuration};
use chassis_testing::{Given, given, noon};

use super::*;

fn eur(minor: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor)
}

fn order() -> Order {
    Order {
        customer: MemberId::from_u128(1),
        host: MemberId::from_u128(2),
        amount: eur(10_000),
        method: Method::new("tok_approved".into()),
    }
}

fn in_secs(seconds: i64) -> Timestamp {
    after(noon(), SignedDuration::from_secs(seconds))
}

fn in_hours(hours: i64) -> Timestamp {
    after(noon(), SignedDuration::from_hours(hours))
}

fn retry(attempts: u32, due: Timestamp) -> Retry {
    Retry { attempts, due }
}

fn request() -> Command {
    Command::Request {
        order: order(),
        lead: SignedDuration::from_secs(3),
    }
}

fn yes() -> Outcome {
    Outcome::Charged {
        reference: "ref".into(),
    }
}

fn no() -> Outcome {
    Outcome::Declined {
        reason: "INSUFFICIENT_FUNDS".into(),
    }
}

fn refund(why: Why, minor: Option<i64>) -> Command {
    Command::Refund {
        why,
        amount: minor.map(eur),
    }
}

fn cancel(minor: i64) -> Command {
    refund(Why::Cancelled, Some(minor))
}

fn unwanted() -> Command {
    refund(Why::Unwanted, None)
}

fn notify(outcome: Outcome) -> Command {
    Command::Notify(Notice::Settled(outcome))
}

fn requested() -> Event {
    Event::Requested {
        order: order(),
        at: noon(),
        due: in_secs(3),
    }
}

fn charged() -> Event {
    Event::Charged {
        reference: "ref".into(),
    }
}

fn declined() -> Event {
    Event::Declined {
        reason: "INSUFFICIENT_FUNDS".into(),
    }
}

fn wished(why: Why, minor: Option<i64>) -> Event {
    Event::RefundRequested {
        why,
        amount: minor.map(eur),
    }
}

fn begun(why: Why, minor: i64) -> Event {
    Event::RefundBegun {
        why,
        amount: eur(minor),
        due: noon(),
    }
}

fn refunded(why: Why, minor: i64) -> Event {
    Event::Refunded {
        why,
        amount: eur(minor),
    }
}

fn nothing(why: Why) -> Event {
    Event::NothingRefunded { why }
}

fn announced(outcome: Outcome, slot: u32) -> Event {
    Event::Announced {
        outcome,
        slot,
        until: in_hours(24),
    }
}

fn given_up() -> Event {
    Event::GivenUp { due: noon() }
}

/// A paid payment of which a part is being refunded because of a cancellation.
fn cancelling(minor: i64) -> Vec<Event> {
    vec![
        requested(),
        charged(),
        wished(Why::Cancelled, Some(minor)),
        begun(Why::Cancelled, minor),
    ]
}

fn paying(events: impl IntoIterator<Item = Event>) -> Given<Payment> {
    given(events)
}

fn state(events: impl IntoIterator<Item = Event>) -> Payment {
    chassis_testing::fold(None, events).unwrap()
}
