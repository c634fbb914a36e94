//! Lists of rooms: newest first, in pages.

use berth::room::v1::{ListRoomsRequest, Room};
use chassis::base::{page, time::SignedDuration};
use tonic::Code;

use crate::inn::{HOST, Inn, OTHER_HOST, a_room, host, refused, uuid};

async fn register(inn: &Inn, rooms: impl IntoIterator<Item = u128>) {
    for room in rooms {
        inn.register(a_room(room)).await.unwrap();
        inn.clock.turn(SignedDuration::from_secs(1));
    }
}

fn ids(rooms: impl IntoIterator<Item = u128>) -> Vec<String> {
    rooms.into_iter().map(uuid).collect()
}

#[tokio::test]
async fn rooms_come_newest_first_in_pages() {
    let inn = Inn::new().await;
    register(&inn, 1..=5).await;
    let (first, token) = inn.page("", 2, "").await.unwrap();
    assert_eq!(first, ids([5, 4]));
    let (second, token) = inn.page("", 2, &token).await.unwrap();
    assert_eq!(second, ids([3, 2]));
    let (third, token) = inn.page("", 2, &token).await.unwrap();
    assert_eq!((third, token.as_str()), (ids([1]), ""));
    let all = inn.page("", 5, "").await.unwrap();
    assert_eq!(all, (ids([5, 4, 3, 2, 1]), String::new()));
}

#[tokio::test]
async fn a_list_shows_what_was_just_written_in_full() {
    let inn = Inn::new().await;
    let room = inn.register(a_room(1)).await.unwrap();
    let page = inn
        .rooms()
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap();
    assert_eq!(page.into_inner().rooms, [room]);
    inn.delete(host(), 1).await.unwrap();
    assert_eq!(inn.page("", 0, "").await.unwrap(), (vec![], String::new()));
    // A repeat of the registration does not bring it back.
    inn.register(a_room(1)).await.unwrap();
    assert_eq!(inn.page("", 0, "").await.unwrap(), (vec![], String::new()));
}

#[tokio::test]
async fn rooms_of_one_moment_have_an_order_too() {
    let inn = Inn::new().await;
    for room in [3, 1, 4, 2] {
        inn.register(a_room(room)).await.unwrap();
    }
    let (mut seen, mut token) = inn.page("", 1, "").await.unwrap();
    while !token.is_empty() {
        let (page, next) = inn.page("", 1, &token).await.unwrap();
        assert_eq!(page.len(), 1);
        seen.extend(page);
        token = next;
    }
    assert_eq!(seen, ids([4, 3, 2, 1]));
}

#[tokio::test]
async fn what_comes_and_goes_elsewhere_moves_no_page() {
    let inn = Inn::new().await;
    register(&inn, 1..=6).await;
    let (first, token) = inn.page("", 2, "").await.unwrap();
    assert_eq!(first, ids([6, 5]));
    register(&inn, 7..=8).await;
    // One that was shown, and the very line at which the page ended.
    inn.delete(host(), 6).await.unwrap();
    inn.delete(host(), 5).await.unwrap();
    inn.delete(host(), 3).await.unwrap();
    let (second, token) = inn.page("", 2, &token).await.unwrap();
    assert_eq!(second, ids([4, 2]));
    assert_eq!(
        inn.page("", 2, &token).await.unwrap(),
        (ids([1]), String::new())
    );
}

#[tokio::test]
async fn a_host_has_a_list_of_its_own() {
    let inn = Inn::new().await;
    register(&inn, 1..=3).await;
    let other = Room {
        host_id: OTHER_HOST.to_string(),
        ..a_room(4)
    };
    inn.register(other).await.unwrap();
    let (all, _) = inn.page("", 0, "").await.unwrap();
    assert_eq!(all, ids([4, 3, 2, 1]));
    let (first, token) = inn.page(&HOST.to_string(), 2, "").await.unwrap();
    assert_eq!(first, ids([3, 2]));
    let rest = inn.page(&HOST.to_string(), 2, &token).await.unwrap();
    assert_eq!(rest, (ids([1]), String::new()));
    assert_eq!(
        inn.page(&OTHER_HOST.to_string(), 2, "").await.unwrap().0,
        ids([4])
    );
    assert_eq!(
        inn.page(&uuid(77), 2, "").await.unwrap(),
        (vec![], String::new())
    );
}

#[tokio::test]
async fn a_page_has_twenty_rooms_unless_asked_otherwise() {
    let inn = Inn::new().await;
    register(&inn, 1..=21).await;
    assert_eq!(inn.page("", 0, "").await.unwrap().0.len(), 20);
    assert_eq!(inn.page("", 100, "").await.unwrap().0.len(), 21);
}

#[tokio::test]
async fn a_page_that_is_none_is_refused() {
    let inn = Inn::new().await;
    register(&inn, 1..=3).await;
    let long = "a".repeat(100_000);
    let tokens = [
        page::token(["1"]),
        page::token(["x", &uuid(1)]),
        page::token(["99999999999999999999", &uuid(1)]),
        page::token(["1", "no id"]),
        page::token(["1", &uuid(1), "2"]),
        "' OR 1=1 --".into(),
        "\0".into(),
        long,
    ];
    for token in tokens {
        let refusal = inn.page("", 2, &token).await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
        refused(
            inn.reviews(1, 2, &token).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    for size in [-1, 101, i32::MIN, i32::MAX] {
        refused(
            inn.page("", size, "").await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
        refused(
            inn.reviews(1, size, "").await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    refused(
        inn.page("nobody", 2, "").await,
        Code::InvalidArgument,
        "INVALID_REQUEST",
    );
    // The far ends of time are tokens like any other.
    for at in [i64::MIN, i64::MAX] {
        let token = page::token([&at.to_string(), &uuid(1)]);
        inn.page("", 2, &token).await.unwrap();
    }
}
