//! The brief's accommodation stories, continued: what must hold meanwhile (A-N…), and how it was built (A-I…, B-…).

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

stories::told! { one, mesh: [
    a_n1_a_i9_no_reservation_is_established_without_payment,
    a_n2_a_i11_b_9_reservations_are_taken_while_rooms_and_messages_are_down,
    a_n3_when_payment_is_down_the_breaker_refuses_at_once_and_closes_again,
    a_i6_booking_and_cancelling_change_room_reservation_and_payment_together,
    a_i10_payment_and_confirmation_are_told_as_events,
    b_1_a_host_approves_before_it_is_charged,
    b_1_a_host_rejects_or_does_not_answer,
    b_4_b_6_rooms_have_status_reviews_and_last_action_and_come_in_pages,
    a_o15_nobody_holds_more_than_the_configured_number_of_reservations,
    meeting_rooms_are_let_by_the_hour,
] }

async fn a_n1_a_i9_no_reservation_is_established_without_payment(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;

    // Declined: nothing is held, nothing is charged.
    let mut declined = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    declined.payment_method = "tok_declined".into();
    let refused = guest.request(declined).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused).unwrap().as_str()),
        (Code::FailedPrecondition, "PAYMENT_DECLINED")
    );

    // Payment down: held, not established; paid later, or it lapses.
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

async fn a_n2_a_i11_b_9_reservations_are_taken_while_rooms_and_messages_are_down(mode: Mode) {
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
        "told of what happened meanwhile"
    );
    assert_eq!(guest.my_page().await.unwrap().len(), 1);
    world.check().await;
}

async fn a_n3_when_payment_is_down_the_breaker_refuses_at_once_and_closes_again(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 50).await;
    let another = world.customer().await;
    world.down("payment");
    for person in [&guest, &another] {
        // Nobody may hold more than ten.
        for _ in 0..9 {
            let wanted = person.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let held = person.request(wanted).await.unwrap();
            assert!(held.retry_delay.is_some(), "asked to come back");
        }
    }
    // Payment answers again, but nobody asks it: the breaker is open, and stays so while the clock stands still.
    world.faults.disarm("peer.payment");
    let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    let spared = guest.request(wanted).await.unwrap();
    assert!(spared.retry_delay.is_some(), "the breaker is open");
    assert_eq!(
        spared.reservation.unwrap().status(),
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

async fn a_i6_booking_and_cancelling_change_room_reservation_and_payment_together(mode: Mode) {
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

async fn a_i10_payment_and_confirmation_are_told_as_events(mode: Mode) {
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
        "the reservation's id goes along"
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

async fn b_1_a_host_approves_before_it_is_charged(mode: Mode) {
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
    let foreign = world.host().await;
    let refused = foreign
        .reservations()
        .approve_reservation(approve.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "another host's is nobody's");
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

async fn b_1_a_host_rejects_or_does_not_answer(mode: Mode) {
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
    // What was held is free again.
    let again = guest
        .book(guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(again.status(), ReservationStatus::PendingApproval);
    world.advance_hours(25).await;
    world.check().await;
}

async fn b_4_b_6_rooms_have_status_reviews_and_last_action_and_come_in_pages(mode: Mode) {
    let world = World::start(mode).await;
    let host = world.host().await;
    for _ in 0..5 {
        world
            .room(&host, |room| room.title = "Beautiful House".into())
            .await;
    }
    let mut seen = Vec::new();
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
        seen.extend(page.rooms);
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    assert_eq!(seen.len(), 5);
    let first = &seen[0];
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

async fn a_o15_nobody_holds_more_than_the_configured_number_of_reservations(mode: Mode) {
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

async fn meeting_rooms_are_let_by_the_hour(mode: Mode) {
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

/// In one process, and with twins behind the one port of their balancer; in the mesh people go to each context by itself.
#[tokio::test(flavor = "multi_thread")]
async fn b_3_one_port_carries_every_service_of_one_process() {
    b_3_one_port_carries_every_service_of_the_platform(Mode::One).await;
}

pub(crate) async fn b_3_one_port_carries_every_service_of_the_platform(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let id = world.id();
    let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
    guest.book(wanted).await.unwrap();
    world.quiet().await;
    // Rooms, reservations, payments, messages, views and members, all at one address.
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
