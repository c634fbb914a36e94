//! Do the rules hold for everything that people, payments and the time may do?

use std::collections::BTreeMap;

use chassis::{ClaimRange, Publish, Recorded, Restore, Versioned, base::time::Time};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    availability::Availability,
    claims::{Free, offer_scope, unit_claim_range},
};

/// One thing that somebody does.
#[derive(Clone, Debug)]
struct Step {
    /// How many minutes after the one before.
    after: i64,
    /// To which reservation.
    id: u8,
    command: Command,
}

fn rooms(sold_by: SoldBy, approval: Approval) -> Terms {
    Terms {
        sold_by,
        approval,
        capacity: 3,
        max_persons: 4,
        ..terms()
    }
}

fn a_request() -> impl Strategy<Value = Command> {
    let what = (
        0_i64..60,
        1_i64..5,
        1_u32..4,
        1_u32..5,
        any::<bool>(),
        any::<bool>(),
    );
    (what, 0_u128..3).prop_map(
        |((from, length, quantity, persons, hour, host), customer)| {
            let (sold_by, offer) = if hour {
                (SoldBy::Hour, 101)
            } else {
                (SoldBy::Night, 102)
            };
            let period = if hour {
                let start = later(noon(), minutes(15 * from));
                Period::times(start, later(start, hours(length)))
            } else {
                let start = date(2027, 3, 1).saturating_add(hours(24 * (from / 8)));
                Period::dates(start, start.saturating_add(hours(24 * length)))
            };
            let booking_request = BookingRequest {
                offer: OfferId::from_u128(offer),
                customer: MemberId::from_u128(1_000 + customer),
                period: period.unwrap(),
                quantity,
                persons,
                ..booking_request()
            };
            let approval = if host {
                Approval::Host
            } else {
                Approval::Nobody
            };
            let rules = Rules {
                per_person: 3,
                ..rules()
            };
            let terms = rooms(sold_by, approval);
            Command::Request(Box::new(Proposal {
                booking_request,
                terms,
                rules,
            }))
        },
    )
}

fn a_person() -> impl Strategy<Value = Actor> {
    let members = prop::sample::select(vec![1_000, 1_001, 1_002, 2, 3]);
    (members, prop::bool::weighted(0.1)).prop_map(|(member, operator)| Actor {
        member: MemberId::from_u128(member),
        operator,
    })
}

fn a_command() -> impl Strategy<Value = Command> {
    let amount = (1_i64..5, 1_i64..4).prop_map(|(units, quantity)| eur(units * quantity * 10_000));
    let payment = prop::sample::select(vec![PAYMENT, PAYMENT, OTHER_PAYMENT]);
    let expected = prop::option::weighted(0.2, (0_i64..400).prop_map(|major| eur(major * 100)));
    prop_oneof![
        4 => a_request(),
        2 => a_person().prop_map(|by| Command::Approve { by }),
        1 => a_person().prop_map(|by| Command::Reject { by, reason: "full".into() }),
        2 => (a_person(), expected).prop_map(|(by, expected_refund)| Command::Cancel {
            by,
            reason: String::new(),
            expected_refund,
        }),
        4 => (payment.clone(), amount).prop_map(|(payment, amount)| Command::Confirm { payment, amount }),
        1 => Just(decline()),
        1 => Just(Command::AwaitPayment),
        2 => payment.prop_map(|payment| Command::Refunded { payment }),
        3 => Just(Command::Due),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop_oneof![4 => 0_i64..20, 1 => 0_i64..3_000, 1 => -5_i64..0],
        0_u8..6,
        a_command(),
    );
    prop::collection::vec(
        step.prop_map(|(after, id, command)| Step { after, id, command }),
        1..60,
    )
}

/// A store in a few lines: states and their claims.
#[derive(Default)]
struct World {
    states: BTreeMap<u8, Reservation>,
    recorded: BTreeMap<u8, Vec<Event>>,
}

impl World {
    /// The input of a decision: the claims of other reservations in the command's ranges.
    fn now(&self, id: u8, command: &Command, at: Timestamp) -> Now {
        let mut now = Now::at(at);
        for look in Reservation::claim_ranges(self.states.get(&id), command) {
            for (_, other) in self.states.iter().filter(|(other, _)| **other != id) {
                for (scope, key) in other.claims().iter() {
                    if look.contains(scope, key) {
                        now = now.with_held(scope, key);
                    }
                }
            }
        }
        now
    }

    /// Gives a command, and checks everything that must be true of what it does.
    fn give(&mut self, step: &Step, at: Timestamp) -> Result<(), TestCaseError> {
        let Step { id, command, .. } = step;
        let now = self.now(*id, command, at);
        let before = self.states.get(id).cloned();
        let decided = Reservation::decide(before.as_ref(), command, &now);
        let events = match decided {
            Ok(events) => events,
            Err(refusal) => {
                let colleague = !matches!(
                    command,
                    Command::Request(_)
                        | Command::Approve { .. }
                        | Command::Reject { .. }
                        | Command::Cancel { .. }
                );
                prop_assert!(
                    before.is_none() || !colleague,
                    "{:?} refused: {}",
                    command,
                    refusal
                );
                return Ok(());
            }
        };
        let after = fold(before.clone(), events.clone()).unwrap();
        let again = Reservation::decide(Some(&after), command, &now);
        prop_assert!(again.unwrap_or_default().is_empty(), "{:?} twice", command);
        if let Some(before) = &before {
            prop_assert_eq!(&before.booking, &after.booking);
            let ended = !before.status.is_open()
                && !matches!(before.status, Status::CancelRequested { .. });
            prop_assert!(
                !ended || before.status == after.status,
                "{:?} left its end",
                before.status
            );
        }
        can_be_restored(before, &events)?;
        self.recorded.entry(*id).or_default().extend(events);
        prop_assert_eq!(fold(None, self.recorded[id].clone()), Some(after.clone()));
        let stored = serde_json::to_string(&after).unwrap();
        prop_assert_eq!(
            &serde_json::from_str::<Reservation>(&stored).unwrap(),
            &after
        );
        check(&after)?;
        self.states.insert(*id, after);
        self.no_unit_is_held_twice()
    }

