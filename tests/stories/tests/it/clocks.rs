//! Clocks that are wrong, jump or run backwards, and events that arrive late.

use berth::{
    offer::v1::Approval,
    payment::v1::PaymentStatus,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, GetReservationHistoryRequest,
        PayReservationRequest, Reservation, ReservationStatus,
    },
    room::v1::{GetRoomRequest, RoomStatus},
};
use chassis::base::{time, time::SignedDuration};
use rand::{Rng, SeedableRng, rngs::StdRng};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, nights},
};
use tonic::{Code, Status};

stories::stories! { one, mesh: [
    a_hold_lapses_at_its_deadline_and_not_before_when_the_clock_jumps,
    a_token_is_valid_with_five_seconds_of_leeway,
    a_clock_that_jumps_by_five_minutes_breaks_no_invariant,
    a_hold_is_extended_while_the_outcome_of_its_payment_is_unknown,
    a_context_that_consumes_events_three_days_late_reaches_the_same_state,
] }

async fn cancel(guest: &Person, id: &str) -> Result<Reservation, Status> {
    let request = CancelReservationRequest {
        reservation_id: id.to_owned(),
        ..Default::default()
    };
    let cancelled = guest.reservations().cancel_reservation(request).await?;
    Ok(cancelled.into_inner().reservation.unwrap_or_default())
}

async fn approve(host: &Person, id: &str) -> Result<(), Status> {
    let request = ApproveReservationRequest {
        reservation_id: id.to_owned(),
    };
    let mut reservations = host.reservations();
    reservations.approve_reservation(request).await.map(|_| ())
}

async fn pay(guest: &Person, id: &str) -> Result<Reservation, Status> {
    let request = PayReservationRequest {
        reservation_id: id.to_owned(),
    };
    let paid = guest.reservations().pay_reservation(request).await?;
    Ok(paid.into_inner().reservation.unwrap_or_default())
}

/// Scenario: S27.
async fn a_hold_lapses_at_its_deadline_and_not_before_when_the_clock_jumps(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    // Payment is unavailable, so the hold lasts for 15 minutes.
    world.faults.arm("peer.payment", u32::MAX);
    let id = world.id();
    let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
    let begin = world.clock.now();
    let held = guest.book(wanted).await.unwrap();
    let until = held.hold_expire_time.as_ref().and_then(time::from_proto);
    assert_eq!(until, Some(begin + SignedDuration::from_mins(15)));
    // The times of the clock, in minutes after the beginning.
    for minute in [5, 0, -5, 10, 5, 14, -5, 9, 14] {
        world.clock.set(begin + SignedDuration::from_mins(minute));
        world.advance_minutes(0).await;
        let found = guest.reservation(&id).await.unwrap();
        assert_eq!(found.status(), ReservationStatus::Requested, "{minute}");
    }
    let micro = SignedDuration::from_micros(1);
    world
        .clock
        .set(begin + SignedDuration::from_mins(15) - micro);
    world.advance_minutes(0).await;
    let found = guest.reservation(&id).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::Requested);
    world.advance(micro).await;
    let found = guest.reservation(&id).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::Lapsed);
    // Setting the clock back does not restore the hold.
    world.clock.set(begin);
    world.advance_minutes(0).await;
    let found = guest.reservation(&id).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::Lapsed);
    world.check().await;
}

/// Scenario: S27.
async fn a_token_is_valid_with_five_seconds_of_leeway(mode: Mode) {
    let world = World::start(mode).await;
    let guest = world.customer().await;
    let begin = world.clock.now();
    // Seconds after the token was issued; it is valid for 15 minutes.
    let valid = [0, -5, 300, 899, 904, 0, -5];
    let invalid = [-6, -300, 905, 1200];
    for second in valid.into_iter().chain(invalid).chain(valid) {
        world.clock.set(begin + SignedDuration::from_secs(second));
        let code = guest
            .inbox()
            .await
            .map_or_else(|status| status.code(), |_| Code::Ok);
        let expected = if valid.contains(&second) {
            Code::Ok
        } else {
            Code::Unauthenticated
        };
        assert_eq!(code, expected, "after {second} seconds");
    }
}

/// Checks that no period ends before it begins, and that the history is in order of time.
async fn has_ordered_times(person: &Person, id: &str) {
    let found = person.reservation(id).await.unwrap();
    let at = |at: &Option<prost_types::Timestamp>| at.as_ref().and_then(time::from_proto);
    let (created, updated) = (at(&found.create_time), at(&found.update_time));
    assert!(created <= updated, "{found:?}");
    assert!(at(&found.start_time) < at(&found.end_time), "{found:?}");
    if let Some(until) = at(&found.hold_expire_time) {
        assert!(Some(until) >= created, "{found:?}");
    }
    let request = GetReservationHistoryRequest {
        reservation_id: id.to_owned(),
    };
    let history = person.reservations().get_reservation_history(request).await;
    let entries = history.unwrap().into_inner().entries;
    let times: Vec<_> = entries.iter().map(|entry| at(&entry.time)).collect();
    assert!(times.is_sorted(), "{entries:#?}");
    if let Ok(payment) = person.payment(id).await {
        assert!(at(&payment.create_time) <= at(&payment.update_time));
    }
}

