//! Faults: an unreliable bus, an unreadable event, a lost response, a full disk.

use std::sync::Arc;

use berth::{
    eventlog::v1::{
        ListDeadLettersRequest, RedriveDeadLettersRequest,
        event_log_service_client::EventLogServiceClient,
    },
    offer::v1::Approval,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        RequestReservationRequest, Reservation, ReservationStatus,
    },
};
use chassis::{StoreError, args, runtime::supervisor::Failed};
use chassis_testing::unreliable_bus::{FaultRates, UnreliableBus};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, eventually, nights},
};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

stories::stories! { one, mesh: [
    a_bus_that_loses_repeats_and_reorders_events_changes_nothing,
    a_restart_with_an_unreliable_bus_changes_nothing,
    a_relay_that_fails_before_or_after_it_publishes_loses_and_repeats_nothing,
    an_unreadable_event_parks_only_its_own_reservation,
    a_repeated_command_whose_first_response_was_lost_has_one_effect,
] }

pub(crate) async fn cancel(guest: &Person, id: &str) -> Result<(), Status> {
    let request = CancelReservationRequest {
        reservation_id: id.to_owned(),
        ..Default::default()
    };
    let mut reservations = guest.reservations();
    reservations.cancel_reservation(request).await.map(|_| ())
}

async fn pay(guest: &Person, id: &str) -> Result<Reservation, Status> {
    let request = PayReservationRequest {
        reservation_id: id.to_owned(),
    };
    let paid = guest.reservations().pay_reservation(request).await?;
    Ok(paid.into_inner().reservation.unwrap_or_default())
}

async fn approve(host: &Person, id: &str) -> Result<(), Status> {
    let request = ApproveReservationRequest {
        reservation_id: id.to_owned(),
    };
    let mut reservations = host.reservations();
    reservations.approve_reservation(request).await.map(|_| ())
}

/// The moments of a busy day at which a story injects a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Everything is booked.
    Booked,
    /// A reservation has just been cancelled, and one approved.
    Decided,
}

/// A fixed sequence of bookings, cancellations and approvals. Returns the resulting state as text.
pub(crate) async fn a_busy_day(
    world: &mut World,
    meanwhile: impl AsyncFn(&mut World, Moment),
) -> String {
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 5).await;
    let asks = world
        .room(&host, |room| room.set_approval(Approval::Host))
        .await;
    let mut ids = Vec::new();
    let methods = [
        "tok_approved",
        "tok_declined",
        "tok_timeout_after",
        "tok_timeout_before",
        "tok_refund_fails_twice",
    ];
    for method in methods {
        let mut wanted = guest.wants(world.id(), &room, nights("2027-03-02", "2027-03-04"));
        wanted.payment_method = method.into();
        ids.push(wanted.reservation_id.clone());
        let _declined = guest.request(wanted).await;
        world.quiet().await;
    }
    let period = nights("2027-04-01", "2027-04-02");
    for _ in 0..2 {
        let wanted = guest.wants(world.id(), &asks, period);
        ids.push(wanted.reservation_id.clone());
        let _sold_out = guest.request(wanted).await;
    }
    world.advance_minutes(1).await;
    meanwhile(world, Moment::Booked).await;
    cancel(&guest, &ids[4]).await.unwrap();
    approve(&host, &ids[5]).await.unwrap();
    meanwhile(world, Moment::Decided).await;
    world.quiet().await;
    for _ in 0..5 {
        world.advance_minutes(2).await;
    }
    world.advance_hours(72).await;
    let mut left = Vec::new();
    for id in &ids {
        left.push(format!("{:#?}", guest.reservation(id).await.ok()));
        left.push(format!("{:#?}", guest.payment(id).await.ok()));
    }
    let mut inbox = guest.inbox().await.unwrap();
    for message in &mut inbox {
        // The first part of an id is the time of its event, which may differ.
        message.message_id = message.message_id.split_off(19);
    }
    inbox.sort_by(|a, b| a.message_id.cmp(&b.message_id));
    let mut page = guest.my_page().await.unwrap();
    page.sort_by(|a, b| a.reservation_id.cmp(&b.reservation_id));
    left.push(format!("{inbox:#?}\n{page:#?}"));
    // Times and versions may differ, because delayed work is done later or retried.
    let lines = left.iter().flat_map(|text| text.lines());
    let timeless = lines.filter(|line| {
        let line = line.trim_start();
        !line.starts_with("seconds:") && !line.starts_with("version:")
    });
    timeless.collect::<Vec<_>>().join("\n")
}

