//! Availability, approval, limits and listings.

use berth::{
    member::v1::GetMemberRequest,
    offer::v1::{Approval, Unit},
    payment::v1::PaymentStatus,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, GetReservationHistoryRequest,
        PayReservationRequest, RejectReservationRequest, ReservationStatus,
    },
    room::v1::{GetRoomRequest, ListRoomsRequest, RoomStatus},
};
use chassis::error::status::reason_of;
use stories::{
    mode::Mode,
    world::{World, eur, hours, nights},
};
use tonic::Code;

stories::stories! { one, mesh: [
    a_reservation_is_confirmed_only_with_a_payment,
    reservations_are_accepted_while_room_message_and_view_are_down,
    the_circuit_breaker_opens_while_payment_is_down_and_closes_again,
    booking_and_cancelling_change_room_reservation_and_payment,
    payment_and_confirmation_are_published_as_events,
    a_customer_is_charged_after_the_host_has_approved,
    a_request_that_the_host_rejects_or_ignores_is_not_charged,
    rooms_have_status_reviews_and_last_action_and_are_listed_in_pages,
    a_customer_has_at_most_the_configured_number_of_open_reservations,
    meeting_rooms_are_sold_by_the_hour,
] }

/// Requirement: A-N1, A-I9.
async fn a_reservation_is_confirmed_only_with_a_payment(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;

    // Declined: no claim and no charge.
    let mut declined = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    declined.payment_method = "tok_declined".into();
    let refused = guest.request(declined).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused).unwrap().as_str()),
        (Code::FailedPrecondition, "PAYMENT_DECLINED")
    );

    // Payment down: held but not confirmed; paid later, or it lapses.
    world.down("payment");
    let (later, never) = (world.id(), world.id());
    let wanted = guest.wants(later.clone(), &room, nights("2027-04-01", "2027-04-02"));
    let held = guest.request(wanted).await.unwrap();
    assert!(held.retry_delay.is_some());
    assert_eq!(
        held.reservation.unwrap().status(),
        ReservationStatus::Requested
    );
    guest
        .request(guest.wants(never.clone(), &room, nights("2027-05-01", "2027-05-02")))
        .await
        .unwrap();
    let pay = PayReservationRequest {
        reservation_id: later.clone(),
    };
    let refused = guest
        .reservations()
        .pay_reservation(pay.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);

    world.up("payment").await;
    let paid = guest
        .reservations()
        .pay_reservation(pay)
        .await
        .unwrap()
        .into_inner()
        .reservation
        .unwrap();
    assert_eq!(paid.status(), ReservationStatus::Confirmed);
    world.advance_minutes(16).await;
    assert_eq!(
        guest.reservation(&never).await.unwrap().status(),
        ReservationStatus::Lapsed
    );
    world.check().await;
}

/// Requirement: A-N2, A-I11, B-9.
async fn reservations_are_accepted_while_room_message_and_view_are_down(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    world.quiet().await;
    for context in ["room", "message", "view"] {
        world.down(context);
    }
    let id = world.id();
    let booked = guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    for context in ["room", "message", "view"] {
        world.up(context).await;
    }
    world.quiet().await;
    assert_eq!(
        guest.inbox().await.unwrap().len(),
        2,
        "notified of the events during the outage"
    );
    assert_eq!(guest.my_page().await.unwrap().len(), 1);
    world.check().await;
}

