//! Twins: two replicas of every context behind a balancer. One of them leads. Every effect happens once, also when
//! replicas crash.

use std::time::Duration;

use berth::reservation::v1::{RequestReservationRequest, Reservation, ReservationStatus};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, eventually, nights},
};
use tonic::{Code, Status};

use crate::{
    accommodation::{
        a_customer_reserves_a_room_and_pays_at_the_same_time,
        a_room_view_and_my_page_show_everything_on_one_screen,
    },
    availability::one_port_serves_every_service_of_the_platform,
    busy_day::{Moment, a_busy_day, after_a_day_without_faults, assert_same_state, cancel},
    races::{
        concurrent_payment_cancellation_and_lapse_keep_the_invariants,
        of_a_thousand_requests_for_seven_rooms_seven_succeed,
        ten_concurrent_requests_with_one_id_make_one_booking,
    },
};

stories::stories! { twins: [
    a_customer_reserves_a_room_and_pays_at_the_same_time,
    a_room_view_and_my_page_show_everything_on_one_screen,
    one_port_serves_every_service_of_the_platform,
    of_a_thousand_requests_for_seven_rooms_seven_succeed,
    concurrent_payment_cancellation_and_lapse_keep_the_invariants,
    ten_concurrent_requests_with_one_id_make_one_booking,
    one_of_two_replicas_leads_and_the_other_takes_over,
    a_crash_of_the_leaders_during_work_changes_nothing,
    restarts_of_replicas_lose_and_repeat_nothing,
] }

/// Every context of the platform.
const CONTEXTS: [&str; 6] = [
    "member",
    "message",
    "payment",
    "reservation",
    "room",
    "view",
];

/// Requirement: A-C24.
async fn one_of_two_replicas_leads_and_the_other_takes_over(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 24).await;
    world.quiet().await;
    for _ in 0..2 {
        for context in CONTEXTS {
            eventually(async || world.leaders(context) == 1).await;
            world.crash_leader(context).await;
            // The other replica serves requests, and publishes its events when it leads.
            let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let booked = repeat_until_decided(&guest, &wanted).await;
            assert_eq!(booked.status(), ReservationStatus::Confirmed, "{context}");
            eventually(async || world.leaders(context) == 1).await;
            // The restarted replica follows.
            world.restart_of(context).await;
            eventually(async || world.leaders(context) == 1).await;
        }
        world.advance_hours(1).await;
        for booked in guest.my_page().await.unwrap() {
            cancel(&guest, &booked.reservation_id).await.ok();
        }
    }
    world.advance_minutes(1).await;
    assert_eq!(guest.my_page().await.unwrap().len(), 12);
    world.check().await;
}

/// Repeats a request until it has a response with a decision.
async fn repeat_until_decided(guest: &Person, wanted: &RequestReservationRequest) -> Reservation {
    let mut tries = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..10_000 {
        match guest.book(wanted.clone()).await {
            Ok(booked) if booked.status() != ReservationStatus::Requested => return booked,
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        tries.tick().await;
    }
    panic!("the request was never answered");
}

/// Requirement: A-C24.
async fn a_crash_of_the_leaders_during_work_changes_nothing(mode: Mode) {
    let expected = after_a_day_without_faults(Mode::One).await;
    let mut world = World::start(mode).await;
    let crash = async |world: &mut World, moment: Moment| {
        if moment == Moment::Decided {
            // The crashed replicas restart as followers; the new leaders crash next.
            world.restart().await;
        }
        for context in CONTEXTS {
            eventually(async || world.leaders(context) == 1).await;
            world.crash_leader(context).await;
        }
        world.recover().await;
    };
    let left = a_busy_day(&mut world, crash).await;
    assert_same_state(&left, &expected, 0);
    world.restart().await;
    world.check().await;
}

/// Requirement: A-C24.
async fn restarts_of_replicas_lose_and_repeat_nothing(mode: Mode) {
    let mut world = World::with_flags(mode, &["--max-reservation-per-person", "1000"]).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 200).await;
    world.quiet().await;
    let period = nights("2027-04-01", "2027-04-02");
    let wanted: Vec<_> = (0..120)
        .map(|_| guest.wants(world.id(), &room, period))
        .collect();
    // A customer books continuously, and repeats a request with the same id when it has no response.
    let bookings = tokio::spawn(async move {
        for wanted in &wanted {
            repeat_until_decided(&guest, wanted).await;
        }
        Ok::<_, Status>(guest)
    });
    for context in CONTEXTS.into_iter().cycle() {
        if bookings.is_finished() {
            break;
        }
        eventually(async || world.leaders(context) == 1).await;
        world.crash_leader(context).await;
        world.restart_of(context).await;
    }
    let guest = bookings.await.unwrap().unwrap();
    world.advance_minutes(20).await;
    let mut events = 0;
    for context in CONTEXTS {
        eventually(async || world.leaders(context) == 1).await;
        events += world.log(context).await.len();
    }
    assert!(events > 240, "{events}");
    assert_eq!(
        guest.my_page().await.unwrap().len(),
        100,
        "as many as fit on a page"
    );
    world.check().await;
}
