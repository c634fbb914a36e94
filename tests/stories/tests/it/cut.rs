//! Cut off: what a context lives on in production is not reached, its database or the broker. That it is there again heals
//! everything, and nothing that was answered is lost.

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

use crate::faults::{Moment, a_busy_day, after_a_good_day, cancel, similar_asserts};

stories::told! { mesh: [
    s22_without_a_broker_everything_works,
    s22_a_broker_that_goes_and_comes_changes_nothing,
    s23_connections_that_break_while_everybody_books_lose_and_repeat_nothing,
    s25_a_context_without_its_database_refuses_and_loses_nothing_that_was_acknowledged,
] }

async fn s22_without_a_broker_everything_works(mode: Mode) {
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
    let given_up = guest.reservation(&id).await.unwrap();
    assert_eq!(given_up.status(), ReservationStatus::Cancelled);
    assert_eq!(guest.inbox().await.unwrap().len(), 4);
    assert_eq!(guest.my_page().await.unwrap().len(), 1);
    world.check().await;
}

async fn s22_a_broker_that_goes_and_comes_changes_nothing(mode: Mode) {
    let good = after_a_good_day(Mode::One).await;
    let mut world = World::start(mode).await;
    let meanwhile = async |world: &mut World, moment: Moment| match moment {
        Moment::Booked => world.broker().shut(),
        Moment::Decided => world.broker().open(),
    };
    let left = a_busy_day(&mut world, meanwhile).await;
    similar_asserts(&left, &good, 0);
    world.check().await;
}

fn is_asked_to_come_back(status: &Status) -> bool {
    let again = status.get_details_retry_info();
    status.code() == Code::Unavailable && again.is_some_and(|again| again.retry_delay.is_some())
}

/// Asks until it is answered, as a client would that has no answer; says how often it had to.
async fn asked_again(guest: &Person, wanted: &RequestReservationRequest) -> usize {
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

async fn s23_connections_that_break_while_everybody_books_lose_and_repeat_nothing(mode: Mode) {
    let world = World::with_flags(mode, &["--max-reservation-per-person", "1000"]).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 90).await;
    world.quiet().await;
    let books = (0..60).map(|_| {
        let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
        let guest = guest.clone();
        async move { asked_again(&guest, &wanted).await }
    });
    let mut books: FuturesUnordered<_> = books.collect();
    let mut answered = 0;
    let break_all = || {
        for context in ["reservation", "payment", "room", "message"] {
            // Every open connection is cut off, whatever it does at that moment.
            world.database(context).shut();
            world.database(context).open();
        }
    };
    break_all();
    while books.next().await.is_some() {
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

async fn s25_a_context_without_its_database_refuses_and_loses_nothing_that_was_acknowledged(
    mode: Mode,
) {
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
            ("reservation", Err(status)) => assert!(is_asked_to_come_back(&status), "{status:?}"),
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
            "{context}: what was acknowledged is there"
        );
        guest.book(wanted).await.unwrap();
        world.advance_minutes(20).await;
        assert_eq!(guest.my_page().await.unwrap().len(), 2, "{context}");
        world.check().await;
    }
}
