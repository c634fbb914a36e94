//! Every decision of a room.

use chassis::{
    Aggregate, Now, Refused, ReservationId,
    base::time::{Date, Time},
};
use chassis_testing::{Given, fold, noon};

use super::{
    super::{
        By, Room,
        refusal::Refusal,
        room::{Action, Command, Event, RatingChange, Status},
        terms::{Approval, Blackout, Change, Sold, Terms},
    },
    GUEST, HOST, OTHER_MEMBER, OTHER_STAY, STAY, euros, stars, terms,
};

fn registered() -> Event {
    Event::Registered {
        host: HOST,
        terms: terms(),
    }
}

fn register(terms: Terms) -> Command {
    Command::Register { host: HOST, terms }
}

fn titled(title: &str) -> Vec<Change> {
    vec![Change::Title(title.into())]
}

fn modify(by: By, from: i64, changes: Vec<Change>) -> Command {
    Command::Modify { by, from, changes }
}

fn given(past: impl IntoIterator<Item = Event>) -> Given<Room> {
    chassis_testing::given(past)
}

const BY_HOST: By = By::Member(HOST);

#[test]
fn a_registered_room_is_available() {
    let room = given([]).when(register(terms())).then([registered()]);
    let room = room.unwrap();
    assert_eq!(
        (room.host, room.version, room.last),
        (HOST, 1, Action::Registered)
    );
    assert_eq!((room.status(), room.terms), (Status::Available, terms()));
    assert_eq!((room.tally.reviews(), room.tally.average()), (0, 0.0));
}

#[test]
fn a_repeated_registration_with_the_first_content_changes_nothing() {
    given([registered()]).when(register(terms())).then([]);
    given([registered(), Event::Modified(titled("Loft"))])
        .when(register(terms()))
        .then([]);
    given([registered(), Event::Deleted])
        .when(register(terms()))
        .then([]);
}

#[test]
fn a_repeated_registration_with_other_content_is_refused() {
    let mut other = terms();
    other.units = 2;
    given([registered()])
        .when(register(other))
        .refuses(&Refusal::IdReused);
    let other_member = Command::Register {
        host: OTHER_MEMBER,
        terms: terms(),
    };
    given([registered()])
        .when(other_member)
        .refuses(&Refusal::IdReused);
    let mut now = terms();
    now.title = "Loft".into();
    given([registered(), Event::Modified(titled("Loft"))])
        .when(register(now))
        .refuses(&Refusal::IdReused);
}

#[test]
fn every_command_but_a_registration_needs_a_room() {
    let change = RatingChange {
        review: STAY,
        version: 2,
        before: None,
        after: Some(stars(3)),
    };
    for command in [
        modify(BY_HOST, 1, titled("Loft")),
        Command::Delete { by: BY_HOST },
        Command::Reserve(STAY),
        Command::Release(STAY),
        Command::CountReview(change),
    ] {
        given([]).when(command).refuses(&Refusal::Unknown);
    }
}

#[test]
fn a_host_changes_the_terms_that_can_change() {
    let time = |hour| Time::new(hour, 30, 0, 0).unwrap();
    let blackout = Blackout {
        start: march(1),
        end: march(3),
    };
    let changes = vec![
        Change::Title("Loft".into()),
        Change::Description("Bright".into()),
        Change::MaxPersons(3),
        Change::Price(euros(90)),
        Change::Approval(Approval::Host),
        Change::Tiers(vec![]),
        Change::Blackouts(vec![blackout]),
        Change::CheckIn(Some(time(16))),
        Change::CheckOut(Some(time(10))),
    ];
    let room = given([registered()])
        .when(modify(BY_HOST, 1, changes.clone()))
        .then([Event::Modified(changes)])
        .unwrap();
    let expected = Terms {
        title: "Loft".into(),
        description: "Bright".into(),
        sold: Sold::ByNight {
            check_in: time(16),
            check_out: time(10),
        },
        max_persons: 3,
        price: euros(90),
        approval: Approval::Host,
        tiers: vec![],
        blackouts: vec![blackout],
        ..terms()
    };
    assert_eq!(
        (room.terms, room.version, room.last),
        (expected, 2, Action::Modified)
    );
}