/// Requirement: A-N3.
async fn the_circuit_breaker_opens_while_payment_is_down_and_closes_again(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 50).await;
    let another = world.customer().await;
    world.down("payment");
    for person in [&guest, &another] {
        // A customer may have at most ten open reservations.
        for _ in 0..9 {
            let wanted = person.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let held = person.request(wanted).await.unwrap();
            assert!(held.retry_delay.is_some(), "the response has a retry delay");
        }
    }
    // Payment responds again, but is not called: the breaker is open and stays open while the clock stands still.
    world.faults.disarm("peer.payment");
    let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    let not_charged = guest.request(wanted).await.unwrap();
    assert!(not_charged.retry_delay.is_some(), "the breaker is open");
    assert_eq!(
        not_charged.reservation.unwrap().status(),
        ReservationStatus::Requested
    );
    world.up("payment").await;
    let other = world.customer().await;
    let booked = other
        .book(other.wants(world.id(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(
        booked.status(),
        ReservationStatus::Confirmed,
        "the breaker is closed again"
    );
    world.advance_minutes(16).await;
    world.check().await;
}

/// Requirement: A-I6.
async fn booking_and_cancelling_change_room_reservation_and_payment(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    let states = async || {
        world.quiet().await;
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
        let reservation = guest.reservation(&id).await.unwrap();
        let payment = guest.payment(&id).await.unwrap();
        (
            room.status(),
            room.last_action,
            reservation.status(),
            payment.status(),
        )
    };
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    let booked = (
        RoomStatus::Reserved,
        "reserved".into(),
        ReservationStatus::Confirmed,
        PaymentStatus::Paid,
    );
    assert_eq!(states().await, booked);
    let cancel = CancelReservationRequest {
        reservation_id: id.clone(),
        ..Default::default()
    };
    guest
        .reservations()
        .cancel_reservation(cancel)
        .await
        .unwrap();
    let cancelled = (
        RoomStatus::Available,
        "released".into(),
        ReservationStatus::Cancelled,
        PaymentStatus::Refunded,
    );
    assert_eq!(states().await, cancelled);
    world.check().await;
}

/// Requirement: A-I10.
async fn payment_and_confirmation_are_published_as_events(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    let payments = world.log("payment").await;
    let approved = payments.iter().find(|event| event.subject == id).unwrap();
    assert_eq!(approved.event_type, "berth.payment.v1.PaymentApproved");
    assert_eq!(
        approved.cause.correlation, id,
        "the correlation id is the reservation's id"
    );
    let history = GetReservationHistoryRequest {
        reservation_id: id.clone(),
    };
    let history = guest
        .reservations()
        .get_reservation_history(history)
        .await
        .unwrap()
        .into_inner()
        .entries;
    let types: Vec<_> = history
        .iter()
        .map(|entry| entry.event_type.rsplit('.').next().unwrap())
        .collect();
    assert_eq!(types, ["ReservationRequested", "ReservationConfirmed"]);
    world.check().await;
}

/// Requirement: B-1.
async fn a_customer_is_charged_after_the_host_has_approved(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world
        .room(&host, |room| room.set_approval(Approval::Host))
        .await;
    let id = world.id();
    let asked = guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(asked.status(), ReservationStatus::PendingApproval);
    assert_eq!(
        guest.payment(&id).await.unwrap_err().code(),
        Code::NotFound,
        "not charged yet"
    );

    let approve = ApproveReservationRequest {
        reservation_id: id.clone(),
    };
    let other_host = world.host().await;
    let refused = other_host
        .reservations()
        .approve_reservation(approve.clone())
        .await
        .unwrap_err();
    assert_eq!(
        refused.code(),
        Code::NotFound,
        "another host's reservation is not found"
    );
    host.reservations()
        .approve_reservation(approve.clone())
        .await
        .unwrap();
    host.reservations()
        .approve_reservation(approve)
        .await
        .unwrap();
    world.quiet().await;
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(
        guest.payment(&id).await.unwrap().status(),
        PaymentStatus::Paid
    );
    let get = GetRoomRequest {
        room_id: room.room_id.clone(),
    };
    let reserved = host
        .rooms()
        .get_room(get)
        .await
        .unwrap()
        .into_inner()
        .room
        .unwrap();
    assert_eq!(reserved.status(), RoomStatus::Reserved);
    world.check().await;
}

/// Requirement: B-1.
async fn a_request_that_the_host_rejects_or_ignores_is_not_charged(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world
        .room(&host, |room| room.set_approval(Approval::Host))
        .await;
    let (rejected, unanswered) = (world.id(), world.id());
    guest
        .book(guest.wants(rejected.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    guest
        .book(guest.wants(
            unanswered.clone(),
            &room,
            nights("2027-05-01", "2027-05-02"),
        ))
        .await
        .unwrap();
    let reject = RejectReservationRequest {
        reservation_id: rejected.clone(),
        reason: "being painted".into(),
    };
    host.reservations()
        .reject_reservation(reject)
        .await
        .unwrap();
    let found = guest.reservation(&rejected).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::Rejected);
    world.advance_hours(25).await;
    assert_eq!(
        guest.reservation(&unanswered).await.unwrap().status(),
        ReservationStatus::Lapsed
    );
    // The units are free again.
    let again = guest
        .book(guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(again.status(), ReservationStatus::PendingApproval);
    world.advance_hours(25).await;
    world.check().await;
}

/// Requirement: B-4, B-6.
async fn rooms_have_status_reviews_and_last_action_and_are_listed_in_pages(mode: Mode) {
    let world = World::start(mode).await;
    let host = world.host().await;
    for _ in 0..5 {
        world
            .room(&host, |room| room.title = "Beautiful House".into())
            .await;
    }
    let mut listed = Vec::new();
    let mut list = ListRoomsRequest {
        host_id: host.id.clone(),
        page_size: 2,
        ..Default::default()
    };
    loop {
        let page = host
            .rooms()
            .list_rooms(list.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.rooms.len() <= 2);
        listed.extend(page.rooms);
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    assert_eq!(listed.len(), 5);
    let first = &listed[0];
    assert_eq!(
        (first.status(), first.review_count),
        (RoomStatus::Available, 0)
    );
    assert_eq!(
        (first.title.as_str(), first.last_action.as_str()),
        ("Beautiful House", "registered")
    );
    world.check().await;
}

/// Requirement: A-O15.
async fn a_customer_has_at_most_the_configured_number_of_open_reservations(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 20).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        held.push(guest.book(wanted).await.unwrap().reservation_id);
    }
    let eleventh = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    let refused = guest.request(eleventh.clone()).await.unwrap_err();
    assert_eq!(reason_of(&refused).unwrap(), "TOO_MANY_RESERVATIONS");
    let cancel = CancelReservationRequest {
        reservation_id: held[0].clone(),
        ..Default::default()
    };
    guest
        .reservations()
        .cancel_reservation(cancel)
        .await
        .unwrap();
    guest.book(eleventh).await.unwrap();
    world.check().await;
}

async fn meeting_rooms_are_sold_by_the_hour(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.set_unit(Unit::Hour)).await;
    let period = hours("2027-03-02T09:30:00Z", "2027-03-02T11:30:00Z");
    let booked = guest
        .book(guest.wants(world.id(), &room, period))
        .await
        .unwrap();
    assert_eq!(
        (booked.status(), booked.price),
        (ReservationStatus::Confirmed, eur(160))
    );
    for (start, end, free) in [
        ("2027-03-02T11:30:00Z", "2027-03-02T12:30:00Z", true),
        ("2027-03-02T08:30:00Z", "2027-03-02T09:30:00Z", true),
        ("2027-03-02T10:00:00Z", "2027-03-02T11:00:00Z", false),
        ("2027-03-02T11:15:00Z", "2027-03-02T13:15:00Z", false),
    ] {
        let done = guest
            .request(guest.wants(world.id(), &room, hours(start, end)))
            .await;
        assert_eq!(done.is_ok(), free, "{start} to {end}: {done:?}");
    }
    world.check().await;
}

/// For one process, and for twins behind the port of their balancer. In the mesh people call each context directly.
///
/// Requirement: B-3.
#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_every_service_of_one_process() {
    one_port_serves_every_service_of_the_platform(Mode::One).await;
}

/// Requirement: B-3.
pub(crate) async fn one_port_serves_every_service_of_the_platform(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
    guest.book(wanted).await.unwrap();
    world.quiet().await;
    // Rooms, reservations, payments, messages, views and members at one address.
    let get = GetRoomRequest {
        room_id: room.room_id.clone(),
    };
    guest.rooms().get_room(get).await.unwrap();
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(
        guest.payment(&id).await.unwrap().status(),
        PaymentStatus::Paid
    );
    assert_eq!(guest.inbox().await.unwrap().len(), 2);
    assert_eq!(guest.my_page().await.unwrap().len(), 1);
    let get = GetMemberRequest {
        member_id: guest.id.clone(),
    };
    guest.members().get_member(get).await.unwrap();
    world.check().await;
}
