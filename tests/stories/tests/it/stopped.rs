//! Stopped: a process of the mesh is gone, with everything it answers. In one process that would be the end of the story;
//! what a context's silence does there, S28 tells.

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

stories::told! { mesh: [
    s28_what_works_while_the_process_of_a_context_is_gone,
    a_c23_whoever_was_gone_hears_what_it_missed_and_nothing_twice,
    s29_processes_start_in_any_order,
] }

/// What a guest finds while a process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finds {
    /// Whether a room is found by searching.
    search: bool,
    /// What a request for it becomes at once; nothing if nobody takes it.
    request: Option<ReservationStatus>,
    /// What paying for a hold says.
    pay: Code,
    /// What a booking that is given up becomes by and by; nothing if nobody tells.
    cancel: Option<ReservationStatus>,
    /// Whether the guest is told of things.
    inbox: bool,
    /// Whether the page of the guest shows the new booking.
    page: bool,
}

const EVERYTHING: Finds = Finds {
    search: true,
    request: Some(ReservationStatus::Confirmed),
    pay: Code::Ok,
    cancel: Some(ReservationStatus::Cancelled),
    inbox: true,
    page: true,
};

/// What works without each: its own rpcs are gone, and for everybody else it is as if it were only slow to hear.
const TABLE: [(&str, Finds); 6] = [
    ("member", EVERYTHING),
    (
        "message",
        Finds {
            inbox: false,
            ..EVERYTHING
        },
    ),
    ("room", EVERYTHING),
    (
        "view",
        Finds {
            search: false,
            page: false,
            ..EVERYTHING
        },
    ),
    (
        "payment",
        Finds {
            request: Some(ReservationStatus::Requested),
            pay: Code::Unavailable,
            cancel: Some(ReservationStatus::CancelRequested),
            ..EVERYTHING
        },
    ),
    (
        "reservation",
        Finds {
            request: None,
            pay: Code::Unavailable,
            cancel: None,
            page: false,
            ..EVERYTHING
        },
    ),
];

/// An answer, or nothing if nobody is there to give it.
#[track_caller]
fn if_there<T>(answered: Result<T, Status>) -> Option<T> {
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

async fn s28_what_works_while_the_process_of_a_context_is_gone(mode: Mode) {
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
        let listed = if_there(guest.views().list_room_views(search).await);
        let wanted = guest.wants(new.clone(), &room, period);
        let requested = if_there(guest.book(wanted.clone()).await);
        let pay = PayReservationRequest {
            reservation_id: held,
        };
        let paid = guest.reservations().pay_reservation(pay).await;
        if_there(cancel(&guest, &booked).await);
        let mut finds = Finds {
            search: listed.is_some_and(|listed| !listed.into_inner().room_views.is_empty()),
            request: requested.map(|booked| booked.status()),
            pay: paid.map_or_else(|status| status.code(), |_| Code::Ok),
            ..expected
        };
        // The rest follows asynchronously. The bound is generous, for a busy machine.
        let mut polls = tokio::time::interval(Duration::from_millis(10));
        let end = Instant::now() + Duration::from_mins(5);
        while Instant::now() < end {
            let given_up = if_there(guest.reservation(&booked).await);
            let page = if_there(guest.my_page().await).unwrap_or_default();
            finds.cancel = given_up.map(|given_up| given_up.status());
            finds.page = page.iter().any(|entry| entry.reservation_id == new);
            finds.inbox = if_there(guest.inbox().await).is_some();
            if finds == expected {
                break;
            }
            polls.tick().await;
        }
        assert_eq!(finds, expected, "without {context}");

        world.restart_of(context).await;
        // What nobody took is asked for again, and what was taken is not done twice.
        guest.book(wanted).await.unwrap();
        cancel(&guest, &booked).await.unwrap();
        world.advance_minutes(1).await;
        let given_up = guest.reservation(&booked).await.unwrap();
        assert_eq!(given_up.status(), ReservationStatus::Cancelled, "{context}");
        assert_eq!(guest.my_page().await.unwrap().len(), 3, "{context}");
        world.check().await;
    }
}

async fn a_c23_whoever_was_gone_hears_what_it_missed_and_nothing_twice(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    world.quiet().await;
    let mut told = 0;
    for _ in 0..3 {
        for context in ["message", "view"] {
            world.crash_of(context).await;
        }
        for _ in 0..2 {
            let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let booked = guest.book(wanted).await.unwrap();
            assert_eq!(booked.status(), ReservationStatus::Confirmed);
            told += 2;
        }
        for context in ["message", "view"] {
            world.restart_of(context).await;
        }
        world.quiet().await;
        assert_eq!(guest.inbox().await.unwrap().len(), told);
        assert_eq!(guest.my_page().await.unwrap().len(), told / 2);
    }
    world.check().await;
}

async fn s29_processes_start_in_any_order(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    for last in ["member", "payment", "reservation", "view"] {
        world.crash().await;
        world.restart_with_last(last).await;
        // Who was signed in is so still, and whoever was there first has found whoever came last.
        let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        let booked = guest.book(wanted).await.unwrap();
        assert_eq!(booked.status(), ReservationStatus::Confirmed, "{last}");
        world.quiet().await;
    }
    assert_eq!(guest.my_page().await.unwrap().len(), 4);
    world.check().await;
}