fn march(day: i8) -> Date {
    Date::new(2027, 3, day).unwrap()
}

#[test]
fn a_change_without_a_time_sets_the_default_time() {
    let late = vec![Change::CheckIn(Some(Time::constant(20, 0, 0, 0)))];
    let changed = Event::Modified(late);
    let usual = vec![Change::CheckIn(None), Change::CheckOut(None)];
    let room = given([registered(), changed])
        .when(modify(BY_HOST, 2, usual.clone()))
        .then([Event::Modified(usual)]);
    assert_eq!(room.unwrap().terms, terms());
}

#[test]
fn a_repeated_modification_changes_nothing() {
    let modified = Event::Modified(titled("Loft"));
    given([registered(), modified.clone()])
        .when(modify(BY_HOST, 1, titled("Loft")))
        .then([]);
    // Nor does a modification to the current terms.
    given([registered()])
        .when(modify(BY_HOST, 1, titled("Attic")))
        .then([]);
    given([registered(), modified])
        .when(modify(BY_HOST, 2, titled("Loft")))
        .then([]);
}

#[test]
fn a_modification_of_another_version_is_refused() {
    let modified = || [registered(), Event::Modified(titled("Loft"))];
    for (from, changes) in [
        (1, titled("Cellar")),
        // Not a repeat of the last modification, although it would change nothing.
        (1, vec![Change::Price(euros(80))]),
        (3, titled("Cellar")),
        (i64::MIN, titled("Cellar")),
        (i64::MAX, titled("Cellar")),
    ] {
        let command = modify(BY_HOST, from, changes);
        given(modified())
            .when(command)
            .refuses(&Refusal::VersionMismatch);
    }
}

#[test]
fn reservations_and_reviews_do_not_change_the_version() {
    let change = RatingChange {
        review: STAY,
        version: 2,
        before: None,
        after: Some(stars(3)),
    };
    given([
        registered(),
        Event::Reserved(STAY),
        Event::Released(STAY),
        Event::Reviewed(change),
    ])
    .when(modify(BY_HOST, 1, titled("Loft")))
    .then([Event::Modified(titled("Loft"))]);
}

#[test]
fn for_other_members_a_room_does_not_exist() {
    for by in [By::Member(OTHER_MEMBER), By::Member(GUEST)] {
        for past in [vec![registered()], vec![registered(), Event::Deleted]] {
            let state = || given(past.clone());
            state()
                .when(modify(by, 1, titled("Mine")))
                .refuses(&Refusal::Unknown);
            state()
                .when(Command::Delete { by })
                .refuses(&Refusal::Unknown);
        }
    }
}

#[test]
fn an_operator_can_modify_and_delete_a_room() {
    given([registered()])
        .when(modify(By::Operator, 1, titled("Loft")))
        .then([Event::Modified(titled("Loft"))]);
    given([registered()])
        .when(Command::Delete { by: By::Operator })
        .then([Event::Deleted]);
}

#[test]
fn a_check_out_later_than_the_check_in_is_refused() {
    let time = |hour| Some(Time::new(hour, 0, 0, 0).unwrap());
    for changes in [
        vec![Change::CheckIn(time(10))],
        vec![Change::CheckOut(time(16))],
        vec![Change::CheckIn(time(12)), Change::CheckOut(time(13))],
    ] {
        let command = modify(BY_HOST, 1, changes);
        given([registered()])
            .when(command)
            .refuses(&Refusal::CheckOutAfterCheckIn);
    }
    let same = vec![Change::CheckIn(time(12)), Change::CheckOut(time(12))];
    given([registered()])
        .when(modify(BY_HOST, 1, same.clone()))
        .then([Event::Modified(same)]);
}

