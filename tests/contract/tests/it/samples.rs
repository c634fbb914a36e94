//! Can every consumer of an event apply it?
use std::{collections::BTreeSet, fs};

use berth::reservation::v1::{ReservationConfirmed, ReservationLapsed};
use chassis::{Context, Malformed, Policies, Received, StoreError, Then, Views, store::Conn};
use contract::{
    consumers::{consume, recorded},
    contracts,
    samples::{filled, json, sample, subject},
};
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::golden;

/// The aggregate of the recipes.
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the file is part of another crate"
)]
mod lamp {
    include!("../../../../services/chassis-testing/src/recipes/lamp.rs");
}
use lamp::{Command, Lamp, LampId};

/// Every event of the contracts.
fn events() -> Vec<MessageDescriptor> {
    contracts::events(&contracts::contracts().unwrap()).collect()
}

/// The sample of the event with a name.
fn example(name: &str) -> DynamicMessage {
    let events = events();
    sample(events.iter().find(|event| event.name() == name).unwrap())
}

#[test]
fn every_event_has_a_sample() {
    let mut names = BTreeSet::new();
    for event in events() {
        let sample = sample(&event);
        assert_eq!(filled(&sample), [""; 0]);
        let name = format!("{}.json", event.name());
        golden::is(&format!("samples/{name}"), &json(&sample).unwrap());
        assert!(names.insert(name), "two events are called {}", event.name());
    }
    let files = fs::read_dir(golden::path("samples")).unwrap();
    let recorded: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(recorded, names, "samples of events that do not exist");
}

#[test]
fn a_sample_has_the_state_after_its_event() {
    for (event, says) in [
        (
            "ReservationCancelRequested",
            "RESERVATION_STATUS_CANCEL_REQUESTED",
        ),
        ("ReservationRequested", "RESERVATION_STATUS_REQUESTED"),
        ("PaymentApproved", "PAYMENT_STATUS_PAID"),
        ("RoomDeleted", "ROOM_STATUS_DELETED"),
    ] {
        let text = json(&example(event)).unwrap();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn an_empty_field_is_found() {
    for event in events() {
        let empty = DynamicMessage::new(event.clone());
        assert!(!filled(&empty).is_empty(), "{}", event.full_name());
    }
}

/// Requirement: A-C35.
#[tokio::test]
async fn every_consumer_applies_the_events_it_consumes() {
    let mut consumed = 0;
    for context in all::contexts() {
        for event in events() {
            if consumes(&context, event.full_name()) {
                consumed += 1;
                let sample = recorded(&sample(&event)).unwrap();
                let wrong = consume(context.clone(), sample).await.unwrap();
                assert_eq!(wrong, [""; 0], "{}", context.name);
            }
        }
    }
    assert!(consumed > 10, "only {consumed} were consumed");
}

/// An event whose fields are all unknown to the consumer looks like an empty message.
#[tokio::test]
async fn no_consumer_panics_on_an_empty_event() {
    for context in all::contexts() {
        for event in events() {
            if consumes(&context, event.full_name()) {
                let empty = recorded(&DynamicMessage::new(event.clone())).unwrap();
                let wrong = consume(context.clone(), empty).await.unwrap();
                let broken = |why: &String| why.contains("panicked");
                assert_eq!(
                    wrong.iter().find(|why| broken(why)),
                    None,
                    "{}",
                    context.name
                );
            }
        }
    }
}

fn consumes(context: &Context, event: &str) -> bool {
    let policies = context.policies.iter().map(|policy| &policy.event_type);
    let views = context.views.iter().map(|view| &view.event_type);
    policies.chain(views).any(|consumed| consumed == event)
}

fn lamp_with(policies: Policies, views: Views) -> Context {
    Context::named("lamp").policies(policies).views(views, &[])
}

fn whenever_confirmed_fail(_: Received<ReservationConfirmed>) -> Result<Then<Lamp>, Malformed> {
    Err(Malformed::because("no lamp"))
}

fn whenever_confirmed_panic(_: Received<ReservationConfirmed>) -> Result<Then<Lamp>, Malformed> {
    panic!("no lamp")
}

fn whenever_confirmed_light(
    received: Received<ReservationConfirmed>,
) -> Result<Then<Lamp>, Malformed> {
    Ok(Then::on(about(received)?, Command::Light))
}

/// Refused: there is no lamp yet.
fn whenever_confirmed_douse(
    received: Received<ReservationConfirmed>,
) -> Result<Then<Lamp>, Malformed> {
    Ok(Then::on(about(received)?, Command::Douse))
}

fn about(received: Received<ReservationConfirmed>) -> Result<LampId, Malformed> {
    let reservation = received.event.reservation.unwrap_or_default();
    Ok(reservation.reservation_id.parse()?)
}

/// Its table does not exist.
async fn show(conn: &mut dyn Conn, _: Received<ReservationConfirmed>) -> Result<(), StoreError> {
    conn.execute("DELETE FROM lamp", Vec::new())
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_consumer_that_cannot_apply_its_event_is_found() {
    let none = Policies::new;
    for (policies, views, says) in [
        (
            none().whenever("light", whenever_confirmed_light),
            Views::new(),
            None,
        ),
        (
            none().whenever("douse", whenever_confirmed_douse),
            Views::new(),
            None,
        ),
        (
            none().whenever("fail", whenever_confirmed_fail),
            Views::new(),
            Some("malformed event: no lamp"),
        ),
        (
            none().whenever("panic", whenever_confirmed_panic),
            Views::new(),
            Some("panicked"),
        ),
        (none(), Views::new().on(show), Some("store bug")),
    ] {
        let event = recorded(&example("ReservationConfirmed")).unwrap();
        let found = consume(lamp_with(policies, views), event).await.unwrap();
        match says {
            None => assert_eq!(found, [""; 0]),
            Some(says) => assert!(found.iter().any(|why| why.contains(says)), "{found:?}"),
        }
    }
}

#[test]
fn an_event_is_about_its_first_id() {
    let sample = example("ReservationLapsed");
    let event: ReservationLapsed = sample.transcode_to().unwrap();
    assert_eq!(
        subject(&sample).unwrap(),
        event.reservation.unwrap().reservation_id
    );
}
