//! Lists, single rooms and customer pages.

use berth::{
    common::v1::Role,
    reservation::v1::ReservationStatus,
    room::v1::{RoomDeleted, RoomStatus},
    view::v1::{GetRoomViewRequest, ListMyPageRequest, ListRoomViewsRequest, RoomView},
};
use chassis::{Caller, error::status::reason_of};
use tonic::{Code, Status};

use crate::fixture::{
    Fixture, GUEST, HOST, by, cancelled, id, later, member, registered, requested,
};

/// Rooms 1 to 9, some with equal titles and prices.
async fn nine_rooms() -> Fixture {
    let fixture = Fixture::new().await;
    for n in 1..=9_u128 {
        let minutes = i64::try_from(n % 4).unwrap();
        let room = registered(
            n,
            ["a", "b", "c"][usize::try_from(n % 3).unwrap()],
            100 - minutes,
        );
        fixture.tapes["room"].record(id(n), later(minutes), "", &room);
    }
    fixture.settle().await;
    fixture
}

async fn pages(fixture: &Fixture, order_by: &str, page_size: i32) -> Vec<RoomView> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListRoomViewsRequest {
            order_by: order_by.into(),
            page_size,
            page_token,
            ..ListRoomViewsRequest::default()
        };
        let (page, next) = fixture.rooms(&Caller::default(), request).await.unwrap();
        found.extend(page);
        if next.is_empty() || found.len() > 100 {
            return found;
        }
        page_token = next;
    }
}

#[tokio::test]
async fn pages_in_every_order_make_up_the_sorted_list() {
    let fixture = nine_rooms().await;
    let key = |order: &str, room: &RoomView| match order.split(' ').next() {
        Some("price") => (
            String::new(),
            room.price.as_ref().unwrap().units,
            room.room_id.clone(),
        ),
        Some("update_time") => (
            String::new(),
            room.update_time.unwrap().seconds,
            room.room_id.clone(),
        ),
        _ => (room.title.clone(), 0, room.room_id.clone()),
    };
    for order in [
        "",
        "title",
        "title desc",
        "price",
        "price desc",
        "update_time",
        "update_time desc",
    ] {
        for page_size in [1, 2, 4, 9, 100] {
            let found = pages(&fixture, order, page_size).await;
            let mut expected = found.clone();
            expected.sort_by_key(|room| key(order, room));
            if order.ends_with("desc") {
                expected.reverse();
            }
            assert_eq!(
                (found.len(), &found),
                (9, &expected),
                "{order} by {page_size}"
            );
        }
    }
}

#[tokio::test]
async fn a_new_room_and_a_rebuild_do_not_disturb_the_next_page() {
    let fixture = nine_rooms().await;
    let mut request = ListRoomViewsRequest {
        page_size: 4,
        ..ListRoomViewsRequest::default()
    };
    let anybody = Caller::default();
    let (mut found, next) = fixture.rooms(&anybody, request.clone()).await.unwrap();
    fixture.apply(20, &registered(20, "a", 1)).await;
    fixture.rebuild().await.unwrap();
    request.page_token = next;
    request.page_size = 100;
    found.extend(fixture.rooms(&anybody, request).await.unwrap().0);
    let mut ids: Vec<_> = found.iter().map(|room| room.room_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert!(found.len() == ids.len() && ids.len() >= 9);
}

#[tokio::test]
async fn rooms_are_filtered_by_status_reservation_and_host() {
    let fixture = nine_rooms().await;
    fixture.apply(50, &requested(50, 3, 1)).await;
    fixture.apply(51, &requested(51, 4, 1)).await;
    fixture.apply(51, &cancelled(51, 4, 1)).await;
    let room = registered(5, "b", 100).room;
    fixture.apply(5, &RoomDeleted { room, offer: None }).await;
    let filtered = |request: ListRoomViewsRequest| {
        let fixture = &fixture;
        async move {
            let (rooms, _) = fixture.rooms(&Caller::default(), request).await.unwrap();
            let mut ids: Vec<_> = rooms.into_iter().map(|room| room.room_id).collect();
            ids.sort();
            ids
        }
    };
    let all = ListRoomViewsRequest::default();
    let mut only = all.clone();
    only.set_reservation_status(ReservationStatus::Requested);
    assert_eq!(filtered(only).await, [id(3)]);
    let mut only = all.clone();
    only.set_room_status(RoomStatus::Deleted);
    assert_eq!(filtered(only).await, [id(5)]);
    let of_host = |host| ListRoomViewsRequest {
        host_id: id(host),
        ..ListRoomViewsRequest::default()
    };
    assert_eq!(filtered(of_host(HOST)).await.len(), 8);
    assert_eq!(filtered(of_host(77)).await.len(), 0);
    assert_eq!(filtered(all).await.len(), 8);
}

#[tokio::test]
async fn the_reservation_id_is_visible_to_its_host_and_its_customer_only() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 1).await;
    let visible_to = |caller: Caller| {
        let fixture = &fixture;
        async move {
            let request = GetRoomViewRequest { room_id: id(1) };
            let one = fixture.client().get_room_view(by(&caller, request)).await;
            let one = one.unwrap().into_inner().room_view.unwrap();
            let (all, _) = fixture
                .rooms(&caller, ListRoomViewsRequest::default())
                .await
                .unwrap();
            assert_eq!(all, std::slice::from_ref(&one));
            assert_eq!(one.reservation_status(), ReservationStatus::Confirmed);
            one.reservation_id
        }
    };
    let person = |n, role| Caller::person(member(n), &[role]);
    assert_eq!(visible_to(person(HOST, Role::Host)).await, id(1));
    assert_eq!(visible_to(person(GUEST, Role::Customer)).await, id(1));
    for other in [
        Caller::default(),
        person(77, Role::Customer),
        person(78, Role::Host),
        person(79, Role::Admin),
        Caller::service("room"),
    ] {
        assert_eq!(visible_to(other).await, "");
    }
}