    fn no_unit_is_held_twice(&self) -> Result<(), TestCaseError> {
        let mut held = BTreeSet::new();
        for state in self.states.values() {
            for (scope, key) in state.claims().iter() {
                prop_assert!(
                    held.insert((scope.to_owned(), key.to_owned())),
                    "{} {}",
                    scope,
                    key
                );
            }
        }
        Ok(())
    }
}

/// The published events are enough to restore the state that the domain events led to.
fn can_be_restored(before: Option<Reservation>, events: &[Event]) -> Result<(), TestCaseError> {
    let mut state = before;
    for event in events {
        let after = Reservation::evolve(state.clone(), event).unwrap();
        let at = noon();
        let (version, created, updated) = (7, at, at);
        let stored = Versioned {
            state: after.clone(),
            version,
            created,
            updated,
        };
        let facts = Reservation::facts(PAYMENT, event, &stored);
        prop_assert_eq!(facts.len(), 1);
        let recorded = Recorded {
            producer: "reservation".into(),
            seq: 1,
            digest: chassis::domain::digest::LogDigest::default(),
            id: String::new(),
            event_type: facts[0].event_type.clone(),
            subject: PAYMENT.to_string(),
            version,
            at,
            data: facts[0].data.clone(),
            cause: chassis::Cause::default(),
        };
        prop_assert!(Reservation::restores_from(&recorded.event_type));
        let again = Reservation::event(&recorded, state.as_ref());
        prop_assert_eq!(again.as_ref(), Some(event));
        state = Some(after);
    }
    Ok(())
}

/// What is true of every state.
fn check(state: &Reservation) -> Result<(), TestCaseError> {
    let Reservation {
        booking,
        status,
        missed,
    } = state;
    let quantity = usize::try_from(booking.request.quantity).unwrap();
    let slots = booking.request.period.slots().len();
    let claims = if status.is_open() {
        slots * quantity + 1
    } else {
        0
    };
    prop_assert_eq!(state.claims().len(), claims);
    prop_assert_eq!(state.due().is_some(), status.is_open());
    prop_assert_eq!(booking.unit_numbers.len(), quantity);
    prop_assert!(
        booking
            .unit_numbers
            .iter()
            .all(|unit| (1..=3).contains(unit))
    );
    prop_assert!((1..=3).contains(&booking.customer_slot));
    prop_assert!(booking.price.is_positive() && booking.stay.start < booking.stay.end);
    prop_assert!(
        status
            .payment()
            .is_none_or(|payment| !missed.contains(&payment))
    );
    if let Some(refund) = status.refund() {
        prop_assert!((0..=booking.price.minor).contains(&refund.minor));
        prop_assert!(refund.is_zero() || status.payment().is_some());
    }
    Ok(())
}

/// The claims on a room, and a request for it.
fn a_request_with_other_claims() -> impl Strategy<Value = (Vec<(i64, u32)>, i64, i64, u32, Terms)> {
    let taken = prop::collection::vec((0_i64..8, 1_u32..6), 0..12);
    let terms = (1_u32..5, any::<bool>(), prop::bool::weighted(0.1), 0_i8..24).prop_map(
        |(capacity, hour, withdrawn, check_in)| Terms {
            capacity,
            withdrawn,
            check_in: Time::constant(check_in, 0, 0, 0),
            ..rooms(
                if hour { SoldBy::Hour } else { SoldBy::Night },
                Approval::Nobody,
            )
        },
    );
    (taken, -3_i64..8, 1_i64..4, 1_u32..5, terms)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_sells_a_unit_twice(steps in steps()) {
        let mut world = World::default();
        let mut at = noon();
        for step in &steps {
            at = later(at, minutes(step.after));
            world.give(step, at)?;
        }
    }

    #[test]
    fn availability_equals_the_outcome_of_a_request(
        (taken, from, length, quantity, terms) in a_request_with_other_claims()
    ) {
        let period = if terms.sold_by == SoldBy::Hour {
            let start = later(noon(), hours(from));
            Period::times(start, later(start, hours(length)))
        } else {
            let start = date(2027, 3, 1).saturating_add(hours(24 * from));
            Period::dates(start, start.saturating_add(hours(24 * length)))
        }.unwrap();
        let scope = offer_scope(OFFER);
        let look = unit_claim_range(OFFER, &period, terms.capacity, quantity);
        let mut now = Now::at(noon());
        for (at, unit) in taken {
            let slots = if terms.sold_by == SoldBy::Hour {
                Period::times(later(noon(), hours(at)), later(noon(), hours(at + 1))).unwrap().slots()
            } else {
                vec![date(2027, 3, 1).saturating_add(hours(24 * at)).to_string()]
            };
            for key in slots.iter().map(|slot| ClaimRange::unit_key(unit, slot)) {
                if look.contains(&scope, &key) {
                    now = now.with_held(scope.as_str(), key);
                }
            }
        }
        let free = Free::of(terms.capacity, now.taken(&scope));
        let seen = Availability::of(&terms, &period, quantity, &free, now.at).unwrap();
        let booking_request = BookingRequest { period, quantity, persons: 1, ..booking_request() };
        let decided = Reservation::decide(None, &request_of(booking_request, terms), &now);
        prop_assert_eq!(seen.free >= quantity, decided.is_ok());
        prop_assert_eq!(seen.refusal, decided.err());
    }
}