#[test]
fn a_room_sold_by_the_hour_has_no_check_in_or_check_out_time() {
    let by_hour = Event::Registered {
        host: HOST,
        terms: Terms {
            sold: Sold::ByHour,
            ..terms()
        },
    };
    let noon = Some(Time::new(12, 0, 0, 0).unwrap());
    for change in [Change::CheckIn(noon), Change::CheckOut(noon)] {
        let command = modify(BY_HOST, 1, vec![change]);
        given([by_hour.clone()])
            .when(command)
            .refuses(&Refusal::NotSoldByNight);
    }
    let none = vec![Change::CheckIn(None), Change::CheckOut(None)];
    given([by_hour]).when(modify(BY_HOST, 1, none)).then([]);
}

#[test]
fn a_repeated_deletion_changes_nothing() {
    let room = given([registered()])
        .when(Command::Delete { by: BY_HOST })
        .then([Event::Deleted]);
    let room = room.unwrap();
    assert_eq!(
        (room.status(), room.version, room.last),
        (Status::Deleted, 2, Action::Deleted)
    );
    given([registered(), Event::Deleted])
        .when(Command::Delete { by: BY_HOST })
        .then([]);
}

#[test]
fn a_room_with_open_reservations_cannot_be_deleted() {
    let delete = || Command::Delete { by: BY_HOST };
    given([registered(), Event::Reserved(STAY)])
        .when(delete())
        .refuses(&Refusal::HasReservations);
    given([
        registered(),
        Event::Reserved(STAY),
        Event::Reserved(OTHER_STAY),
        Event::Released(STAY),
    ])
    .when(delete())
    .refuses(&Refusal::HasReservations);
    given([registered(), Event::Reserved(STAY), Event::Released(STAY)])
        .when(delete())
        .then([Event::Deleted]);
}

#[test]
fn a_deleted_room_cannot_be_modified() {
    for from in [1, 2] {
        given([registered(), Event::Deleted])
            .when(modify(BY_HOST, from, titled("Loft")))
            .refuses(&Refusal::Deleted);
    }
}

#[test]
fn a_deleted_room_still_records_confirmed_reservations() {
    let room = given([registered(), Event::Deleted])
        .when(Command::Reserve(STAY))
        .then([Event::Reserved(STAY)]);
    assert_eq!(room.unwrap().status(), Status::Deleted);
    given([registered(), Event::Deleted, Event::Reserved(STAY)])
        .when(Command::Release(STAY))
        .then([Event::Released(STAY)]);
}

#[test]
fn a_room_is_reserved_until_its_last_reservation_is_released() {
    let room = given([registered()])
        .when(Command::Reserve(STAY))
        .then([Event::Reserved(STAY)]);
    let room = room.unwrap();
    assert_eq!(
        (room.status(), room.last),
        (Status::Reserved, Action::Reserved)
    );
    let room = given([
        registered(),
        Event::Reserved(STAY),
        Event::Reserved(OTHER_STAY),
    ])
    .when(Command::Release(STAY))
    .then([Event::Released(STAY)]);
    assert_eq!(room.unwrap().status(), Status::Reserved);
    let room = given([registered(), Event::Reserved(STAY)])
        .when(Command::Release(STAY))
        .then([Event::Released(STAY)])
        .unwrap();
    assert_eq!(
        (room.status(), room.last),
        (Status::Available, Action::Released)
    );
}

#[test]
fn repeated_reservations_and_releases_change_nothing() {
    let reserved = || vec![registered(), Event::Reserved(STAY)];
    given(reserved()).when(Command::Reserve(STAY)).then([]);
    let over = || [reserved(), vec![Event::Released(STAY)]].concat();
    given(over()).when(Command::Release(STAY)).then([]);
    given(over()).when(Command::Reserve(STAY)).then([]);
}

