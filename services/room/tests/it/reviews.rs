//! Reviews.

use berth::room::v1::{DeleteReviewRequest, Review, ReviewCreated, ReviewDeleted, ReviewModified};
use chassis::{
    MemberId,
    base::{time, time::SignedDuration},
};
use chassis_testing::noon;
use tonic::{Code, Status};

use crate::fixture::{
    ADMIN, Fixture, GUEST, HOST, OTHER_MEMBER, a_review, a_room, admin, guest, of, refused, uuid,
};

const ATTIC: u128 = 1;
const STAY: u128 = 11;
const UNKNOWN: u128 = 99;

/// A room with a completed stay.
async fn with_a_stay() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.confirmed(STAY, ATTIC).await;
    fixture.completed(STAY, ATTIC).await;
    fixture
}

async fn delete(fixture: &Fixture, by: MemberId, reservation: u128) -> Result<(), Status> {
    let reservation_id = uuid(reservation);
    let caller = if by == ADMIN { admin() } else { guest(by) };
    let request = of(caller, DeleteReviewRequest { reservation_id });
    fixture.rooms().delete_review(request).await.map(|_| ())
}

/// Review count, average rating and last action of the room.
async fn rating(fixture: &Fixture) -> (i32, f64, String) {
    fixture.settle().await;
    let room = fixture.get(ATTIC).await.unwrap();
    (room.review_count, room.average_rating, room.last_action)
}

#[tokio::test]
async fn a_guest_reviews_a_completed_stay() {
    let fixture = with_a_stay().await;
    let review = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    let at = Some(time::to_proto(noon()));
    let expected = Review {
        room_id: uuid(ATTIC),
        author_id: GUEST.to_string(),
        version: 1,
        create_time: at,
        update_time: at,
        ..a_review(STAY, 4, "Good")
    };
    assert_eq!(review, expected);
    assert_eq!(
        fixture.reviews(ATTIC, 0, "").await.unwrap(),
        (vec![expected], String::new())
    );
    let event: ReviewCreated = fixture.last(STAY).await;
    assert_eq!(event.review, Some(review));
    assert_eq!(rating(&fixture).await, (1, 4.0, "reviewed".into()));
}

#[tokio::test]
async fn a_review_needs_a_completed_stay_of_the_caller() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let mut refusals = vec![fixture.review(GUEST, a_review(STAY, 4, "Good")).await];
    fixture.confirmed(STAY, ATTIC).await;
    refusals.push(fixture.review(GUEST, a_review(STAY, 4, "Good")).await);
    fixture.completed(STAY, ATTIC).await;
    // Another member's stay gets the same error as an unknown one.
    refusals.push(
        fixture
            .review(OTHER_MEMBER, a_review(STAY, 4, "Good"))
            .await,
    );
    refusals.push(fixture.review(HOST, a_review(STAY, 4, "Good")).await);
    refusals.push(
        fixture
            .review(OTHER_MEMBER, a_review(UNKNOWN, 4, "Good"))
            .await,
    );
    fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    refusals.push(
        fixture
            .review(OTHER_MEMBER, a_review(STAY, 4, "Good"))
            .await,
    );
    let shown = |status: &Status| (status.message().to_owned(), status.details().to_owned());
    let refusals: Vec<Status> = refusals.into_iter().map(Result::unwrap_err).collect();
    for refusal in &refusals {
        assert_eq!(shown(refusal), shown(&refusals[0]));
        refused(
            Err::<(), _>(refusal.clone()),
            Code::FailedPrecondition,
            "STAY_NOT_COMPLETED",
        );
    }
}

#[tokio::test]
async fn a_cancelled_stay_cannot_be_reviewed() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.confirmed(STAY, ATTIC).await;
    fixture.cancelled(STAY, ATTIC).await;
    let refusal = fixture.review(GUEST, a_review(STAY, 1, "Never went")).await;
    refused(refusal, Code::FailedPrecondition, "STAY_NOT_COMPLETED");
}

