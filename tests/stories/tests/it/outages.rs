//! Outages: the functions that work while one of the contexts is down.

use berth::{
    reservation::v1::{CancelReservationRequest, PayReservationRequest, ReservationStatus},
    view::v1::ListRoomViewsRequest,
};
use stories::{
    mode::Mode,
    world::{World, nights},
};
use tonic::Code;

stories::stories! { one, mesh: [
    each_outage_of_a_context_affects_only_its_own_functions,
] }

/// The results of a guest's calls while a context is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Results {
    /// Whether a search results the room.
    search: bool,
    /// The status of a new request.
    request: ReservationStatus,
    /// The status code of a payment for a hold.
    pay: Code,
    /// The status that a cancelled booking reaches.
    cancel: ReservationStatus,
    /// Whether the guest's page shows the new booking.
    page: bool,
}

const ALL: Results = Results {
    search: true,
    request: ReservationStatus::Confirmed,
    pay: Code::Ok,
    cancel: ReservationStatus::Cancelled,
    page: true,
};

/// The results without each context: only payments and refunds wait, and only for `payment`.
const TABLE: [(&str, Results); 6] = [
    ("member", ALL),
    ("message", ALL),
    ("room", ALL),
    ("view", Results { page: false, ..ALL }),
    (
        "payment",
        Results {
            request: ReservationStatus::Requested,
            pay: Code::Unavailable,
            cancel: ReservationStatus::CancelRequested,
            ..ALL
        },
    ),
    // It responds to its callers but consumes no events.
    (
        "reservation",
        Results {
            cancel: ReservationStatus::CancelRequested,
            ..ALL
        },
    ),
];

/// Scenario: S28.
async fn each_outage_of_a_context_affects_only_its_own_functions(mode: Mode) {
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
        let results = Results {
            search: found,
            request,
            pay: paid.map_or_else(|status| status.code(), |_| Code::Ok),
            cancel: guest.reservation(&booked).await.unwrap().status(),
            page: page.iter().any(|entry| entry.reservation_id == new),
        };
        assert_eq!(results, expected, "without {context}");

        world.up(context).await;
        world.advance_minutes(1).await;
        let cancelled = guest.reservation(&booked).await.unwrap();
        assert_eq!(cancelled.status(), ReservationStatus::Cancelled);
        world.check().await;
    }
}
