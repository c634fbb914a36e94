//! The rules of a reservation: given events, when a command, then events or a refusal.

mod cancelled;
mod decided;
mod paid;
mod properties;
mod races;
mod requested;
mod zones;

use std::collections::BTreeSet;

use chassis::{
    Aggregate, MemberId, Money, Now, OfferId, Timestamp,
    base::time::{Date, SignedDuration},
};
use chassis_testing::{Given, fold, given, noon};

use super::{
    booking::{BookingRequest, PaymentMethod, Proposal, Rules, later},
    period::Period,
    refund::Tier,
    refusal::Refusal,
    status::{PaymentId, Rejection, Status},
    terms::{Approval, OfferKind, SoldBy, Terms},
    *,
};

const GUEST: MemberId = MemberId::from_u128(1);
const HOST: MemberId = MemberId::from_u128(2);
const STRANGER: MemberId = MemberId::from_u128(3);
const OFFER: OfferId = OfferId::from_u128(4);
const PAYMENT: PaymentId = PaymentId::from_u128(5);
const OTHER_PAYMENT: PaymentId = PaymentId::from_u128(6);

const fn date(year: i16, month: i8, day: i8) -> Date {
    Date::constant(year, month, day)
}

fn eur(minor: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor)
}

fn actor(member: MemberId) -> Actor {
    Actor {
        member,
        operator: false,
    }
}

fn operator() -> Actor {
    Actor {
        member: STRANGER,
        operator: true,
    }
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn nights(start: Date, end: Date) -> Period {
    Period::dates(start, end).unwrap()
}

fn times(start: &str, hours: i64) -> Period {
    let start: Timestamp = start.parse().unwrap();
    Period::times(start, later(start, SignedDuration::from_hours(hours))).unwrap()
}

/// A room in Paris for two, of which there are two, at 100 euros a night.
fn terms() -> Terms {
    Terms {
        kind: OfferKind::Room,
        host: HOST,
        title: "Beautiful House".into(),
        sold_by: SoldBy::Night,
        capacity: 2,
        max_persons: 2,
        price: eur(10_000),
        approval: Approval::Nobody,
        tiers: vec![
            Tier {
                hours_before: 168,
                percent: 100,
            },
            Tier {
                hours_before: 24,
                percent: 50,
            },
        ],
        zone: chassis::base::time::zone("Europe/Paris").unwrap(),
        check_in: chassis::base::time::Time::constant(15, 0, 0, 0),
        check_out: chassis::base::time::Time::constant(11, 0, 0, 0),
        blackouts: vec![],
        withdrawn: false,
    }
}

/// Two nights in April for two.
fn booking_request() -> BookingRequest {
    BookingRequest {
        offer: OFFER,
        customer: GUEST,
        period: nights(date(2027, 4, 1), date(2027, 4, 3)),
        quantity: 1,
        persons: 2,
        payment_method: PaymentMethod("tok_secret".into()),
    }
}

fn rules() -> Rules {
    Rules {
        hold: minutes(15),
        approval: hours(24),
        per_person: 10,
    }
}

fn request_of(booking_request: BookingRequest, terms: Terms) -> Command {
    Command::Request(Box::new(Proposal {
        booking_request,
        terms,
        rules: rules(),
    }))
}

fn request() -> Command {
    request_of(booking_request(), terms())
}

/// The same booking_request for a room whose host must agree.
fn request_to_host() -> Command {
    request_of(
        booking_request(),
        Terms {
            approval: Approval::Host,
            ..terms()
        },
    )
}

/// What happens at noon of 1 March when a command is given about nothing.
fn happens(command: &Command) -> Event {
    let mut events = Reservation::decide(None, command, &Now::at(noon())).unwrap();
    events.pop().unwrap()
}

const PRICE: i64 = 20_000;

/// 1 April 2027 at three in the afternoon, in Paris.
fn start() -> Timestamp {
    "2027-04-01T13:00:00Z".parse().unwrap()
}

/// 3 April 2027 at eleven in the morning, in Paris.
fn end() -> Timestamp {
    "2027-04-03T09:00:00Z".parse().unwrap()
}

/// The ways to every state, by the events that lead to it.
mod has {
    use super::*;

    pub(super) fn requested() -> Vec<Event> {
        vec![happens(&request())]
    }

    pub(super) fn pending() -> Vec<Event> {
        vec![happens(&request_to_host())]
    }

    pub(super) fn approved() -> Vec<Event> {
        and(
            pending(),
            [Event::Approved {
                pay_by: later(noon(), minutes(15)),
            }],
        )
    }

    pub(super) fn payment_pending() -> Vec<Event> {
        and(
            requested(),
            [Event::PaymentPending {
                give_up: later(noon(), hours(24)),
            }],
        )
    }

    pub(super) fn confirmed() -> Vec<Event> {
        and(requested(), [Event::Confirmed { payment: PAYMENT }])
    }

    pub(super) fn confirmed_after_approval() -> Vec<Event> {
        and(approved(), [Event::Confirmed { payment: PAYMENT }])
    }

    pub(super) fn rejected() -> Vec<Event> {
        and(
            pending(),
            [Event::Rejected {
                why: Rejection::ByHost("full".into()),
            }],
        )
    }

    pub(super) fn declined() -> Vec<Event> {
        let why = Rejection::PaymentDeclined("INSUFFICIENT_FUNDS".into());
        and(requested(), [Event::Rejected { why }])
    }

    pub(super) fn lapsed() -> Vec<Event> {
        and(requested(), [Event::Lapsed])
    }

    pub(super) fn cancel_requested() -> Vec<Event> {
        let event = Event::CancelRequested {
            refund: eur(PRICE),
            reason: "ill".into(),
        };
        and(confirmed(), [event])
    }

    pub(super) fn cancelled() -> Vec<Event> {
        and(
            requested(),
            [Event::Cancelled {
                reason: "ill".into(),
            }],
        )
    }

    pub(super) fn refunded() -> Vec<Event> {
        and(cancel_requested(), [Event::Refunded])
    }

    pub(super) fn completed() -> Vec<Event> {
        and(confirmed(), [Event::Completed])
    }

    pub(super) fn every_state() -> Vec<Vec<Event>> {
        vec![
            requested(),
            pending(),
            approved(),
            payment_pending(),
            confirmed(),
            confirmed_after_approval(),
            rejected(),
            declined(),
            lapsed(),
            cancel_requested(),
            cancelled(),
            refunded(),
            completed(),
        ]
    }

    pub(super) fn and<const N: usize>(mut events: Vec<Event>, more: [Event; N]) -> Vec<Event> {
        events.extend(more);
        events
    }
}

fn on(events: Vec<Event>) -> Given<Reservation> {
    given(events)
}

fn state(events: Vec<Event>) -> Reservation {
    fold(None, events).unwrap()
}

fn approve(member: MemberId) -> Command {
    Command::Approve { by: actor(member) }
}

fn reject(member: MemberId, reason: &str) -> Command {
    Command::Reject {
        by: actor(member),
        reason: reason.into(),
    }
}

fn cancel(member: MemberId) -> Command {
    Command::Cancel {
        by: actor(member),
        reason: "ill".into(),
        expected_refund: None,
    }
}

fn confirm() -> Command {
    Command::Confirm {
        payment: PAYMENT,
        amount: eur(PRICE),
    }
}

fn decline() -> Command {
    Command::Decline {
        reason: "INSUFFICIENT_FUNDS".into(),
    }
}

fn refunded() -> Command {
    Command::Refunded { payment: PAYMENT }
}

fn missed() -> Event {
    Event::ConfirmationMissed { payment: PAYMENT }
}
