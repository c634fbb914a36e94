//! Lists of rooms: newest first, in pages.

use berth::room::v1::{ListRoomsRequest, Room};
use chassis::base::{page, time::SignedDuration};
use tonic::Code;

use crate::fixture::{Fixture, HOST, OTHER_HOST, a_room, host, refused, uuid};

async fn register(fixture: &Fixture, rooms: impl IntoIterator<Item = u128>) {
    for room in rooms {
        fixture.register(a_room(room)).await.unwrap();
        fixture.clock.turn(SignedDuration::from_secs(1));
    }
}

fn ids(rooms: impl IntoIterator<Item = u128>) -> Vec<String> {
    rooms.into_iter().map(uuid).collect()
}

#[tokio::test]
async fn rooms_are_listed_newest_first_in_pages() {
    let fixture = Fixture::new().await;
    register(&fixture, 1..=5).await;
    let (first, token) = fixture.page("", 2, "").await.unwrap();
    assert_eq!(first, ids([5, 4]));
    let (second, token) = fixture.page("", 2, &token).await.unwrap();
    assert_eq!(second, ids([3, 2]));
    let (third, token) = fixture.page("", 2, &token).await.unwrap();
    assert_eq!((third, token.as_str()), (ids([1]), ""));
    let all = fixture.page("", 5, "").await.unwrap();
    assert_eq!(all, (ids([5, 4, 3, 2, 1]), String::new()));
}

#[tokio::test]
async fn a_list_shows_completed_writes_at_once() {
    let fixture = Fixture::new().await;
    let room = fixture.register(a_room(1)).await.unwrap();
    let page = fixture
        .rooms()
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap();
    assert_eq!(page.into_inner().rooms, [room]);
    fixture.delete(host(), 1).await.unwrap();
    assert_eq!(
        fixture.page("", 0, "").await.unwrap(),
        (vec![], String::new())
    );
    // A repeated registration does not list it again.
    fixture.register(a_room(1)).await.unwrap();
    assert_eq!(
        fixture.page("", 0, "").await.unwrap(),
        (vec![], String::new())
    );
}

#[tokio::test]
async fn rooms_with_the_same_creation_time_have_a_stable_order() {
    let fixture = Fixture::new().await;
    for room in [3, 1, 4, 2] {
        fixture.register(a_room(room)).await.unwrap();
    }
    let (mut listed, mut token) = fixture.page("", 1, "").await.unwrap();
    while !token.is_empty() {
        let (page, next) = fixture.page("", 1, &token).await.unwrap();
        assert_eq!(page.len(), 1);
        listed.extend(page);
        token = next;
    }
    assert_eq!(listed, ids([4, 3, 2, 1]));
}

#[tokio::test]
async fn insertions_and_deletions_do_not_shift_the_next_page() {
    let fixture = Fixture::new().await;
    register(&fixture, 1..=6).await;
    let (first, token) = fixture.page("", 2, "").await.unwrap();
    assert_eq!(first, ids([6, 5]));
    register(&fixture, 7..=8).await;
    // A listed room, the last entry of the page, and a room of the next page.
    fixture.delete(host(), 6).await.unwrap();
    fixture.delete(host(), 5).await.unwrap();
    fixture.delete(host(), 3).await.unwrap();
    let (second, token) = fixture.page("", 2, &token).await.unwrap();
    assert_eq!(second, ids([4, 2]));
    assert_eq!(
        fixture.page("", 2, &token).await.unwrap(),
        (ids([1]), String::new())
    );
}

#[tokio::test]
async fn a_list_can_be_limited_to_one_host() {
    let fixture = Fixture::new().await;
    register(&fixture, 1..=3).await;
    let other = Room {
        host_id: OTHER_HOST.to_string(),
        ..a_room(4)
    };
    fixture.register(other).await.unwrap();
    let (all, _) = fixture.page("", 0, "").await.unwrap();
    assert_eq!(all, ids([4, 3, 2, 1]));
    let (first, token) = fixture.page(&HOST.to_string(), 2, "").await.unwrap();
    assert_eq!(first, ids([3, 2]));
    let rest = fixture.page(&HOST.to_string(), 2, &token).await.unwrap();
    assert_eq!(rest, (ids([1]), String::new()));
    assert_eq!(
        fixture
            .page(&OTHER_HOST.to_string(), 2, "")
            .await
            .unwrap()
            .0,
        ids([4])
    );
    assert_eq!(
        fixture.page(&uuid(77), 2, "").await.unwrap(),
        (vec![], String::new())
    );
}

#[tokio::test]
async fn a_page_has_20_rooms_by_default() {
    let fixture = Fixture::new().await;
    register(&fixture, 1..=21).await;
    assert_eq!(fixture.page("", 0, "").await.unwrap().0.len(), 20);
    assert_eq!(fixture.page("", 100, "").await.unwrap().0.len(), 21);
}

#[tokio::test]
async fn an_invalid_page_token_or_size_is_refused() {
    let fixture = Fixture::new().await;
    register(&fixture, 1..=3).await;
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
        let refusal = fixture.page("", 2, &token).await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
        refused(
            fixture.reviews(1, 2, &token).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    for size in [-1, 101, i32::MIN, i32::MAX] {
        refused(
            fixture.page("", size, "").await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
        refused(
            fixture.reviews(1, size, "").await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    refused(
        fixture.page("nobody", 2, "").await,
        Code::InvalidArgument,
        "INVALID_REQUEST",
    );
    // The minimum and the maximum time are valid tokens.
    for at in [i64::MIN, i64::MAX] {
        let token = page::token([&at.to_string(), &uuid(1)]);
        fixture.page("", 2, &token).await.unwrap();
    }
}