#[test]
fn a_reservation_after_its_release_changes_nothing() {
    let room = given([registered()])
        .when(Command::Release(STAY))
        .then([Event::Forgone(STAY)]);
    // The action that is displayed stays the same.
    assert_eq!(room.unwrap().last, Action::Registered);
    given([registered(), Event::Forgone(STAY)])
        .when(Command::Reserve(STAY))
        .then([]);
    given([registered(), Event::Forgone(STAY)])
        .when(Command::Release(STAY))
        .then([]);
}

/// A hotel sells a thousand units of one room for two years.
#[test]
fn the_state_does_not_grow_with_open_reservations() {
    let mut room = fold::<Room>(None, [registered()]);
    let mut give = |command: Command| {
        let events = Room::decide(room.as_ref(), &command, &Now::at(noon()))?;
        room = fold(room.take(), events);
        Ok(room.clone().unwrap())
    };
    for n in 1..=2_000 {
        let id = ReservationId::from_u128(n);
        let room: Result<Room, Refusal> = give(Command::Reserve(id));
        assert_eq!(room.unwrap().status(), Status::Reserved);
    }
    let delete = Command::Delete { by: BY_HOST };
    for n in 1..=2_000 {
        let id = ReservationId::from_u128(n);
        assert_eq!(give(delete.clone()), Err(Refusal::HasReservations));
        // A request that was never confirmed is cancelled meanwhile.
        let unpaid = ReservationId::from_u128(n + 10_000);
        give(Command::Forgo(unpaid)).unwrap();
        let room = give(Command::Release(id)).unwrap();
        assert!(serde_json::to_string(&room).unwrap().len() < 10_000);
    }
    let room = give(delete).unwrap();
    assert_eq!(room.status(), Status::Deleted);
}

#[test]
fn rating_changes_are_counted_in_any_order_and_once() {
    let change = |review, version, before: Option<i32>, after: Option<i32>| RatingChange {
        review,
        version,
        before: before.map(stars),
        after: after.map(stars),
    };
    let counted = |changes: &[RatingChange]| {
        let past = changes.iter().copied().map(Event::Reviewed);
        let last = RatingChange {
            review: STAY,
            version: 99,
            before: None,
            after: None,
        };
        let past: Vec<Event> = [registered()].into_iter().chain(past).collect();
        let room = given(past)
            .when(Command::CountReview(last))
            .then([Event::Reviewed(last)]);
        let room = room.unwrap();
        assert_eq!(room.last, Action::Reviewed);
        (room.tally.reviews(), room.tally.average())
    };
    let first = change(STAY, 2, None, Some(5));
    let second = change(OTHER_STAY, 2, None, Some(2));
    let better = change(OTHER_STAY, 3, Some(2), Some(4));
    let gone = change(STAY, 3, Some(5), None);
    assert_eq!(counted(&[first]), (1, 5.0));
    assert_eq!(counted(&[first, second]), (2, 3.5));
    assert_eq!(counted(&[first, second, better]), (2, 4.5));
    assert_eq!(counted(&[first, second, better, gone]), (1, 4.0));
    assert_eq!(counted(&[gone, better, second, first]), (1, 4.0));
    assert_eq!(counted(&[first, gone]), (0, 0.0));
    assert_eq!(counted(&[gone]), (0, 0.0));
    given([registered(), Event::Reviewed(first)])
        .when(Command::CountReview(first))
        .then([]);
}

#[test]
fn every_refusal_has_its_reason() {
    let reasons = [
        (Refusal::Unknown, "NOT_FOUND"),
        (Refusal::IdReused, "IDEMPOTENCY_KEY_REUSED"),
        (Refusal::VersionMismatch, "VERSION_MISMATCH"),
        (Refusal::Deleted, "ROOM_DELETED"),
        (Refusal::HasReservations, "ROOM_HAS_RESERVATIONS"),
        (Refusal::NotSoldByNight, "INVALID_REQUEST"),
        (Refusal::CheckOutAfterCheckIn, "INVALID_REQUEST"),
    ];
    for (refusal, reason) in reasons {
        assert_eq!(refusal.reason(), reason);
    }
}
