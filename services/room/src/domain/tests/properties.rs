//! What holds for rooms and reviews after any sequence of commands.

use std::collections::BTreeMap;

use chassis::{Aggregate, MemberId, Now, ReservationId, base::time::Time};
use chassis_testing::noon;
use proptest::prelude::*;

use super::{
    super::{
        By, Review, Room, RoomId,
        review::{self, Content, Edit, Stay},
        room::{self, RatingChange, Status},
        terms::{Approval, Change, Sold, Terms},
    },
    euros, stars, terms,
};

fn member() -> impl Strategy<Value = MemberId> {
    (1_u128..4).prop_map(MemberId::from_u128)
}

fn reservation() -> impl Strategy<Value = ReservationId> {
    (1_u128..6).prop_map(ReservationId::from_u128)
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![3 => member().prop_map(By::Member), 1 => Just(By::Operator)]
}

fn time() -> impl Strategy<Value = Option<Time>> {
    prop::option::of((0_i8..24).prop_map(|hour| Time::new(hour, 0, 0, 0).unwrap()))
}

fn some_terms() -> impl Strategy<Value = Terms> {
    ("[a-c]", any::<bool>()).prop_map(|(title, by_hour)| Terms {
        title,
        sold: if by_hour { Sold::ByHour } else { terms().sold },
        ..terms()
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        "[a-c]".prop_map(Change::Title),
        (1_i32..3).prop_map(Change::MaxPersons),
        (1_i64..3).prop_map(|price| Change::Price(euros(price))),
        Just(Change::Approval(Approval::Host)),
        Just(Change::Tiers(vec![])),
        time().prop_map(Change::CheckIn),
        time().prop_map(Change::CheckOut),
    ]
}

fn rating_change() -> impl Strategy<Value = RatingChange> {
    let rating = || prop::option::of((1_i32..=5).prop_map(stars));
    (reservation(), 1_i64..4, rating(), rating()).prop_map(|(review, version, before, after)| {
        RatingChange {
            review,
            version,
            before,
            after,
        }
    })
}

fn room_command() -> impl Strategy<Value = room::Command> {
    use room::Command;
    let changes = prop::collection::vec(change(), 1..3);
    let modify = (by(), -1_i64..6, changes);
    prop_oneof![
        1 => (member(), some_terms()).prop_map(|(host, terms)| Command::Register { host, terms }),
        4 => modify.prop_map(|(by, from, changes)| Command::Modify { by, from, changes }),
        1 => by().prop_map(|by| Command::Delete { by }),
        4 => reservation().prop_map(Command::Reserve),
        4 => reservation().prop_map(Command::Release),
        1 => reservation().prop_map(Command::Forgo),
        2 => rating_change().prop_map(Command::CountReview),
    ]
}

fn review_command() -> impl Strategy<Value = review::Command> {
    use review::Command;
    let rating = || (1_i32..=5).prop_map(stars);
    let content = (rating(), "[a-c]").prop_map(|(rating, text)| Content { rating, text });
    let edit = prop_oneof![
        rating().prop_map(Edit::Rating),
        "[a-c]".prop_map(Edit::Text)
    ];
    let modify = (by(), -1_i64..6, prop::collection::vec(edit, 1..3));
    let room = RoomId::from_u128(7);
    prop_oneof![
        1 => member().prop_map(move |guest| Command::Invite(Stay { room, guest })),
        3 => (member(), content).prop_map(|(author, content)| Command::Create { author, content }),
        4 => modify.prop_map(|(by, from, edits)| Command::Modify { by, from, edits }),
        1 => by().prop_map(|by| Command::Delete { by }),
    ]
}

/// Executes a command and returns the state after it. Checks that a repeat of an accepted command changes nothing and
/// that the state survives the round trip through JSON.
fn execute<A: Aggregate>(
    state: Option<A>,
    command: &A::Command,
) -> Result<Option<A>, TestCaseError> {
    let now = Now::at(noon());
    let Ok(events) = A::decide(state.as_ref(), command, &now) else {
        return Ok(state);
    };
    let mut after = state;
    for event in &events {
        after = A::evolve(after, event);
        prop_assert!(after.is_some(), "cannot evolve by {event:?}");
    }
    prop_assert_eq!(
        A::decide(after.as_ref(), command, &now).ok(),
        Some(vec![]),
        "a repeat"
    );
    if let Some(after) = &after {
        let stored = serde_json::to_string(after).unwrap();
        prop_assert_eq!(&serde_json::from_str::<A>(&stored).unwrap(), after);
    }
    Ok(after)
}

proptest! {
    #[test]
    fn a_room_keeps_its_invariants(commands in prop::collection::vec(room_command(), 0..40)) {
        let mut room: Option<Room> = None;
        for command in commands {
            let before = room.clone();
            room = execute(room, &command)?;
            let Some((before, room)) = before.zip(room.as_ref()) else { continue };
            prop_assert_eq!(before.host, room.host);
            prop_assert_eq!((&before.terms.zone, before.terms.units), (&room.terms.zone, room.terms.units));
            let is_by_hour = |sold| matches!(sold, Sold::ByHour);
            prop_assert_eq!(is_by_hour(before.terms.sold), is_by_hour(room.terms.sold));
            let has_changed = (&before.terms, before.withdrawn) != (&room.terms, room.withdrawn);
            prop_assert_eq!(room.version, before.version + i64::from(has_changed));
            prop_assert!(room.withdrawn || !before.withdrawn);
            if let Sold::ByNight { check_in, check_out } = room.terms.sold {
                prop_assert!(check_out <= check_in);
            }
        }
    }

    #[test]
    fn a_review_keeps_its_stay_and_stays_deleted(commands in prop::collection::vec(review_command(), 0..40)) {
        let mut review: Option<Review> = None;
        for command in commands {
            let before = review.clone();
            review = execute(review, &command)?;
            match (before, &review) {
                (Some(before), Some(review)) => {
                    prop_assert_eq!(before.stay(), review.stay());
                    prop_assert!(!matches!(before, Review::Deleted(_)) || before == *review);
                }
                (Some(_), None) => prop_assert!(false, "the state is gone"),
                (None, _) => {}
            }
        }
    }

    /// Once released, a reservation never reserves the room again.
    #[test]
    fn the_status_does_not_depend_on_the_order_of_reservations(
        orders in prop::collection::vec((reservation(), any::<bool>()), 0..60),
    ) {
        use room::Command;
        let register = Command::Register { host: MemberId::from_u128(1), terms: terms() };
        let mut room = execute::<Room>(None, &register)?;
        let mut released: BTreeMap<ReservationId, bool> = BTreeMap::new();
        for (id, release) in orders {
            let command = if release { Command::Release(id) } else { Command::Reserve(id) };
            room = execute(room, &command)?;
            *released.entry(id).or_default() |= release;
        }
        let expected = if released.values().all(|released| *released) {
            Status::Available
        } else {
            Status::Reserved
        };
        prop_assert_eq!(room.map(|room| room.status()), Some(expected));
    }
}
