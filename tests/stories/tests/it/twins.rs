//! Twins: two replicas of every context behind a balancer. One of them leads; whichever that is, and whoever dies, what
//! happens happens once.

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
        a_f2_a_f3_a_customer_reserves_a_room_and_pays_at_the_same_time,
        a_f8_a_n4_a_i2_b_2_everything_is_on_one_screen,
    },
    availability::b_3_one_port_carries_every_service_of_the_platform,
    faults::{Moment, a_busy_day, after_a_good_day, cancel, similar_asserts},
    races::{
        s1_of_a_thousand_requests_for_seven_rooms_seven_win, s3_every_two_of_pay_cancel_and_lapse,
        s5_the_same_request_ten_times_is_one_booking,
    },
};

stories::told! { twins: [
    a_f2_a_f3_a_customer_reserves_a_room_and_pays_at_the_same_time,
    a_f8_a_n4_a_i2_b_2_everything_is_on_one_screen,
    b_3_one_port_carries_every_service_of_the_platform,
    s1_of_a_thousand_requests_for_seven_rooms_seven_win,
    s3_every_two_of_pay_cancel_and_lapse,
    s5_the_same_request_ten_times_is_one_booking,
    a_c24_one_of_two_replicas_leads_and_the_other_follows_it,
    a_c24_a_leader_that_dies_in_the_middle_of_a_busy_day_changes_nothing,
    a_c24_replicas_that_come_and_go_lose_and_repeat_nothing,
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

async fn a_c24_one_of_two_replicas_leads_and_the_other_follows_it(mode: Mode) {
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 24).await;
    world.quiet().await;
    for _ in 0..2 {
        for context in CONTEXTS {
            eventually(async || world.leaders(context) == 1).await;
            world.crash_leader(context).await;
            // The other one answers meanwhile, and what it does is told when it leads.
            let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            let booked = asked_again(&guest, &wanted).await;
            assert_eq!(booked.status(), ReservationStatus::Confirmed, "{context}");
            eventually(async || world.leaders(context) == 1).await;
            // Who comes back follows.
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

/// Asks until somebody answers who does not die meanwhile.
async fn asked_again(guest: &Person, wanted: &RequestReservationRequest) -> Reservation {
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

async fn a_c24_a_leader_that_dies_in_the_middle_of_a_busy_day_changes_nothing(mode: Mode) {
    let good = after_a_good_day(Mode::One).await;
    let mut world = World::start(mode).await;
    let dies = async |world: &mut World, moment: Moment| {
        if moment == Moment::Decided {
            // Those who died come back, as followers of those who took over and die now.
            world.restart().await;
        }
        for context in CONTEXTS {
            eventually(async || world.leaders(context) == 1).await;
            world.crash_leader(context).await;
        }
        world.recover().await;
    };
    let left = a_busy_day(&mut world, dies).await;
    similar_asserts(&left, &good, 0);
    world.restart().await;
    world.check().await;
}

async fn a_c24_replicas_that_come_and_go_lose_and_repeat_nothing(mode: Mode) {
    let mut world = World::with_flags(mode, &["--max-reservation-per-person", "1000"]).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 200).await;
    world.quiet().await;
    let period = nights("2027-04-01", "2027-04-02");
    let wanted: Vec<_> = (0..120)
        .map(|_| guest.wants(world.id(), &room, period))
        .collect();
    // Somebody books all the time, and asks again with the same id whenever nobody answers.
    let books = tokio::spawn(async move {
        for wanted in &wanted {
            asked_again(&guest, wanted).await;
        }
        Ok::<_, Status>(guest)
    });
    for context in CONTEXTS.into_iter().cycle() {
        if books.is_finished() {
            break;
        }
        eventually(async || world.leaders(context) == 1).await;
        world.crash_leader(context).await;
        world.restart_of(context).await;
    }
    let guest = books.await.unwrap().unwrap();
    world.advance_minutes(20).await;
    let mut told = 0;
    for context in CONTEXTS {
        eventually(async || world.leaders(context) == 1).await;
        told += world.log(context).await.len();
    }
    assert!(told > 240, "{told}");
    assert_eq!(
        guest.my_page().await.unwrap().len(),
        100,
        "as many as fit on a page"
    );
    world.check().await;
}
