//! Reviews, as a caller sees them.

use berth::room::v1::{DeleteReviewRequest, Review, ReviewCreated, ReviewDeleted, ReviewModified};
use chassis::{
    MemberId,
    base::{time, time::SignedDuration},
};
use chassis_testing::noon;
use tonic::{Code, Status};

use crate::inn::{
    ADMIN, GUEST, HOST, Inn, STRANGER, a_review, a_room, admin, guest, of, refused, uuid,
};

const ATTIC: u128 = 1;
const STAY: u128 = 11;
const NEVER: u128 = 99;

/// A room and a guest who has stayed there.
async fn stayed() -> Inn {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    inn.confirmed(STAY, ATTIC).await;
    inn.completed(STAY, ATTIC).await;
    inn
}

async fn delete(inn: &Inn, by: MemberId, reservation: u128) -> Result<(), Status> {
    let reservation_id = uuid(reservation);
    let caller = if by == ADMIN { admin() } else { guest(by) };
    let request = of(caller, DeleteReviewRequest { reservation_id });
    inn.rooms().delete_review(request).await.map(|_| ())
}

/// What the room says of its reviews.
async fn rating(inn: &Inn) -> (i32, f64, String) {
    inn.settle().await;
    let room = inn.get(ATTIC).await.unwrap();
    (room.review_count, room.average_rating, room.last_action)
}

#[tokio::test]
async fn a_guest_reviews_a_completed_stay() {
    let inn = stayed().await;
    let review = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
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
        inn.reviews(ATTIC, 0, "").await.unwrap(),
        (vec![expected], String::new())
    );
    let event: ReviewCreated = inn.last(STAY).await;
    assert_eq!(event.review, Some(review));
    assert_eq!(rating(&inn).await, (1, 4.0, "reviewed".into()));
}

#[tokio::test]
async fn there_is_nothing_to_review_before_a_stay_is_over() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    let mut refusals = vec![inn.review(GUEST, a_review(STAY, 4, "Good")).await];
    inn.confirmed(STAY, ATTIC).await;
    refusals.push(inn.review(GUEST, a_review(STAY, 4, "Good")).await);
    inn.completed(STAY, ATTIC).await;
    // Somebody else's stay looks as one that never was.
    refusals.push(inn.review(STRANGER, a_review(STAY, 4, "Good")).await);
    refusals.push(inn.review(HOST, a_review(STAY, 4, "Good")).await);
    refusals.push(inn.review(STRANGER, a_review(NEVER, 4, "Good")).await);
    inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    refusals.push(inn.review(STRANGER, a_review(STAY, 4, "Good")).await);
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
async fn a_cancelled_stay_is_not_reviewed() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    inn.confirmed(STAY, ATTIC).await;
    inn.cancelled(STAY, ATTIC).await;
    let refusal = inn.review(GUEST, a_review(STAY, 1, "Never went")).await;
    refused(refusal, Code::FailedPrecondition, "STAY_NOT_COMPLETED");
}