/// The state after a busy day without faults.
pub(crate) async fn after_a_day_without_faults(mode: Mode) -> String {
    let mut world = World::start(mode).await;
    let left = a_busy_day(&mut world, async |_, _| ()).await;
    world.check().await;
    left
}

/// Scenario: S17.
async fn a_bus_that_loses_repeats_and_reorders_events_changes_nothing(mode: Mode) {
    let expected = after_a_day_without_faults(mode).await;
    for (seed, lost, repeated) in [(1, 0, 1000), (2, 497, 300), (3, 141, 800), (4, 1000, 0)] {
        let fault_rates = FaultRates {
            lost,
            repeated,
            shuffled: true,
        };
        let bus = UnreliableBus::new(seed, fault_rates);
        let mut world = World::on_bus(mode, Arc::new(bus.clone())).await;
        let left = a_busy_day(&mut world, async |_, _| bus.forget()).await;
        assert_same_state(&left, &expected, seed);
        world.check().await;
    }
}

/// Scenario: S17.
async fn a_restart_with_an_unreliable_bus_changes_nothing(mode: Mode) {
    let expected = after_a_day_without_faults(mode).await;
    let fault_rates = FaultRates {
        lost: 300,
        repeated: 300,
        shuffled: true,
    };
    let bus = UnreliableBus::new(5, fault_rates);
    let mut world = World::on_bus(mode, Arc::new(bus.clone())).await;
    let restart = async |world: &mut World, _: Moment| {
        bus.forget();
        world.crash_and_restart().await;
    };
    let left = a_busy_day(&mut world, restart).await;
    assert_same_state(&left, &expected, 5);
    world.check().await;
}

/// Compares line by line, so that a failure shows the first difference.
#[track_caller]
pub(crate) fn assert_same_state(left: &str, expected: &str, seed: u64) {
    for (left, expected) in left.lines().zip(expected.lines()) {
        assert_eq!(left, expected, "seed {seed}");
    }
    assert_eq!(
        left.lines().count(),
        expected.lines().count(),
        "seed {seed}"
    );
}

/// Scenario: S18.
async fn a_relay_that_fails_before_or_after_it_publishes_loses_and_repeats_nothing(mode: Mode) {
    let expected = after_a_day_without_faults(mode).await;
    for point in ["relay.publish", "relay.published"] {
        // First a few times, then until the restart; on the bus of one process and on one that carries events.
        let fault_rates = FaultRates {
            lost: 0,
            repeated: 0,
            shuffled: false,
        };
        for carries in [false, true] {
            let mut world = if carries {
                World::on_bus(mode, Arc::new(UnreliableBus::new(6, fault_rates))).await
            } else {
                World::start(mode).await
            };
            world.faults.arm(point, 5);
            let fault = async |world: &mut World, moment: Moment| match moment {
                Moment::Booked => world.faults.arm(point, u32::MAX),
                Moment::Decided => {
                    world.crash_and_restart().await;
                    world.faults.disarm(point);
                }
            };
            let left = a_busy_day(&mut world, fault).await;
            assert_same_state(&left, &expected, 6);
            world.check().await;
        }
    }
}

/// Replaces the payload of an event in a log or among the dead letters.
async fn rewrite(world: &World, context: &str, table: &'static str, id: &str, payload: Vec<u8>) {
    let id = id.to_owned();
    let done: Result<u64, StoreError> = world
        .store(context)
        .transact(move |unit| {
            let sql = format!("UPDATE {table} SET payload = $1 WHERE id = $2");
            let args = args![payload.clone(), id.as_str()];
            Box::pin(async move { unit.conn().execute(&sql, args).await })
        })
        .await;
    assert_eq!(done, Ok(1));
}

fn admin_port(world: &World, context: &str) -> EventLogServiceClient<Channel> {
    let address = format!("http://{}", world.admin_port(context));
    EventLogServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy())
}

