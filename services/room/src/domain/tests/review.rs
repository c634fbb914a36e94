use chassis::Refused;
use chassis_testing::{Given, noon};

use super::{
    super::{
        By, Review, RoomId,
        review::{Command, Edit, Event, Rating, Refusal, Stay, Words},
    },
    GUEST, HOST, STRANGER, stars, words,
};

const STAYED: Stay = Stay {
    room: RoomId::from_u128(7),
    guest: GUEST,
};
fn given(past: impl IntoIterator<Item = Event>) -> Given<Review> {
    chassis_testing::given(past)
}

const BY_GUEST: By = By::Member(GUEST);

fn create(words: Words) -> Command {
    Command::Create {
        author: GUEST,
        words,
    }
}

fn created() -> Event {
    Event::Created {
        words: words(4, "Good"),
        at: noon(),
    }
}

fn modify(by: By, from: i64, edits: Vec<Edit>) -> Command {
    Command::Modify { by, from, edits }
}

fn better() -> Vec<Edit> {
    vec![Edit::Rating(stars(5))]
}

fn modified() -> Event {
    Event::Modified {
        edits: better(),
        was: stars(4),
    }
}

fn invited() -> Vec<Event> {
    vec![Event::Invited(STAYED)]
}

fn written() -> Vec<Event> {
    vec![Event::Invited(STAYED), created()]
}

fn changed() -> Vec<Event> {
    vec![Event::Invited(STAYED), created(), modified()]
}

fn deleted() -> Vec<Event> {
    vec![
        Event::Invited(STAYED),
        created(),
        Event::Deleted { was: stars(4) },
    ]
}

fn shown(review: Option<Review>) -> (Words, i64) {
    match review {
        Some(Review::Written(written)) => (written.words, written.version),
        other => panic!("not written: {other:?}"),
    }
}

#[test]
fn a_guest_is_invited_once() {
    given([]).when(Command::Invite(STAYED)).then(invited());
    for past in [invited(), written(), changed(), deleted()] {
        given(past).when(Command::Invite(STAYED)).then([]);
    }
}

#[test]
fn a_guest_reviews_a_stay_that_is_over() {
    let review = given(invited())
        .when(create(words(4, "Good")))
        .then([created()]);
    assert_eq!(shown(review), (words(4, "Good"), 1));
}

#[test]
fn only_the_guest_of_a_stay_that_is_over_reviews_it() {
    let refused = Refusal::StayNotCompleted;
    given([]).when(create(words(4, "Good"))).refuses(&refused);
    for author in [STRANGER, HOST] {
        for past in [invited(), written(), changed(), deleted()] {
            let command = Command::Create {
                author,
                words: words(4, "Good"),
            };
            given(past).when(command).refuses(&refused);
        }
    }
}

#[test]
fn reviewing_again_with_the_same_words_changes_nothing() {
    given(written()).when(create(words(4, "Good"))).then([]);
    given(changed()).when(create(words(4, "Good"))).then([]);
}

#[test]
fn a_stay_has_one_review() {
    given(written())
        .when(create(words(3, "Good")))
        .refuses(&Refusal::IdReused);
    given(written())
        .when(create(words(4, "Bad")))
        .refuses(&Refusal::IdReused);
    given(changed())
        .when(create(words(5, "Good")))
        .refuses(&Refusal::IdReused);
}

#[test]
fn a_deleted_review_does_not_come_back() {
    for words in [words(4, "Good"), words(1, "Bad")] {
        given(deleted())
            .when(create(words))
            .refuses(&Refusal::Deleted);
    }
}

#[test]
fn a_guest_changes_what_was_said() {
    let review = given(written())
        .when(modify(BY_GUEST, 1, better()))
        .then([modified()]);
    assert_eq!(shown(review), (words(5, "Good"), 2));
    let both = vec![Edit::Rating(stars(1)), Edit::Text("Bad".into())];
    let event = Event::Modified {
        edits: both.clone(),
        was: stars(4),
    };
    let review = given(written())
        .when(modify(BY_GUEST, 1, both))
        .then([event]);
    assert_eq!(shown(review), (words(1, "Bad"), 2));
}

#[test]
fn the_same_modification_again_changes_nothing() {
    given(changed())
        .when(modify(BY_GUEST, 1, better()))
        .then([]);
    given(changed())
        .when(modify(BY_GUEST, 2, better()))
        .then([]);
}

#[test]
fn a_modification_is_made_from_the_present_words() {
    for (from, edits) in [
        (1, vec![Edit::Rating(stars(1))]),
        (1, vec![Edit::Text("Good".into())]),
        (3, better()),
        (i64::MIN, better()),
        (i64::MAX, better()),
    ] {
        let command = modify(BY_GUEST, from, edits);
        given(changed()).when(command).refuses(&Refusal::Changed);
    }
}

#[test]
fn what_is_not_written_is_not_modified() {
    for past in [vec![], invited(), deleted()] {
        let command = modify(BY_GUEST, 1, better());
        given(past).when(command).refuses(&Refusal::Unknown);
    }
}

#[test]
fn a_review_is_deleted_once() {
    let gone = Event::Deleted { was: stars(5) };
    given(changed())
        .when(Command::Delete { by: BY_GUEST })
        .then([gone]);
    given(deleted())
        .when(Command::Delete { by: BY_GUEST })
        .then([]);
    for past in [vec![], invited()] {
        given(past)
            .when(Command::Delete { by: BY_GUEST })
            .refuses(&Refusal::Unknown);
    }
}

#[test]
fn to_a_stranger_a_review_is_not_there() {
    for by in [By::Member(STRANGER), By::Member(HOST)] {
        for past in [vec![], invited(), written(), changed(), deleted()] {
            let state = || given(past.clone());
            state()
                .when(modify(by, 1, better()))
                .refuses(&Refusal::Unknown);
            state()
                .when(Command::Delete { by })
                .refuses(&Refusal::Unknown);
        }
    }
}

#[test]
fn an_operator_may_do_what_a_guest_may() {
    given(written())
        .when(modify(By::Operator, 1, better()))
        .then([modified()]);
    let gone = Event::Deleted { was: stars(4) };
    given(written())
        .when(Command::Delete { by: By::Operator })
        .then([gone]);
    given(deleted())
        .when(Command::Delete { by: By::Operator })
        .then([]);
}

#[test]
fn a_rating_is_one_to_five() {
    let ratings = [i32::MIN, -1, 0, 1, 5, 6, i32::MAX].map(|stars| Rating::new(stars).is_some());
    assert_eq!(ratings, [false, false, false, true, true, false, false]);
}

#[test]
fn every_refusal_has_its_reason() {
    let reasons = [
        (Refusal::Unknown, "NOT_FOUND"),
        (Refusal::StayNotCompleted, "STAY_NOT_COMPLETED"),
        (Refusal::IdReused, "IDEMPOTENCY_KEY_REUSED"),
        (Refusal::Deleted, "REVIEW_DELETED"),
        (Refusal::Changed, "VERSION_MISMATCH"),
    ];
    for (refusal, reason) in reasons {
        assert_eq!(refusal.reason(), reason);
    }
}