#[tokio::test]
async fn a_stay_has_one_review() {
    let inn = stayed().await;
    let first = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    inn.clock.turn(SignedDuration::from_mins(1));
    assert_eq!(
        inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap(),
        first
    );
    let refusal = inn.review(GUEST, a_review(STAY, 5, "Good")).await;
    refused(refusal, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(inn.events(STAY).await, ["ReviewCreated"]);
    assert_eq!(rating(&inn).await.0, 1);
}

#[tokio::test]
async fn a_guest_changes_a_review() {
    let inn = stayed().await;
    let review = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    assert_eq!(rating(&inn).await, (1, 4.0, "reviewed".into()));
    inn.clock.turn(SignedDuration::from_mins(1));
    let change = Review {
        rating: 2,
        text: "ignored".into(),
        ..review
    };
    let changed = inn
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
    let event: ReviewModified = inn.last(STAY).await;
    assert_eq!(
        (event.review.as_ref(), event.previous_rating),
        (Some(&changed), 4)
    );
    assert_eq!(rating(&inn).await, (1, 2.0, "reviewed".into()));

    inn.clock.turn(SignedDuration::from_mins(1));
    let again = inn
        .modify_review(GUEST, change.clone(), &["rating"])
        .await
        .unwrap();
    assert_eq!(again, changed);
    refused(
        inn.modify_review(GUEST, change, &[]).await,
        Code::Aborted,
        "VERSION_MISMATCH",
    );
    let both = Review {
        rating: 3,
        text: "Fair".into(),
        ..changed
    };
    let both = inn.modify_review(GUEST, both, &[]).await.unwrap();
    assert_eq!(
        (both.rating, both.text.as_str(), both.version),
        (3, "Fair", 3)
    );
    assert_eq!(
        inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap(),
        both
    );
}

#[tokio::test]
async fn a_mask_names_only_what_may_change() {
    let inn = stayed().await;
    let review = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    for path in [
        "author_id",
        "room_id",
        "reservation_id",
        "version",
        "review.text",
        "",
        "x",
    ] {
        let refusal = inn
            .modify_review(GUEST, review.clone(), &["text", path])
            .await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_deleted_review_is_gone_for_good() {
    let inn = stayed().await;
    let review = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    assert_eq!(rating(&inn).await.0, 1);
    delete(&inn, GUEST, STAY).await.unwrap();
    delete(&inn, GUEST, STAY).await.unwrap();
    let event: ReviewDeleted = inn.last(STAY).await;
    assert_eq!((event.room_id, event.rating), (uuid(ATTIC), 4));
    assert_eq!(inn.events(STAY).await, ["ReviewCreated", "ReviewDeleted"]);
    assert_eq!(
        inn.reviews(ATTIC, 0, "").await.unwrap(),
        (vec![], String::new())
    );
    assert_eq!(rating(&inn).await, (0, 0.0, "reviewed".into()));
    refused(
        inn.modify_review(GUEST, review, &[]).await,
        Code::NotFound,
        "NOT_FOUND",
    );
    let refusal = inn.review(GUEST, a_review(STAY, 4, "Good")).await;
    refused(refusal, Code::AlreadyExists, "REVIEW_DELETED");
}

#[tokio::test]
async fn to_a_stranger_a_review_is_not_there() {
    let inn = stayed().await;
    let review = inn.review(GUEST, a_review(STAY, 4, "Good")).await.unwrap();
    let absent = Review {
        reservation_id: uuid(NEVER),
        ..review.clone()
    };
    let shown = |status: Status| {
        assert_eq!(status.code(), Code::NotFound);
        (status.message().to_owned(), status.details().to_owned())
    };
    for stranger in [STRANGER, HOST] {
        let foreign = inn
            .modify_review(stranger, review.clone(), &[])
            .await
            .unwrap_err();
        let absent = inn
            .modify_review(stranger, absent.clone(), &[])
            .await
            .unwrap_err();
        assert_eq!(shown(foreign), shown(absent));
        let foreign = delete(&inn, stranger, STAY).await.unwrap_err();
        let absent = delete(&inn, stranger, NEVER).await.unwrap_err();
        assert_eq!(shown(foreign), shown(absent));
    }
    assert_eq!(inn.reviews(ATTIC, 0, "").await.unwrap().0, [review]);
    delete(&inn, ADMIN, STAY).await.unwrap();
}

#[tokio::test]
async fn reviews_come_newest_first_in_pages() {
    let inn = Inn::new().await;
    for room in [1, 2] {
        inn.register(a_room(room)).await.unwrap();
    }
    for stay in 11..=15 {
        inn.confirmed(stay, ATTIC).await;
        inn.completed(stay, ATTIC).await;
        let stars = i32::try_from(stay - 10).unwrap();
        inn.review(GUEST, a_review(stay, stars, "Well"))
            .await
            .unwrap();
        inn.clock.turn(SignedDuration::from_secs(1));
    }
    inn.confirmed(21, 2).await;
    inn.completed(21, 2).await;
    inn.review(GUEST, a_review(21, 1, "Elsewhere"))
        .await
        .unwrap();
    let stars =
        |reviews: Vec<Review>| -> Vec<i32> { reviews.iter().map(|review| review.rating).collect() };
    let (first, token) = inn.reviews(ATTIC, 2, "").await.unwrap();
    let (second, token) = inn.reviews(ATTIC, 2, &token).await.unwrap();
    let (third, token) = inn.reviews(ATTIC, 2, &token).await.unwrap();
    assert_eq!(
        [stars(first), stars(second), stars(third)],
        [vec![5, 4], vec![3, 2], vec![1]]
    );
    assert_eq!(token, "");
    assert_eq!(rating(&inn).await, (5, 3.0, "reviewed".into()));
}