#[tokio::test]
async fn an_unknown_room_is_not_found_and_a_deleted_one_is_returned() {
    let fixture = nine_rooms().await;
    let room = registered(5, "b", 100).room;
    fixture.apply(5, &RoomDeleted { room, offer: None }).await;
    // Only a reservation of room 70 is known, not the room itself.
    fixture.apply(60, &requested(60, 70, 1)).await;
    let get = |room_id: String| {
        let mut client = fixture.client();
        async move { client.get_room_view(GetRoomViewRequest { room_id }).await }
    };
    let deleted = get(id(5)).await.unwrap().into_inner().room_view.unwrap();
    assert_eq!(deleted.room_status(), RoomStatus::Deleted);
    for absent in [id(70), id(71)] {
        let error = get(absent).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(reason_of(&error).as_deref(), Some("NOT_FOUND"));
    }
    for hostile in ["", "x", "\0", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(
            get(hostile.into()).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn a_page_has_the_reservations_of_the_caller_newest_first() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 7).await;
    fixture.apply(2, &cancelled(2, 1, 2)).await;
    let mut request = ListMyPageRequest {
        page_size: 3,
        ..ListMyPageRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let (page, next) = fixture.my_page(GUEST, request.clone()).await.unwrap();
        found.extend(page);
        if next.is_empty() || found.len() > 20 {
            break;
        }
        request.page_token = next;
    }
    let ids: Vec<_> = found
        .iter()
        .map(|entry| entry.reservation_id.clone())
        .collect();
    assert_eq!(
        ids,
        (1..=7).rev().map(id).collect::<Vec<_>>(),
        "newest first"
    );
    assert!(
        found
            .iter()
            .all(|entry| entry.message_count == 1 && entry.customer_id == id(GUEST))
    );
    let mut only = ListMyPageRequest::default();
    only.set_status(ReservationStatus::Cancelled);
    assert_eq!(fixture.my_page(GUEST, only).await.unwrap().0.len(), 1);
    for other in [HOST, 77] {
        let page = fixture.my_page(other, ListMyPageRequest::default()).await;
        assert_eq!(page.unwrap().0, []);
    }
    let nobody = fixture
        .client()
        .list_my_page(ListMyPageRequest::default())
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
}

fn invalid<T: std::fmt::Debug>(result: Result<T, Status>, what: &str) {
    assert_eq!(result.unwrap_err().code(), Code::InvalidArgument, "{what}");
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let fixture = nine_rooms().await;
    let valid = ListRoomViewsRequest {
        page_size: 2,
        ..ListRoomViewsRequest::default()
    };
    let (_, token) = fixture
        .rooms(&Caller::default(), valid.clone())
        .await
        .unwrap();
    let edited = |edit: fn(&mut ListRoomViewsRequest, &str)| {
        let mut request = valid.clone();
        edit(&mut request, &token);
        request
    };
    for invalid_request in [
        edited(|request, _| request.host_id = "nobody".into()),
        edited(|request, _| request.host_id = "\0".into()),
        edited(|request, _| request.room_status = 99),
        edited(|request, _| request.reservation_status = -1),
        edited(|request, _| request.order_by = "Title".into()),
        edited(|request, _| request.order_by = "title; DROP TABLE room_view".into()),
        edited(|request, _| request.order_by = "price asc".into()),
        edited(|request, _| request.page_size = -1),
        edited(|request, _| request.page_size = 101),
        edited(|request, _| request.page_token = "x".into()),
        edited(|request, token| {
            request.page_token = token.into();
            request.order_by = "price".into();
        }),
    ] {
        let result = fixture
            .rooms(&Caller::default(), invalid_request.clone())
            .await;
        invalid(result, &format!("{invalid_request:?}"));
    }
    for (status, page_size, page_token) in
        [(99, 0, ""), (0, i32::MIN, ""), (0, 0, "x"), (0, 0, &token)]
    {
        let request = ListMyPageRequest {
            status,
            page_size,
            page_token: page_token.into(),
        };
        invalid(
            fixture.my_page(GUEST, request.clone()).await,
            &format!("{request:?}"),
        );
    }
}
