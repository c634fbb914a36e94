//! The functions for hosts and guests.

use berth::{
    message::v1::ListMessagesRequest,
    offer::v1::CancellationTier,
    payment::v1::PaymentStatus,
    reservation::v1::{CancelReservationRequest, QuoteCancellationRequest, ReservationStatus},
    room::v1::{
        CreateReviewRequest, DeleteRoomRequest, GetRoomRequest, ListReviewsRequest,
        ListRoomsRequest, ModifyRoomRequest, Review, RoomStatus,
    },
    view::v1::{GetRoomViewRequest, ListRoomViewsRequest},
};
use chassis::error::status::reason_of;
use stories::{
    mode::Mode,
    world::{World, eur, nights},
};
use tonic::Code;

stories::stories! { one, mesh: [
    a_host_registers_modifies_and_deletes_a_room,
    a_customer_reserves_a_room_and_pays_at_the_same_time,
    the_customer_and_the_host_are_notified_of_every_change,
    a_customer_cancels_and_is_refunded_by_the_notice_given,
    a_completed_stay_is_reviewed_once,
    a_room_view_and_my_page_show_everything_on_one_screen,
] }

/// Requirement: A-F1.
async fn a_host_registers_modifies_and_deletes_a_room(mode: Mode) {
    let world = World::start(mode).await;
    let host = world.host().await;
    let mut room = world
        .room(&host, |room| room.title = "Beautiful House".into())
        .await;
    assert_eq!(room.status(), RoomStatus::Available);

    room.price = eur(95);
    room.description = "With a garden".into();
    let modify = ModifyRoomRequest {
        room: Some(room.clone()),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["price".into(), "description".into()],
        }),
    };
    let modified = host
        .rooms()
        .modify_room(modify)
        .await
        .unwrap()
        .into_inner()
        .room
        .unwrap();
    assert_eq!(
        (modified.price, modified.description.as_str()),
        (eur(95), "With a garden")
    );
    assert_eq!(modified.version, room.version + 1);

    let delete = DeleteRoomRequest {
        room_id: room.room_id.clone(),
    };
    let deleted = host
        .rooms()
        .delete_room(delete)
        .await
        .unwrap()
        .into_inner()
        .room
        .unwrap();
    assert_eq!(deleted.status(), RoomStatus::Deleted);
    let listed = host
        .rooms()
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(
        listed
            .rooms
            .iter()
            .all(|listed| listed.room_id != room.room_id)
    );
    world.check().await;
}

