//! Outages of the database or the broker of a context. When the server is back everything completes, and nothing that was
//! acknowledged is lost.

use std::time::Duration;

use berth::reservation::v1::{RequestReservationRequest, ReservationStatus};
use futures::{StreamExt, stream::FuturesUnordered};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, nights},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::busy_day::{Moment, a_busy_day, after_a_day_without_faults, assert_same_state, cancel};

stories::stories! { mesh: [
    everything_works_without_a_broker,
    an_outage_of_the_broker_changes_nothing,
    broken_database_connections_lose_and_repeat_no_booking,
    a_context_without_its_database_loses_nothing_that_was_acknowledged,
] }

/// Scenario: S22.
async fn everything_works_without_a_broker(mode: Mode) {
    let world = World::without_broker(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    let id = world.id();
    let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
    let booked = guest.book(wanted).await.unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    world.quiet().await;
    assert_eq!(guest.inbox().await.unwrap().len(), 2);
    cancel(&guest, &id).await.unwrap();
    world.quiet().await;
    let cancelled = guest.reservation(&id).await.unwrap();
    assert_eq!(cancelled.status(), ReservationStatus::Cancelled);
    assert_eq!(guest.inbox().await.unwrap().len(), 4);
    assert_eq!(guest.my_page().await.unwrap().len(), 1);
    world.check().await;
}

/// Scenario: S22.
async fn an_outage_of_the_broker_changes_nothing(mode: Mode) {
    let expected = after_a_day_without_faults(Mode::One).await;
    let mut world = World::start(mode).await;
    let meanwhile = async |world: &mut World, moment: Moment| match moment {
        Moment::Booked => world.broker().shut(),
        Moment::Decided => world.broker().open(),
    };
    let left = a_busy_day(&mut world, meanwhile).await;
    assert_same_state(&left, &expected, 0);
    world.check().await;
}

fn has_retry_delay(status: &Status) -> bool {
    let again = status.get_details_retry_info();
    status.code() == Code::Unavailable && again.is_some_and(|again| again.retry_delay.is_some())
}

/// Repeats a request until it has a response. Returns the number of attempts.
async fn repeat_until_answered(guest: &Person, wanted: &RequestReservationRequest) -> usize {
    let mut pause = tokio::time::interval(Duration::from_millis(1));
    for tries in 1..100_000 {
        match guest.request(wanted.clone()).await {
            Ok(_) => return tries,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        pause.tick().await;
    }
    panic!("the request was never answered");
}

/// Scenario: S23.
async fn broken_database_connections_lose_and_repeat_no_booking(mode: Mode) {
    let world = World::with_flags(mode, &["--max-reservation-per-person", "1000"]).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 90).await;
    world.quiet().await;
    let bookings = (0..60).map(|_| {
        let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        let guest = guest.clone();
        async move { repeat_until_answered(&guest, &wanted).await }
    });
    let mut bookings: FuturesUnordered<_> = bookings.collect();
    let mut answered = 0;
    let break_all = || {
        for context in ["reservation", "payment", "room", "message"] {
            // Every open connection is cut off, whatever it does at that moment.
            world.database(context).shut();
            world.database(context).open();
        }
    };
    break_all();
    while bookings.next().await.is_some() {
        answered += 1;
        if answered % 2 == 0 {
            break_all();
        }
    }
    assert_eq!(answered, 60);
    // A reservation whose charge was interrupted is charged by the retry of its job.
    for _ in 0..5 {
        world.advance_minutes(1).await;
    }
    let page = guest.my_page().await.unwrap();
    assert_eq!(page.len(), 60);
    world.advance_minutes(20).await;
    world.check().await;
}

/// Scenario: S25.
async fn a_context_without_its_database_loses_nothing_that_was_acknowledged(mode: Mode) {
    for context in ["reservation", "payment", "message", "view"] {
        let world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |room| room.units = 9).await;
        let wants = || guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        let before = guest.book(wants()).await.unwrap();
        world.quiet().await;
        let before = guest.reservation(&before.reservation_id).await.unwrap();

        world.database(context).shut();
        let wanted = wants();
        match (context, guest.book(wanted.clone()).await) {
            ("reservation", Err(status)) => assert!(has_retry_delay(&status), "{status:?}"),
            ("payment", Ok(held)) => assert_eq!(held.status(), ReservationStatus::Requested),
            (_, Ok(booked)) => {
                assert_eq!(booked.status(), ReservationStatus::Confirmed, "{context}");
            }
            (_, Err(status)) => panic!("without the database of {context}: {status:?}"),
        }
        world.database(context).open();
        world.up(context).await;
        world.quiet().await;
        assert_eq!(
            guest.reservation(&before.reservation_id).await.unwrap(),
            before,
            "{context}: acknowledged reservations are kept"
        );
        guest.book(wanted).await.unwrap();
        world.advance_minutes(20).await;
        assert_eq!(guest.my_page().await.unwrap().len(), 2, "{context}");
        world.check().await;
    }
}
