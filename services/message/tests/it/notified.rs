//! Which people are notified of which events.

use berth::{
    message::v1::{MessageSent, MessageWritten},
    reservation::v1::{
        ConfirmationMissed, ReservationApproved, ReservationCancelRequested, ReservationCancelled,
        ReservationCompleted, ReservationConfirmed, ReservationLapsed, ReservationPaymentPending,
        ReservationRejected, ReservationRequested, ReservationStatus,
    },
};
use chassis::MemberId;
use prost::Name;

use crate::stage::{GUEST, HOST, Stage, reservation};

/// Subjects in an inbox, oldest first.
async fn subjects(stage: &Stage, member: MemberId) -> Vec<String> {
    let inbox = stage.inbox(member).await;
    let subjects = inbox.into_iter().rev();
    subjects
        .map(|message| message.subject.replace(": Sea view", ""))
        .collect()
}

macro_rules! happens {
    ($stage:ident, $actor:expr, $event:ident $(, $field:ident: $value:expr)*) => {
        let event = $event { reservation: Some(reservation(ReservationStatus::Confirmed)), $($field: $value),* };
        $stage.clock.turn(chassis::base::time::SignedDuration::from_secs(1));
        $stage.happens($actor, &event).await;
    };
}

#[tokio::test]
async fn the_customer_is_notified_of_every_change() {
    let stage = Stage::set("").await;
    let method = String::new;
    happens!(stage, "", ReservationRequested, payment_method: method(), agreement: None);
    happens!(stage, "", ReservationApproved, payment_method: method());
    happens!(stage, "", ReservationPaymentPending, give_up_time: None);
    happens!(stage, "", ReservationConfirmed);
    happens!(stage, "", ReservationRejected, by: None);
    happens!(stage, "", ReservationLapsed);
    happens!(stage, "", ReservationCancelRequested, refund: None);
    happens!(stage, "", ReservationCancelled);
    happens!(stage, "", ReservationCompleted);
    happens!(stage, "", ConfirmationMissed, payment_id: method());
    assert_eq!(
        subjects(&stage, GUEST).await,
        [
            "Reservation received",
            "Reservation approved",
            "Payment pending",
            "Reservation confirmed",
            "Reservation rejected",
            "Reservation lapsed",
            "Cancellation received",
            "Reservation cancelled",
            "Thank you for your stay",
            "Payment refunded",
        ]
    );
    assert_eq!(
        subjects(&stage, HOST).await,
        [
            "Reservation confirmed",
            "Reservation not made",
            "Reservation not made",
            "Reservation given up",
            "Reservation cancelled",
            "Stay completed",
        ]
    );
    assert_eq!(stage.published::<MessageSent>().await, 16);
}

#[tokio::test]
async fn the_host_is_asked_for_approval() {
    let stage = Stage::set("").await;
    let event = ReservationRequested {
        reservation: Some(reservation(ReservationStatus::PendingApproval)),
        payment_method: String::new(),
        agreement: None,
    };
    stage.happens(&GUEST.to_string(), &event).await;
    assert_eq!(subjects(&stage, GUEST).await, ["Reservation requested"]);
    assert_eq!(subjects(&stage, HOST).await, ["Your approval is asked for"]);
}

#[tokio::test]
async fn a_host_is_not_notified_of_their_own_actions() {
    let stage = Stage::set("").await;
    happens!(stage, &HOST.to_string(), ReservationRejected, by: None);
    assert_eq!(subjects(&stage, GUEST).await, ["Reservation rejected"]);
    assert_eq!(stage.inbox(HOST).await, []);
}

#[tokio::test]
async fn a_host_who_is_the_customer_is_notified_once() {
    let stage = Stage::set("").await;
    let mut own = reservation(ReservationStatus::Confirmed);
    own.host_id = GUEST.to_string();
    stage
        .happens(
            "",
            &ReservationConfirmed {
                reservation: Some(own),
            },
        )
        .await;
    assert_eq!(stage.inbox(GUEST).await.len(), 1);
}

#[tokio::test]
async fn a_message_names_its_reservation() {
    let stage = Stage::set("").await;
    happens!(stage, "", ReservationConfirmed);
    let message = stage.inbox(GUEST).await.remove(0);
    assert_eq!(message.recipient_id, GUEST.to_string());
    assert_eq!(message.event_type, ReservationConfirmed::full_name());
    assert_eq!(
        message.reservation_id,
        reservation(ReservationStatus::Confirmed).reservation_id
    );
    assert!(!message.read);
    assert!(
        message
            .text
            .contains("From 2027-03-04 to 2027-03-06\nPrice: 240.00 EUR")
    );
    let log = stage.site.deps.store.log_after(0, 10).await.unwrap();
    assert!(
        log.iter()
            .all(|event| event.cause.correlation == message.reservation_id)
    );
}

#[tokio::test]
async fn a_repeated_event_notifies_nobody_again() {
    let stage = Stage::set("").await;
    happens!(stage, "", ReservationConfirmed);
    // As after a cursor that was lost: the same log is read from its beginning.
    let forgotten: Result<(), chassis::StoreError> = stage
        .site
        .deps
        .store
        .transact(|unit| Box::pin(async move { unit.forget(&"message".into()).await }))
        .await;
    forgotten.unwrap();
    stage.settle().await;
    assert_eq!(stage.inbox(GUEST).await.len(), 1);
    assert_eq!(stage.published::<MessageWritten>().await, 2);
}

#[tokio::test]
async fn an_event_that_violates_its_contract_blocks_no_other() {
    let stage = Stage::set("").await;
    stage.reservations.record(
        "broken",
        stage.clock.now(),
        "",
        &ReservationConfirmed { reservation: None },
    );
    let mut nameless = reservation(ReservationStatus::Confirmed);
    nameless.customer_id = "somebody".into();
    let event = ReservationConfirmed {
        reservation: Some(nameless),
    };
    stage
        .reservations
        .record("nameless", stage.clock.now(), "", &event);
    happens!(stage, "", ReservationConfirmed);
    assert_eq!(stage.inbox(GUEST).await.len(), 1);
    let letters = stage
        .site
        .deps
        .store
        .dead_letters((String::new(), String::new(), 0), 10);
    assert_eq!(letters.await.unwrap().len(), 2);
}
