//! A command of a policy that claims what it has not read fails for ever. It must not stop its consumer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth::room::v1::RoomReserved;
use chassis::{
    Aggregate, Claims, Clock, Context, Fact, Malformed, Now, Policies, Publish, Received, Then,
    Versioned,
    base::clock::ManualClock,
    client::peers::Peers,
    messaging::{bus::Signal, in_process::InProcess, log_reader::LogReader},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
    store::{DatabaseSettings, Store, StoreOptions},
};
use chassis_testing::{noon, tape::Tape};
use serde::{Deserialize, Serialize};

use crate::{
    counter::SeatId,
    store::{Bench, Place, mark, seat, store_suite},
    tally::NotNow,
};

/// Holds a badge, or none if it was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Badge(String);

impl Aggregate for Badge {
    const KIND: &'static str = "badge";
    type Id = SeatId;
    type Command = String;
    type Event = String;
    type Refusal = NotNow;

    fn decide(_: Option<&Self>, command: &String, _: &Now) -> Result<Vec<String>, NotNow> {
        Ok(vec![command.clone()])
    }

    fn evolve(_: Option<Self>, event: &String) -> Option<Self> {
        Some(Self(event.clone()))
    }

    /// It has no `claim_ranges`, so it claims without looking.
    fn claims(&self) -> Claims {
        match &*self.0 {
            "" => Claims::none(),
            badge => Claims::none().and("badge", badge),
        }
    }
}

impl Publish for Badge {
    fn facts(_: SeatId, _: &String, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}

fn whenever_a_room_is_reserved_hold_its_badge(
    received: Received<RoomReserved>,
) -> Result<Then<Badge>, Malformed> {
    let badge = received.event.reservation_id;
    Ok(Then::on(received.subject.parse()?, badge))
}

/// The store, with a short time for retries.
async fn open(place: &Place, clock: &ManualClock) -> Store {
    let options = StoreOptions {
        clock: Clock::Manual(clock.clone()),
        ..StoreOptions::default()
    };
    match place {
        Place::File(_) => place.open(options).await,
        Place::Schema(scratch) => {
            let settings = DatabaseSettings {
                database_timeout: Duration::from_millis(300),
                ..scratch.settings()
            };
            Store::postgres("message", &scratch.url(), &settings, options).unwrap()
        }
    }
}

store_suite!(both: an_event_whose_command_claims_what_it_has_not_read_becomes_a_dead_letter);

async fn an_event_whose_command_claims_what_it_has_not_read_becomes_a_dead_letter(bench: Bench) {
    let clock = ManualClock::new(noon());
    let store = open(&bench.place, &clock).await;
    let rooms = Tape::of("room");
    for (n, badge) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        let event = RoomReserved {
            reservation_id: badge.to_owned(),
            ..RoomReserved::default()
        };
        rooms.record(seat(n), noon(), "", &event);
    }
    let reader: Arc<dyn LogReader> = Arc::new(rooms);
    let wiring = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::from([("room".to_owned(), reader)])),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    let slug = "hold-badge";
    let policies = Policies::new().whenever(slug, whenever_a_room_is_reserved_hold_its_badge);
    let context = Context::named("message").policies(policies);
    let runtime = ContextRuntime::new(context, store, &wiring);
    let (store, consumer) = (&runtime.deps.store, &runtime.consumers[0]);

    consumer
        .consume(Signal::HighWaterMark(mark(4)))
        .await
        .unwrap();
    assert_eq!(consumer.cursor().await.unwrap().at.seq, 4);
    let letters = || store.dead_letters((String::new(), String::new(), 0), 10);
    let failed = letters().await.unwrap();
    let failed: Vec<_> = failed
        .iter()
        .map(|letter| (letter.event.seq, &*letter.reason, letter.attempts))
        .collect();
    assert_eq!(failed, [(3, "store contended", 1)]);
    for (n, badge) in [(1, "a"), (2, "b"), (4, "c")] {
        let holder = store.holder::<Badge>("badge", badge.to_owned());
        assert_eq!(holder.await.unwrap(), Some(seat(n)));
    }

    // A retry fails in the same way, and is counted.
    clock.turn(chassis::base::time::SignedDuration::from_mins(1));
    assert!(!consumer.retry().await.unwrap());
    assert_eq!(letters().await.unwrap()[0].attempts, 2);
    // Once the badge is free, it succeeds.
    let cause = chassis::Cause::default();
    let given_back = store.execute::<Badge>(seat(1), String::new(), &cause);
    given_back.await.unwrap();
    clock.turn(chassis::base::time::SignedDuration::from_mins(1));
    assert!(consumer.retry().await.unwrap());
    assert_eq!(letters().await.unwrap(), []);
    let holder = store.holder::<Badge>("badge", "a".to_owned());
    assert_eq!(holder.await.unwrap(), Some(seat(3)));
}
