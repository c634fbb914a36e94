use chassis::{
    Refused,
    base::time::{Date, Time},
};
use chassis_testing::Given;

use super::{
    super::{
        By, Room,
        room::{Action, Command, Event, Opinion, Refusal, Status},
        terms::{Approval, Blackout, Change, Sold, Terms},
    },
    GUEST, HOST, OTHER_STAY, STAY, STRANGER, euros, stars, terms,
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
fn a_room_is_registered_and_available() {
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
fn registering_again_with_the_same_content_changes_nothing() {
    given([registered()]).when(register(terms())).then([]);
    given([registered(), Event::Modified(titled("Loft"))])
        .when(register(terms()))
        .then([]);
    given([registered(), Event::Deleted])
        .when(register(terms()))
        .then([]);
}

#[test]
fn an_id_stands_for_one_content() {
    let mut other = terms();
    other.units = 2;
    given([registered()])
        .when(register(other))
        .refuses(&Refusal::IdReused);
    let stranger = Command::Register {
        host: STRANGER,
        terms: terms(),
    };
    given([registered()])
        .when(stranger)
        .refuses(&Refusal::IdReused);
    let mut now = terms();
    now.title = "Loft".into();
    given([registered(), Event::Modified(titled("Loft"))])
        .when(register(now))
        .refuses(&Refusal::IdReused);
}

#[test]
fn a_room_that_is_not_there_can_only_be_registered() {
    let opinion = Opinion {
        review: STAY,
        version: 2,
        was: None,
        is: Some(stars(3)),
    };
    for command in [
        modify(BY_HOST, 1, titled("Loft")),
        Command::Delete { by: BY_HOST },
        Command::Reserve(STAY),
        Command::Release(STAY),
        Command::Count(opinion),
    ] {
        given([]).when(command).refuses(&Refusal::Unknown);
    }
}

#[test]
fn a_host_changes_what_may_change() {
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
fn without_a_time_a_stay_begins_and_ends_as_usual() {
    let late = vec![Change::CheckIn(Some(Time::constant(20, 0, 0, 0)))];
    let changed = Event::Modified(late);
    let usual = vec![Change::CheckIn(None), Change::CheckOut(None)];
    let room = given([registered(), changed])
        .when(modify(BY_HOST, 2, usual.clone()))
        .then([Event::Modified(usual)]);
    assert_eq!(room.unwrap().terms, terms());
}

#[test]
fn the_same_modification_again_changes_nothing() {
    let modified = Event::Modified(titled("Loft"));
    given([registered(), modified.clone()])
        .when(modify(BY_HOST, 1, titled("Loft")))
        .then([]);
    // Nor does one that says what is said already.
    given([registered()])
        .when(modify(BY_HOST, 1, titled("Attic")))
        .then([]);
    given([registered(), modified])
        .when(modify(BY_HOST, 2, titled("Loft")))
        .then([]);
}

#[test]
fn a_modification_is_made_from_the_present_terms() {
    let modified = || [registered(), Event::Modified(titled("Loft"))];
    for (from, changes) in [
        (1, titled("Cellar")),
        // Another modification from that version, although it would change nothing.
        (1, vec![Change::Price(euros(80))]),
        (3, titled("Cellar")),
        (i64::MIN, titled("Cellar")),
        (i64::MAX, titled("Cellar")),
    ] {
        let command = modify(BY_HOST, from, changes);
        given(modified()).when(command).refuses(&Refusal::Changed);
    }
}

#[test]
fn guests_do_not_make_a_modification_fail() {
    let opinion = Opinion {
        review: STAY,
        version: 2,
        was: None,
        is: Some(stars(3)),
    };
    given([
        registered(),
        Event::Reserved(STAY),
        Event::Released(STAY),
        Event::Reviewed(opinion),
    ])
    .when(modify(BY_HOST, 1, titled("Loft")))
    .then([Event::Modified(titled("Loft"))]);
}

#[test]
fn to_a_stranger_a_room_is_not_there() {
    for by in [By::Member(STRANGER), By::Member(GUEST)] {
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
fn an_operator_may_do_what_a_host_may() {
    given([registered()])
        .when(modify(By::Operator, 1, titled("Loft")))
        .then([Event::Modified(titled("Loft"))]);
    given([registered()])
        .when(Command::Delete { by: By::Operator })
        .then([Event::Deleted]);
}

#[test]
fn nobody_arrives_before_the_last_guest_has_left() {
    let time = |hour| Some(Time::new(hour, 0, 0, 0).unwrap());
    for changes in [
        vec![Change::CheckIn(time(10))],
        vec![Change::CheckOut(time(16))],
        vec![Change::CheckIn(time(12)), Change::CheckOut(time(13))],
    ] {
        let command = modify(BY_HOST, 1, changes);
        given([registered()])
            .when(command)
            .refuses(&Refusal::StaysOverlap);
    }
    let same = vec![Change::CheckIn(time(12)), Change::CheckOut(time(12))];
    given([registered()])
        .when(modify(BY_HOST, 1, same.clone()))
        .then([Event::Modified(same)]);
}

#[test]
fn a_meeting_room_has_no_check_in() {
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
            .refuses(&Refusal::NoStay);
    }
    let none = vec![Change::CheckIn(None), Change::CheckOut(None)];
    given([by_hour]).when(modify(BY_HOST, 1, none)).then([]);
}

#[test]
fn a_room_is_deleted_once() {
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
fn a_room_with_open_reservations_is_not_deleted() {
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
fn a_deleted_room_is_not_modified() {
    for from in [1, 2] {
        given([registered(), Event::Deleted])
            .when(modify(BY_HOST, from, titled("Loft")))
            .refuses(&Refusal::Deleted);
    }
}

#[test]
fn a_deleted_room_honours_what_was_sold() {
    let room = given([registered(), Event::Deleted])
        .when(Command::Reserve(STAY))
        .then([Event::Reserved(STAY)]);
    assert_eq!(room.unwrap().status(), Status::Deleted);
    given([registered(), Event::Deleted, Event::Reserved(STAY)])
        .when(Command::Release(STAY))
        .then([Event::Released(STAY)]);
}

#[test]
fn a_room_is_reserved_until_the_last_reservation_is_over() {
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
fn reserving_and_releasing_again_changes_nothing() {
    let reserved = || vec![registered(), Event::Reserved(STAY)];
    given(reserved()).when(Command::Reserve(STAY)).then([]);
    let over = || [reserved(), vec![Event::Released(STAY)]].concat();
    given(over()).when(Command::Release(STAY)).then([]);
    given(over()).when(Command::Reserve(STAY)).then([]);
}

#[test]
fn a_release_that_overtakes_its_reservation_holds() {
    let room = given([registered()])
        .when(Command::Release(STAY))
        .then([Event::Forgone(STAY)]);
    // Nothing happened that a person would see.
    assert_eq!(room.unwrap().last, Action::Registered);
    given([registered(), Event::Forgone(STAY)])
        .when(Command::Reserve(STAY))
        .then([]);
    given([registered(), Event::Forgone(STAY)])
        .when(Command::Release(STAY))
        .then([]);
}

#[test]
fn reviews_are_counted() {
    let opinion = |review, version, was: Option<i32>, is: Option<i32>| Opinion {
        review,
        version,
        was: was.map(stars),
        is: is.map(stars),
    };
    let counted = |opinions: &[Opinion]| {
        let past = opinions.iter().copied().map(Event::Reviewed);
        let last = Opinion {
            review: STAY,
            version: 99,
            was: None,
            is: None,
        };
        let past: Vec<Event> = [registered()].into_iter().chain(past).collect();
        let room = given(past)
            .when(Command::Count(last))
            .then([Event::Reviewed(last)]);
        let room = room.unwrap();
        assert_eq!(room.last, Action::Reviewed);
        (room.tally.reviews(), room.tally.average())
    };
    let first = opinion(STAY, 2, None, Some(5));
    let second = opinion(OTHER_STAY, 2, None, Some(2));
    let better = opinion(OTHER_STAY, 3, Some(2), Some(4));
    let gone = opinion(STAY, 3, Some(5), None);
    assert_eq!(counted(&[first]), (1, 5.0));
    assert_eq!(counted(&[first, second]), (2, 3.5));
    assert_eq!(counted(&[first, second, better]), (2, 4.5));
    assert_eq!(counted(&[first, second, better, gone]), (1, 4.0));
    assert_eq!(counted(&[gone, better, second, first]), (1, 4.0));
    assert_eq!(counted(&[first, gone]), (0, 0.0));
    assert_eq!(counted(&[gone]), (0, 0.0));
    given([registered(), Event::Reviewed(first)])
        .when(Command::Count(first))
        .then([]);
}

#[test]
fn every_refusal_has_its_reason() {
    let reasons = [
        (Refusal::Unknown, "NOT_FOUND"),
        (Refusal::IdReused, "IDEMPOTENCY_KEY_REUSED"),
        (Refusal::Changed, "VERSION_MISMATCH"),
        (Refusal::Deleted, "ROOM_DELETED"),
        (Refusal::HasReservations, "ROOM_HAS_RESERVATIONS"),
        (Refusal::NoStay, "INVALID_REQUEST"),
        (Refusal::StaysOverlap, "INVALID_REQUEST"),
    ];
    for (refusal, reason) in reasons {
        assert_eq!(refusal.reason(), reason);
    }
}
