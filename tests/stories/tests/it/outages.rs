//! Outages: what still works while one of the contexts is down.

use berth::{
    reservation::v1::{CancelReservationRequest, PayReservationRequest, ReservationStatus},
    view::v1::ListRoomViewsRequest,
};
use stories::{
    mode::Mode,
    world::{World, nights},
};
use tonic::Code;

stories::told! { one, mesh: [
    s28_what_works_while_a_context_is_down,
] }

/// What a guest finds while a context is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finds {
    /// Whether a room is found by searching.
    search: bool,
    /// What a request for it becomes at once.
    request: ReservationStatus,
    /// What paying for a hold says.
    pay: Code,
    /// What a booking that is given up becomes by and by.
    cancel: ReservationStatus,
    /// Whether the page of the guest shows the new booking.
    page: bool,
}

const EVERYTHING: Finds = Finds {
    search: true,
    request: ReservationStatus::Confirmed,
    pay: Code::Ok,
    cancel: ReservationStatus::Cancelled,
    page: true,
};

/// What works without each: only money waits, and only for payment.
const TABLE: [(&str, Finds); 6] = [
    ("member", EVERYTHING),
    ("message", EVERYTHING),
    ("room", EVERYTHING),
    (
        "view",
        Finds {
            page: false,
            ..EVERYTHING
        },
    ),
    (
        "payment",
        Finds {
            request: ReservationStatus::Requested,
            pay: Code::Unavailable,
            cancel: ReservationStatus::CancelRequested,
            ..EVERYTHING
        },
    ),
    // It answers its callers and hears nothing.
    (
        "reservation",
        Finds {
            cancel: ReservationStatus::CancelRequested,
            ..EVERYTHING
        },
    ),
];

async fn s28_what_works_while_a_context_is_down(mode: Mode) {
    for (context, expected) in TABLE {
        let world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |room| room.units = 4).await;
        let period = nights("2027-04-01", "2027-04-02");
        let (booked, held, new) = (world.id(), world.id(), world.id());
        let wanted = guest.wants(booked.clone(), &room, period);
        guest.book(wanted).await.unwrap();
        world.faults.arm("peer.payment", u32::MAX);
        let wanted = guest.wants(held.clone(), &room, period);
        guest.book(wanted).await.unwrap();
        world.faults.disarm("peer.payment");
        world.quiet().await;

        world.down(context);
        let search = ListRoomViewsRequest::default();
        let listed = guest.views().list_room_views(search).await;
        let found = listed.is_ok_and(|listed| !listed.into_inner().room_views.is_empty());
        let wanted = guest.wants(new.clone(), &room, period);
        let request = guest.book(wanted).await.unwrap().status();
        let pay = PayReservationRequest {
            reservation_id: held,
        };
        let paid = guest.reservations().pay_reservation(pay).await;
        let cancel = CancelReservationRequest {
            reservation_id: booked.clone(),
            ..Default::default()
        };
        let cancelled = guest.reservations().cancel_reservation(cancel).await;
        cancelled.unwrap();
        world.quiet_without(context).await;
        let page = guest.my_page().await.unwrap();
        let finds = Finds {
            search: found,
            request,
            pay: paid.map_or_else(|status| status.code(), |_| Code::Ok),
            cancel: guest.reservation(&booked).await.unwrap().status(),
            page: page.iter().any(|entry| entry.reservation_id == new),
        };
        assert_eq!(finds, expected, "without {context}");

        world.up(context).await;
        world.advance_minutes(1).await;
        let given_up = guest.reservation(&booked).await.unwrap();
        assert_eq!(given_up.status(), ReservationStatus::Cancelled);
        world.check().await;
    }
}