fn by<T>(admin: &Person, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token: MetadataValue<_> = format!("Bearer {}", admin.token()).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

/// Scenario: S20.
async fn an_unreadable_event_parks_only_its_own_reservation(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    world.quiet().await;
    let readers = ["message", "room", "view"];
    for context in readers {
        world.down(context);
    }
    if mode == Mode::Mesh {
        // The broker must not carry the event before its payload is replaced.
        world.broker().shut();
    }
    let ids: Vec<String> = (0..6).map(|_| world.id()).collect();
    for id in &ids {
        let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
        guest.book(wanted).await.unwrap();
    }
    // One confirmation gets a payload that cannot be decoded.
    let confirmed = async || {
        let mut log = world.log("reservation").await.into_iter();
        log.find(|event| {
            event.subject == ids[2] && event.event_type.ends_with(".ReservationConfirmed")
        })
    };
    eventually(async || confirmed().await.is_some()).await;
    let poisoned = confirmed().await.unwrap();
    rewrite(&world, "reservation", "log", &poisoned.id, vec![0xff; 9]).await;
    if mode == Mode::Mesh {
        world.broker().open();
    }
    for context in readers {
        world.up(context).await;
    }
    cancel(&guest, &ids[2]).await.unwrap();
    for _ in 0..15 {
        world.advance_minutes(1).await;
    }
    let mut admin = world.admin().await;
    for context in readers {
        let request = ListDeadLettersRequest {
            context: context.into(),
            ..Default::default()
        };
        let letters = admin_port(&world, context)
            .list_dead_letters(by(&admin, request))
            .await;
        let letters = letters.unwrap().into_inner().dead_letters;
        assert!(letters[0].parked, "{letters:#?}");
        assert_eq!(letters[0].attempts, 8);
        let subjects = letters
            .iter()
            .filter_map(|letter| letter.event.as_ref())
            .map(|event| event.subject.as_str());
        assert!(subjects.into_iter().all(|subject| subject == ids[2]));
        assert!(
            letters.len() > 1,
            "later events of the same reservation wait behind it"
        );
    }
    // The events of the other reservations were all consumed.
    let inbox = guest.inbox().await.unwrap();
    for (n, id) in ids.iter().enumerate() {
        let of = inbox.iter().filter(|message| message.reservation_id == *id);
        assert_eq!(of.count(), if n == 2 { 1 } else { 2 }, "reservation {n}");
    }
    // After the repair and a redrive the state is complete.
    let payload = poisoned.data.to_vec();
    rewrite(&world, "reservation", "log", &poisoned.id, payload.clone()).await;
    for context in readers {
        rewrite(
            &world,
            context,
            "dead_letter",
            &poisoned.id,
            payload.clone(),
        )
        .await;
        let request = RedriveDeadLettersRequest {
            context: context.into(),
            subject: ids[2].clone(),
        };
        admin = world.admin().await;
        let redriven = admin_port(&world, context)
            .redrive_dead_letters(by(&admin, request))
            .await;
        assert!(redriven.unwrap().into_inner().redriven > 1);
    }
    world.advance_minutes(1).await;
    world.check().await;
}

/// Repeats a call until it has a response; each of the first three attempts loses the acknowledgement of a commit.
async fn until_answered<T>(world: &World, call: impl AsyncFn() -> Result<T, Status>) -> (T, usize) {
    for tries in 1..50 {
        if tries <= 3 {
            world.faults.arm("store.answer", 1);
        }
        match call().await {
            Ok(answer) => {
                world.faults.disarm("store.answer");
                return (answer, tries);
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let again = status.get_details_retry_info();
                assert!(again.is_some_and(|again| again.retry_delay.is_some()));
            }
        }
        world.faults.disarm("store.answer");
        world.quiet().await;
    }
    panic!("the call was never answered");
}

/// Scenario: S23.
async fn a_repeated_command_whose_first_response_was_lost_has_one_effect(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let at_once = world.room(&host, |room| room.units = 9).await;
    let asks = world
        .room(&host, |room| {
            room.units = 9;
            room.set_approval(Approval::Host);
        })
        .await;
    let mut lost = 0;
    for round in 0..3 {
        for room in [&at_once, &asks] {
            let wanted = guest.wants(world.id(), room, nights("2027-04-01", "2027-04-02"));
            let id = wanted.reservation_id.clone();
            let request = async || guest.request(wanted.clone()).await;
            lost += until_answered(&world, request).await.1 - 1;
            if room.room_id == asks.room_id {
                lost += until_answered(&world, async || approve(&host, &id).await)
                    .await
                    .1
                    - 1;
            }
            for _ in 0..5 {
                world.advance_minutes(1).await;
            }
            let found = guest.reservation(&id).await.unwrap();
            assert_eq!(found.status(), ReservationStatus::Confirmed);
            if round == 1 {
                lost += until_answered(&world, async || cancel(&guest, &id).await)
                    .await
                    .1
                    - 1;
            }
        }
    }
    assert!(lost >= 8, "only {lost} acknowledgements were lost");
    world.advance_minutes(20).await;
    world.check().await;
}

/// Limits the size of the database of a context. Returns its present size. Both in pages.
async fn disk(world: &World, context: &str, pages: Option<i64>) -> i64 {
    let set: Result<i64, StoreError> = world
        .store(context)
        .transact(move |unit| {
            Box::pin(async move {
                let conn = unit.conn();
                let size = conn.query("PRAGMA page_count", vec![]).await?[0].int(0)?;
                let most = pages.unwrap_or(size);
                let set = format!("PRAGMA max_page_count = {most}");
                conn.query(&set, vec![]).await?;
                Ok(size)
            })
        })
        .await;
    set.unwrap()
}

/// For SQLite only: a production database is unavailable when its disk is full (`cut`, S25).
///
/// Scenario: S25.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mode = Mode::One;
    for context in ["reservation", "payment", "message", "room", "view"] {
        let world = World::with_flags(mode, &["--max-reservation-per-person", "1000"]).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |room| room.units = 400).await;
        world.quiet().await;
        let full = disk(&world, context, None).await;
        let mut acknowledged = Vec::new();
        let mut unanswered: Vec<RequestReservationRequest> = Vec::new();
        // A few requests succeed as long as the allocated pages have room.
        while acknowledged.len() < 70 && unanswered.len() < 5 {
            let mut wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
            wanted.payment_method = "tok_approved".into();
            match guest.request(wanted.clone()).await {
                Ok(answer) => acknowledged.push(answer.reservation.unwrap()),
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{context}: {status:?}");
                    let again = status.get_details_retry_info();
                    assert!(again.is_some_and(|again| again.retry_delay.is_some()));
                    unanswered.push(wanted);
                }
            }
        }
        assert!(!acknowledged.is_empty() || context == "reservation");
        assert_eq!(
            unanswered.is_empty(),
            context != "reservation",
            "{context} full: bookings are refused by reservation only"
        );
        let was_full = match context {
            "reservation" => unanswered.len() == 5,
            "payment" => acknowledged
                .iter()
                .any(|booked| booked.status() == ReservationStatus::Requested),
            _ => {
                world.quiet_without(context).await;
                world.is_busy(context).await
            }
        };
        assert!(was_full, "{context} was never full");

        disk(&world, context, Some(full + 100_000)).await;
        for wanted in unanswered {
            guest.request(wanted).await.unwrap();
        }
        world.advance_minutes(1).await;
        for before in acknowledged {
            let id = &before.reservation_id;
            let now = guest.reservation(id).await.unwrap();
            assert_eq!(now, before, "{context}: acknowledged reservations are kept");
            let paid = pay(&guest, id).await.unwrap();
            assert_eq!(paid.status(), ReservationStatus::Confirmed);
        }
        world.check().await;
    }
}

/// For SQLite only: with PostgreSQL the connection breaks and the outcome of the commit is unknown (`cut`, S23).
///
/// Scenario: S25.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disk_sync_ends_the_process_and_a_restart_recovers() {
    let mode = Mode::One;
    let mut world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    world.quiet().await;
    let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    world.faults.arm("store.sync", 1);
    let lost = guest.request(wanted.clone()).await.unwrap_err();
    assert_eq!(lost.code(), Code::Unavailable);
    assert_eq!(
        world.ended("reservation").await,
        Err(Failed::Store("reservation"))
    );
    world.crash_and_restart().await;
    let booked = guest.book(wanted).await.unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    world.check().await;
}
