//! Faults of events and responses: an unreliable bus, an unreadable event, a lost response.

use std::sync::Arc;

use berth::{
    eventlog::v1::{
        ListDeadLettersRequest, RedriveDeadLettersRequest,
        event_log_service_client::EventLogServiceClient,
    },
    offer::v1::Approval,
    reservation::v1::ReservationStatus,
};
use chassis::{domain::consumer_name::ConsumerName, messaging::dead_letters::MAX_ATTEMPTS};
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

use crate::busy_day::{
    Moment, a_busy_day, after_a_day_without_faults, approve, assert_same_state, cancel,
};

stories::stories! { one, mesh: [
    a_bus_that_loses_repeats_and_reorders_events_changes_nothing,
    a_restart_with_an_unreliable_bus_changes_nothing,
    a_relay_that_fails_before_or_after_it_publishes_loses_and_repeats_nothing,
    an_event_that_cannot_be_applied_parks_only_its_own_reservation,
    a_repeated_command_whose_first_response_was_lost_has_one_effect,
] }

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
async fn an_event_that_cannot_be_applied_parks_only_its_own_reservation(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 9).await;
    world.quiet().await;
    let readers = ["message", "room", "view"];
    for context in readers {
        world.down(context);
    }
    let ids: Vec<String> = (0..6).map(|_| world.id()).collect();
    for id in &ids {
        let wanted = guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02"));
        guest.book(wanted).await.unwrap();
    }
    // No reader can apply one confirmation, as if each had the same bug.
    let confirmed = async || {
        let mut log = world.log("reservation").await.into_iter();
        log.find(|event| {
            event.subject == ids[2] && event.event_type.ends_with(".ReservationConfirmed")
        })
    };
    eventually(async || confirmed().await.is_some()).await;
    let event = confirmed().await.unwrap().id;
    let bugs = |context: &str| {
        [
            ConsumerName::of_policies(context),
            ConsumerName::of_views(context),
        ]
        .map(|consumer| format!("event.{consumer}.{event}"))
    };
    for context in readers {
        for bug in bugs(context) {
            world.faults.arm(bug, u32::MAX);
        }
        world.up(context).await;
    }
    cancel(&guest, &ids[2]).await.unwrap();
    for _ in 0..=MAX_ATTEMPTS {
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
        assert_eq!(i64::from(letters[0].attempts), MAX_ATTEMPTS);
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
    // After the bug is mended and a redrive the state is complete.
    for context in readers {
        for bug in bugs(context) {
            world.faults.disarm(&bug);
        }
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