#[tokio::test]
async fn a_second_review_of_a_stay_is_refused() {
    let fixture = with_a_stay().await;
    let first = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    fixture.clock.turn(SignedDuration::from_mins(1));
    assert_eq!(
        fixture
            .review(GUEST, a_review(STAY, 4, "Good"))
            .await
            .unwrap(),
        first
    );
    let refusal = fixture.review(GUEST, a_review(STAY, 5, "Good")).await;
    refused(refusal, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(fixture.events(STAY).await, ["ReviewCreated"]);
    assert_eq!(rating(&fixture).await.0, 1);
}

#[tokio::test]
async fn a_review_is_modified_by_mask_and_a_repeat_returns_the_same() {
    let fixture = with_a_stay().await;
    let review = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    assert_eq!(rating(&fixture).await, (1, 4.0, "reviewed".into()));
    fixture.clock.turn(SignedDuration::from_mins(1));
    let change = Review {
        rating: 2,
        text: "ignored".into(),
        ..review
    };
    let changed = fixture
        .modify_review(GUEST, change.clone(), &["rating"])
        .await
        .unwrap();
    assert_eq!(
        (changed.rating, changed.text.as_str(), changed.version),
        (2, "Good", 2)
    );
    assert_eq!(
        changed.update_time.unwrap().seconds,
        changed.create_time.unwrap().seconds + 60
    );
    let event: ReviewModified = fixture.last(STAY).await;
    assert_eq!(
        (event.review.as_ref(), event.previous_rating),
        (Some(&changed), 4)
    );
    assert_eq!(rating(&fixture).await, (1, 2.0, "reviewed".into()));

    fixture.clock.turn(SignedDuration::from_mins(1));
    let again = fixture
        .modify_review(GUEST, change.clone(), &["rating"])
        .await
        .unwrap();
    assert_eq!(again, changed);
    refused(
        fixture.modify_review(GUEST, change, &[]).await,
        Code::Aborted,
        "VERSION_MISMATCH",
    );
    let both = Review {
        rating: 3,
        text: "Fair".into(),
        ..changed
    };
    let both = fixture.modify_review(GUEST, both, &[]).await.unwrap();
    assert_eq!(
        (both.rating, both.text.as_str(), both.version),
        (3, "Fair", 3)
    );
    assert_eq!(
        fixture
            .review(GUEST, a_review(STAY, 4, "Good"))
            .await
            .unwrap(),
        both
    );
}

#[tokio::test]
async fn a_mask_with_another_field_is_refused() {
    let fixture = with_a_stay().await;
    let review = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    for path in [
        "author_id",
        "room_id",
        "reservation_id",
        "version",
        "review.text",
        "",
        "x",
    ] {
        let refusal = fixture
            .modify_review(GUEST, review.clone(), &["text", path])
            .await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_deleted_review_cannot_be_created_again() {
    let fixture = with_a_stay().await;
    let review = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    assert_eq!(rating(&fixture).await.0, 1);
    delete(&fixture, GUEST, STAY).await.unwrap();
    delete(&fixture, GUEST, STAY).await.unwrap();
    let event: ReviewDeleted = fixture.last(STAY).await;
    assert_eq!((event.room_id, event.rating), (uuid(ATTIC), 4));
    assert_eq!(
        fixture.events(STAY).await,
        ["ReviewCreated", "ReviewDeleted"]
    );
    assert_eq!(
        fixture.reviews(ATTIC, 0, "").await.unwrap(),
        (vec![], String::new())
    );
    assert_eq!(rating(&fixture).await, (0, 0.0, "reviewed".into()));
    refused(
        fixture.modify_review(GUEST, review, &[]).await,
        Code::NotFound,
        "NOT_FOUND",
    );
    let refusal = fixture.review(GUEST, a_review(STAY, 4, "Good")).await;
    refused(refusal, Code::AlreadyExists, "REVIEW_DELETED");
}

#[tokio::test]
async fn for_other_members_a_review_does_not_exist() {
    let fixture = with_a_stay().await;
    let review = fixture
        .review(GUEST, a_review(STAY, 4, "Good"))
        .await
        .unwrap();
    let absent = Review {
        reservation_id: uuid(UNKNOWN),
        ..review.clone()
    };
    let shown = |status: Status| {
        assert_eq!(status.code(), Code::NotFound);
        (status.message().to_owned(), status.details().to_owned())
    };
    for other_member in [OTHER_MEMBER, HOST] {
        let foreign = fixture
            .modify_review(other_member, review.clone(), &[])
            .await
            .unwrap_err();
        let absent = fixture
            .modify_review(other_member, absent.clone(), &[])
            .await
            .unwrap_err();
        assert_eq!(shown(foreign), shown(absent));
        let foreign = delete(&fixture, other_member, STAY).await.unwrap_err();
        let absent = delete(&fixture, other_member, UNKNOWN).await.unwrap_err();
        assert_eq!(shown(foreign), shown(absent));
    }
    assert_eq!(fixture.reviews(ATTIC, 0, "").await.unwrap().0, [review]);
    delete(&fixture, ADMIN, STAY).await.unwrap();
}

#[tokio::test]
async fn reviews_are_listed_newest_first_in_pages() {
    let fixture = Fixture::new().await;
    for room in [1, 2] {
        fixture.register(a_room(room)).await.unwrap();
    }
    for stay in 11..=15 {
        fixture.confirmed(stay, ATTIC).await;
        fixture.completed(stay, ATTIC).await;
        let stars = i32::try_from(stay - 10).unwrap();
        fixture
            .review(GUEST, a_review(stay, stars, "Well"))
            .await
            .unwrap();
        fixture.clock.turn(SignedDuration::from_secs(1));
    }
    fixture.confirmed(21, 2).await;
    fixture.completed(21, 2).await;
    fixture
        .review(GUEST, a_review(21, 1, "Elsewhere"))
        .await
        .unwrap();
    let stars =
        |reviews: Vec<Review>| -> Vec<i32> { reviews.iter().map(|review| review.rating).collect() };
    let (first, token) = fixture.reviews(ATTIC, 2, "").await.unwrap();
    let (second, token) = fixture.reviews(ATTIC, 2, &token).await.unwrap();
    let (third, token) = fixture.reviews(ATTIC, 2, &token).await.unwrap();
    assert_eq!(
        [stars(first), stars(second), stars(third)],
        [vec![5, 4], vec![3, 2], vec![1]]
    );
    assert_eq!(token, "");
    assert_eq!(rating(&fixture).await, (5, 3.0, "reviewed".into()));
}
