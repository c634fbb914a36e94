use chassis::Refused;
use chassis_testing::{Given, noon};

use super::{
    super::{
        By, Review, RoomId,
        review::{Command, Content, Edit, Event, Rating, Refusal, Stay},
    },
    GUEST, HOST, OTHER_MEMBER, content, stars,
};

const STAYED: Stay = Stay {
    room: RoomId::from_u128(7),
    guest: GUEST,
};
fn given(past: impl IntoIterator<Item = Event>) -> Given<Review> {
    chassis_testing::given(past)
}

const BY_GUEST: By = By::Member(GUEST);

fn create(content: Content) -> Command {
    Command::Create {
        author: GUEST,
        content,
    }
}

fn created() -> Event {
    Event::Created {
        content: content(4, "Good"),
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
        before: stars(4),
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
        Event::Deleted { before: stars(4) },
    ]
}

fn content_and_version(review: Option<Review>) -> (Content, i64) {
    match review {
        Some(Review::Written(written)) => (written.content, written.version),
        other => panic!("not written: {other:?}"),
    }
}

#[test]
fn a_repeated_invitation_changes_nothing() {
    given([]).when(Command::Invite(STAYED)).then(invited());
    for past in [invited(), written(), changed(), deleted()] {
        given(past).when(Command::Invite(STAYED)).then([]);
    }
}

#[test]
fn a_guest_reviews_a_completed_stay() {
    let review = given(invited())
        .when(create(content(4, "Good")))
        .then([created()]);
    assert_eq!(content_and_version(review), (content(4, "Good"), 1));
}

#[test]
fn only_the_guest_of_a_completed_stay_can_review_it() {
    let refused = Refusal::StayNotCompleted;
    given([]).when(create(content(4, "Good"))).refuses(&refused);
    for author in [OTHER_MEMBER, HOST] {
        for past in [invited(), written(), changed(), deleted()] {
            let command = Command::Create {
                author,
                content: content(4, "Good"),
            };
            given(past).when(command).refuses(&refused);
        }
    }
}

#[test]
fn a_repeated_creation_with_the_first_content_changes_nothing() {
    given(written()).when(create(content(4, "Good"))).then([]);
    given(changed()).when(create(content(4, "Good"))).then([]);
}

#[test]
fn a_second_review_of_a_stay_is_refused() {
    given(written())
        .when(create(content(3, "Good")))
        .refuses(&Refusal::IdReused);
    given(written())
        .when(create(content(4, "Bad")))
        .refuses(&Refusal::IdReused);
    given(changed())
        .when(create(content(5, "Good")))
        .refuses(&Refusal::IdReused);
}

#[test]
fn a_deleted_review_cannot_be_created_again() {
    for content in [content(4, "Good"), content(1, "Bad")] {
        given(deleted())
            .when(create(content))
            .refuses(&Refusal::Deleted);
    }
}

#[test]
fn a_guest_changes_rating_and_text() {
    let review = given(written())
        .when(modify(BY_GUEST, 1, better()))
        .then([modified()]);
    assert_eq!(content_and_version(review), (content(5, "Good"), 2));
    let both = vec![Edit::Rating(stars(1)), Edit::Text("Bad".into())];
    let event = Event::Modified {
        edits: both.clone(),
        before: stars(4),
    };
    let review = given(written())
        .when(modify(BY_GUEST, 1, both))
        .then([event]);
    assert_eq!(content_and_version(review), (content(1, "Bad"), 2));
}

#[test]
fn a_repeated_modification_changes_nothing() {
    given(changed())
        .when(modify(BY_GUEST, 1, better()))
        .then([]);
    given(changed())
        .when(modify(BY_GUEST, 2, better()))
        .then([]);
}

#[test]
fn a_modification_of_another_version_is_refused() {
    for (from, edits) in [
        (1, vec![Edit::Rating(stars(1))]),
        (1, vec![Edit::Text("Good".into())]),
        (3, better()),
        (i64::MIN, better()),
        (i64::MAX, better()),
    ] {
        let command = modify(BY_GUEST, from, edits);
        given(changed())
            .when(command)
            .refuses(&Refusal::VersionMismatch);
    }
}

#[test]
fn only_a_written_review_can_be_modified() {
    for past in [vec![], invited(), deleted()] {
        let command = modify(BY_GUEST, 1, better());
        given(past).when(command).refuses(&Refusal::Unknown);
    }
}

#[test]
fn a_repeated_deletion_changes_nothing() {
    let gone = Event::Deleted { before: stars(5) };
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
fn for_other_members_a_review_does_not_exist() {
    for by in [By::Member(OTHER_MEMBER), By::Member(HOST)] {
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
fn an_operator_can_modify_and_delete_a_review() {
    given(written())
        .when(modify(By::Operator, 1, better()))
        .then([modified()]);
    let gone = Event::Deleted { before: stars(4) };
    given(written())
        .when(Command::Delete { by: By::Operator })
        .then([gone]);
    given(deleted())
        .when(Command::Delete { by: By::Operator })
        .then([]);
}

#[test]
fn a_rating_is_1_to_5() {
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
        (Refusal::VersionMismatch, "VERSION_MISMATCH"),
    ];
    for (refusal, reason) in reasons {
        assert_eq!(refusal.reason(), reason);
    }
}