/// Scenario: S27.
async fn a_clock_that_jumps_by_five_minutes_breaks_no_invariant(mode: Mode) {
    // One seed is enough for the mesh, because the story is about the clock.
    let seeds = if mode == Mode::One { 3 } else { 1 };
    for seed in 1..=seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::with_flags(mode, &["--max-reservation-per-person", "100"]).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let at_once = world.room(&host, |room| room.units = 3).await;
        let asks = world
            .room(&host, |room| {
                room.units = 3;
                room.set_approval(Approval::Host);
            })
            .await;
        let mut ids: Vec<String> = Vec::new();
        for step in 0..60 {
            let second = random.random_range(-300..=330);
            world.advance(SignedDuration::from_secs(second)).await;
            let known = |random: &mut StdRng| ids[random.random_range(0..ids.len())].clone();
            let done = match random.random_range(0..6) {
                0..3 => {
                    let room = if random.random() { &at_once } else { &asks };
                    let night = random.random_range(1..4);
                    let (from, to) = (
                        format!("2027-04-0{night}"),
                        format!("2027-04-0{}", night + 1),
                    );
                    let mut wanted = guest.wants(world.id(), room, nights(&from, &to));
                    let methods = [
                        "tok_approved",
                        "tok_timeout_after",
                        "tok_down_3",
                        "tok_refund_fails_2",
                    ];
                    wanted.payment_method = methods[random.random_range(0..4)].into();
                    let id = wanted.reservation_id.clone();
                    let booked = guest.request(wanted).await.map(|_| ());
                    if booked.is_ok() {
                        ids.push(id);
                    }
                    booked
                }
                3 if !ids.is_empty() => approve(&host, &known(&mut random)).await,
                4 if !ids.is_empty() => cancel(&guest, &known(&mut random)).await.map(|_| ()),
                5 if !ids.is_empty() => pay(&guest, &known(&mut random)).await.map(|_| ()),
                _ => Ok(()),
            };
            if let Err(status) = done {
                let expected =
                    matches!(status.code(), Code::FailedPrecondition | Code::Unavailable);
                assert!(expected, "seed {seed}, step {step}: {status:?}");
            }
        }
        for id in &ids {
            has_ordered_times(&guest, id).await;
        }
        assert!(ids.len() > 5, "seed {seed}: only {} were booked", ids.len());
        for _ in 0..26 {
            world.advance_hours(1).await;
        }
        world.check().await;
    }
}

/// Scenario: S11.
async fn a_hold_is_extended_while_the_outcome_of_its_payment_is_unknown(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let mut wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    wanted.payment_method = "tok_down_10".into();
    let id = wanted.reservation_id.clone();
    guest.book(wanted.clone()).await.unwrap();
    // Far longer than a hold without an attempt to pay.
    for _ in 0..8 {
        world.advance_minutes(2).await;
    }
    world.advance_minutes(10).await;
    let found = guest.reservation(&id).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::PaymentPending);
    let other = world.customer().await;
    wanted.reservation_id = world.id();
    wanted.customer_id.clone_from(&other.id);
    let refused = other.request(wanted).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it is still held");
    for _ in 0..20 {
        world.advance_minutes(10).await;
    }
    let found = guest.reservation(&id).await.unwrap();
    assert_eq!(found.status(), ReservationStatus::Confirmed);
    world.check().await;
}

/// Scenario: S10.
async fn a_context_that_consumes_events_three_days_late_reaches_the_same_state(mode: Mode) {
    for context in ["room", "payment", "message", "view"] {
        let world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |room| room.units = 4).await;
        world.quiet().await;
        let stopped = [
            format!("consumer.{context}"),
            format!("consumer.{context}.views"),
        ];
        for point in &stopped {
            world.faults.arm(point, u32::MAX);
        }
        let (over, cancelled_id, kept) = (world.id(), world.id(), world.id());
        for (id, period) in [
            (&over, nights("2027-03-02", "2027-03-03")),
            (&cancelled_id, nights("2027-03-20", "2027-03-21")),
            (&kept, nights("2027-03-20", "2027-03-21")),
        ] {
            let wanted = guest.wants(id.clone(), &room, period);
            let booked = guest.book(wanted).await.unwrap();
            assert_eq!(booked.status(), ReservationStatus::Confirmed);
        }
        let cancelled = cancel(&guest, &cancelled_id).await.unwrap();
        assert_eq!(cancelled.status(), ReservationStatus::CancelRequested);
        world.clock.turn(SignedDuration::from_hours(72));
        stories::world::eventually(async || {
            guest.sign_in_again().await.unwrap();
            let over = guest.reservation(&over).await.unwrap();
            over.status() == ReservationStatus::Completed
        })
        .await;
        for point in &stopped {
            world.faults.disarm(point);
        }
        for _ in 0..3 {
            world.advance_minutes(2).await;
        }
        let found = guest.reservation(&cancelled_id).await.unwrap();
        assert_eq!(found.status(), ReservationStatus::Cancelled, "{context}");
        let payment = guest.payment(&cancelled_id).await.unwrap();
        assert_eq!(payment.status(), PaymentStatus::Refunded, "{context}");
        let request = GetRoomRequest {
            room_id: room.room_id.clone(),
        };
        let found = guest.rooms().get_room(request).await.unwrap().into_inner();
        assert_eq!(
            found.room.unwrap().status(),
            RoomStatus::Reserved,
            "{context}"
        );
        assert_eq!(guest.my_page().await.unwrap().len(), 3, "{context}");
        world.check().await;
    }
}
