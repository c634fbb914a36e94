//! Stopped processes of the mesh. For one process see `outages`.

use std::time::{Duration, Instant};

use berth::{
    reservation::v1::{CancelReservationRequest, PayReservationRequest, ReservationStatus},
    view::v1::ListRoomViewsRequest,
};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, nights},
};
use tonic::{Code, Status};

stories::stories! { mesh: [
    each_stopped_process_affects_only_its_own_functions,
    a_restarted_context_consumes_each_missed_event_once,
    processes_start_in_any_order,
] }

/// The results of a guest's calls while a process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Results {
    /// Whether a search results the room.
    search: bool,
    /// The status of a new request; none if it is unavailable.
    request: Option<ReservationStatus>,
    /// The status code of a payment for a hold.
    pay: Code,
    /// The status that a cancelled booking reaches; none if it is unavailable.
    cancel: Option<ReservationStatus>,
    /// Whether the guest can read the inbox.
    inbox: bool,
    /// Whether the guest's page shows the new booking.
    page: bool,
}

const ALL: Results = Results {
    search: true,
    request: Some(ReservationStatus::Confirmed),
    pay: Code::Ok,
    cancel: Some(ReservationStatus::Cancelled),
    inbox: true,
    page: true,
};

/// The results without each process: its rpcs are unavailable, and its events are consumed later.
const TABLE: [(&str, Results); 6] = [
    ("member", ALL),
    (
        "message",
        Results {
            inbox: false,
            ..ALL
        },
    ),
    ("room", ALL),
    (
        "view",
        Results {
            search: false,
            page: false,
            ..ALL
        },
    ),
    (
        "payment",
        Results {
            request: Some(ReservationStatus::Requested),
            pay: Code::Unavailable,
            cancel: Some(ReservationStatus::CancelRequested),
            ..ALL
        },
    ),
    (
        "reservation",
        Results {
            request: None,
            pay: Code::Unavailable,
            cancel: None,
            page: false,
            ..ALL
        },
    ),
];

/// A response, or none if the context is unavailable.
#[track_caller]
fn if_available<T>(answered: Result<T, Status>) -> Option<T> {
    match answered {
        Ok(answer) => Some(answer),
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            None
        }
    }
}

async fn cancel(guest: &Person, id: &str) -> Result<(), Status> {
    let request = CancelReservationRequest {
        reservation_id: id.to_owned(),
        ..Default::default()
    };
    let mut reservations = guest.reservations();
    reservations.cancel_reservation(request).await.map(|_| ())
}

/// Scenario: S28.
async fn each_stopped_process_affects_only_its_own_functions(mode: Mode) {
    for (context, expected) in TABLE {
        let mut world = World::start(mode).await;
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

        world.crash_of(context).await;
        let search = ListRoomViewsRequest::default();
        let listed = if_available(guest.views().list_room_views(search).await);
        let wanted = guest.wants(new.clone(), &room, period);
        let requested = if_available(guest.book(wanted.clone()).await);
        let pay = PayReservationRequest {
            reservation_id: held,
        };
        let paid = guest.reservations().pay_reservation(pay).await;
        if_available(cancel(&guest, &booked).await);
        let mut results = Results {
            search: listed.is_some_and(|listed| !listed.into_inner().room_views.is_empty()),
            request: requested.map(|booked| booked.status()),
            pay: paid.map_or_else(|status| status.code(), |_| Code::Ok),
            ..expected
        };
        // The rest follows asynchronously. The bound is generous, for a busy machine.
        let mut polls = tokio::time::interval(Duration::from_millis(10));
        let end = Instant::now() + Duration::from_mins(5);
        while Instant::now() < end {
            let cancelled = if_available(guest.reservation(&booked).await);
            let page = if_available(guest.my_page().await).unwrap_or_default();
            results.cancel = cancelled.map(|cancelled| cancelled.status());
            results.page = page.iter().any(|entry| entry.reservation_id == new);
            results.inbox = if_available(guest.inbox().await).is_some();
            if results == expected {
                break;
            }
            polls.tick().await;
        }
        assert_eq!(results, expected, "without {context}");

        world.restart_of(context).await;
        // Repeats of requests that failed succeed, and repeats of the others change nothing.
        guest.book(wanted).await.unwrap();
        cancel(&guest, &booked).await.unwrap();
        world.advance_minutes(1).await;
        let cancelled = guest.reservation(&booked).await.unwrap();
        assert_eq!(
            cancelled.status(),
            ReservationStatus::Cancelled,
            "{context}"
        );
        assert_eq!(guest.my_page().await.unwrap().len(), 3, "{context}");
        world.check().await;
    }
}

/// Requirement: A-C23.
async fn a_restarted_context_consumes_each_missed_event_once(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    world.quiet().await;
    let mut messages = 0;
    for _ in 0..3 {
        for context in ["message", "view"] {
            world.crash_of(context).await;
        }
        for _ in 0..2 {
            let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let booked = guest.book(wanted).await.unwrap();
            assert_eq!(booked.status(), ReservationStatus::Confirmed);
            messages += 2;
        }
        for context in ["message", "view"] {
            world.restart_of(context).await;
        }
        world.quiet().await;
        assert_eq!(guest.inbox().await.unwrap().len(), messages);
        assert_eq!(guest.my_page().await.unwrap().len(), messages / 2);
    }
    world.check().await;
}

/// Scenario: S29.
async fn processes_start_in_any_order(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    for last in ["member", "payment", "reservation", "view"] {
        world.crash().await;
        world.restart_with_last(last).await;
        // Members are still signed in, and the processes that started first are connected to the last one.
        let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        let booked = guest.book(wanted).await.unwrap();
        assert_eq!(booked.status(), ReservationStatus::Confirmed, "{last}");
        world.quiet().await;
    }
    assert_eq!(guest.my_page().await.unwrap().len(), 4);
    world.check().await;
}