/// Requirement: A-F2, A-F3.
pub(crate) async fn a_customer_reserves_a_room_and_pays_at_the_same_time(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let booked = guest
        .book(guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-04")))
        .await
        .unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    assert_eq!(booked.price, eur(240), "three nights at 80");
    let payment = guest.payment(&booked.reservation_id).await.unwrap();
    assert_eq!(
        (payment.status(), payment.amount),
        (PaymentStatus::Paid, eur(240))
    );
    world.check().await;
}

/// Requirement: A-F4, A-F6, A-N5.
async fn the_customer_and_the_host_are_notified_of_every_change(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    let cancel = CancelReservationRequest {
        reservation_id: id.clone(),
        ..Default::default()
    };
    guest
        .reservations()
        .cancel_reservation(cancel)
        .await
        .unwrap();
    world.quiet().await;

    let about = ListMessagesRequest {
        reservation_id: id.clone(),
        page_size: 100,
        ..Default::default()
    };
    let to_customer = guest
        .messages()
        .list_messages(about.clone())
        .await
        .unwrap()
        .into_inner()
        .messages;
    let mut events: Vec<_> = to_customer
        .iter()
        .map(|message| message.event_type.rsplit('.').next().unwrap())
        .collect();
    // The clock stands still, so all were written at the same time.
    events.sort_unstable();
    let life = [
        "ReservationCancelRequested",
        "ReservationCancelled",
        "ReservationConfirmed",
        "ReservationRequested",
    ];
    assert_eq!(events, life);
    let to_host = host
        .messages()
        .list_messages(about)
        .await
        .unwrap()
        .into_inner()
        .messages;
    assert!(!to_host.is_empty(), "the host is notified, too");
    world.check().await;
}

/// Requirement: A-F5.
async fn a_customer_cancels_and_is_refunded_by_the_notice_given(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let tiers = [(168, 100), (24, 50)];
    let tiers = tiers.map(|(hours_before, refund_percent)| CancellationTier {
        hours_before,
        refund_percent,
    });
    let room = world
        .room(&host, |room| room.cancellation_tiers = tiers.to_vec())
        .await;
    for (period, refund) in [
        (nights("2027-04-01", "2027-04-02"), eur(80)),
        (nights("2027-03-04", "2027-03-05"), eur(40)),
        (nights("2027-03-01", "2027-03-02"), eur(0)),
    ] {
        let id = world.id();
        guest
            .book(guest.wants(id.clone(), &room, period))
            .await
            .unwrap();
        let quote = QuoteCancellationRequest {
            reservation_id: id.clone(),
        };
        let quote = guest
            .reservations()
            .quote_cancellation(quote)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(quote.refund, refund);
        let cancel = CancelReservationRequest {
            reservation_id: id.clone(),
            reason: "changed my mind".into(),
            expected_refund: quote.refund,
        };
        guest
            .reservations()
            .cancel_reservation(cancel.clone())
            .await
            .unwrap();
        world.quiet().await;
        let cancelled = guest.reservation(&id).await.unwrap();
        assert_eq!(
            (cancelled.status(), cancelled.refund.clone()),
            (ReservationStatus::Cancelled, refund.clone())
        );
        assert_eq!(guest.payment(&id).await.unwrap().refunded, refund);
        // A repeat changes nothing.
        let again = guest
            .reservations()
            .cancel_reservation(cancel)
            .await
            .unwrap()
            .into_inner()
            .reservation
            .unwrap();
        assert_eq!(again.version, cancelled.version);
    }
    world.check().await;
}

/// Requirement: A-F7.
async fn a_completed_stay_is_reviewed_once(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-03-02", "2027-03-03")))
        .await
        .unwrap();
    let review = Review {
        reservation_id: id.clone(),
        author_id: guest.id.clone(),
        rating: 5,
        text: "Quiet and clean".into(),
        ..Default::default()
    };
    let create = CreateReviewRequest {
        review: Some(review),
    };
    let early = guest
        .rooms()
        .create_review(create.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (early.code(), reason_of(&early).unwrap().as_str()),
        (Code::FailedPrecondition, "STAY_NOT_COMPLETED")
    );

    world.advance_hours(72).await;
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Completed
    );
    guest.rooms().create_review(create.clone()).await.unwrap();
    guest.rooms().create_review(create.clone()).await.unwrap();
    let other = world.customer().await;
    let mut stolen = create.review.unwrap();
    stolen.author_id = other.id.clone();
    other
        .rooms()
        .create_review(CreateReviewRequest {
            review: Some(stolen),
        })
        .await
        .unwrap_err();
    world.quiet().await;

    let list = ListReviewsRequest {
        room_id: room.room_id.clone(),
        ..Default::default()
    };
    let reviews = guest
        .rooms()
        .list_reviews(list)
        .await
        .unwrap()
        .into_inner()
        .reviews;
    assert_eq!(reviews.len(), 1);
    let get = GetRoomRequest {
        room_id: room.room_id.clone(),
    };
    let room = guest
        .rooms()
        .get_room(get)
        .await
        .unwrap()
        .into_inner()
        .room
        .unwrap();
    assert_eq!(
        (room.review_count, room.status()),
        (1, RoomStatus::Available)
    );
    world.check().await;
}

/// Requirement: A-F8, A-N4, A-I2, B-2.
pub(crate) async fn a_room_view_and_my_page_show_everything_on_one_screen(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world
        .room(&host, |room| room.title = "Beautiful House".into())
        .await;
    let free = world.room(&host, |_| ()).await;
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-03-02", "2027-03-03")))
        .await
        .unwrap();
    world.quiet().await;

    for person in [&host, &guest] {
        let list = ListRoomViewsRequest {
            host_id: host.id.clone(),
            ..Default::default()
        };
        let views = person
            .views()
            .list_room_views(list)
            .await
            .unwrap()
            .into_inner()
            .room_views;
        assert_eq!(views.len(), 2);
        let get = GetRoomViewRequest {
            room_id: room.room_id.clone(),
        };
        let view = person
            .views()
            .get_room_view(get)
            .await
            .unwrap()
            .into_inner()
            .room_view
            .unwrap();
        assert_eq!(view.room_status(), RoomStatus::Reserved);
        assert_eq!(view.reservation_status(), ReservationStatus::Confirmed);
        assert_eq!(view.payment_status(), PaymentStatus::Paid);
        assert_eq!(
            (view.reservation_id.as_str(), view.review_count),
            (id.as_str(), 0)
        );
    }
    let other_member = world.customer().await;
    let get = GetRoomViewRequest {
        room_id: room.room_id.clone(),
    };
    let view = other_member
        .views()
        .get_room_view(get)
        .await
        .unwrap()
        .into_inner()
        .room_view
        .unwrap();
    assert_eq!(view.reservation_id, "", "not shown to other members");
    let get = GetRoomViewRequest {
        room_id: free.room_id.clone(),
    };
    let view = other_member
        .views()
        .get_room_view(get)
        .await
        .unwrap()
        .into_inner()
        .room_view
        .unwrap();
    assert_eq!(view.room_status(), RoomStatus::Available);

    let page = guest.my_page().await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(
        (page[0].reservation_id.as_str(), page[0].status()),
        (id.as_str(), ReservationStatus::Confirmed)
    );
    assert!(other_member.my_page().await.unwrap().is_empty());
    world.check().await;
}
