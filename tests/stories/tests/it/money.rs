//! Payments when the provider responds late, never, twice, or in the wrong order.

use berth::{
    offer::v1::Approval,
    payment::v1::{GetLedgerRequest, PaymentStatus, ReceiveNotificationRequest},
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        ReservationStatus,
    },
};
use stories::{
    mode::Mode,
    world::{World, eur, nights},
};
use tonic::Code;

stories::stories! { one, mesh: [
    a_refund_that_fails_twice_is_made_once,
    a_charge_whose_response_is_lost_extends_the_hold_until_the_outcome_is_known,
    a_charge_that_never_reached_the_provider_is_retried,
    a_provider_that_is_down_for_days_leads_to_a_rejection,
    a_payment_after_the_hold_has_lapsed_is_refunded,
    a_notification_with_an_invalid_signature_is_refused,
    the_balances_of_the_ledger_sum_to_zero,
    a_slow_provider_times_out_and_the_payment_succeeds_later,
] }

/// Books with a payment method. Returns the guest and the reservation's id.
async fn book(world: &World, method: &str) -> (stories::people::Person, String) {
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    let mut wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    wanted.payment_method = method.into();
    let id = wanted.reservation_id.clone();
    guest.book(wanted).await.unwrap();
    (guest, id)
}

/// Scenario: S7.
async fn a_refund_that_fails_twice_is_made_once(mode: Mode) {
    let world = World::start(mode).await;
    let (guest, id) = book(&world, "tok_refund_fails_twice").await;
    let cancel = CancelReservationRequest {
        reservation_id: id.clone(),
        ..Default::default()
    };
    guest
        .reservations()
        .cancel_reservation(cancel.clone())
        .await
        .unwrap();
    guest
        .reservations()
        .cancel_reservation(cancel)
        .await
        .unwrap();
    for _ in 0..10 {
        world.advance_minutes(2).await;
    }
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Cancelled
    );
    let payment = guest.payment(&id).await.unwrap();
    assert_eq!(
        (payment.status(), payment.refunded),
        (PaymentStatus::Refunded, eur(80))
    );
    world.check().await;
}

/// Scenario: S11.
async fn a_charge_whose_response_is_lost_extends_the_hold_until_the_outcome_is_known(mode: Mode) {
    let world = World::start(mode).await;
    let (guest, id) = book(&world, "tok_timeout_after").await;
    for _ in 0..10 {
        world.advance_minutes(2).await;
    }
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(
        guest.payment(&id).await.unwrap().status(),
        PaymentStatus::Paid
    );
    world.check().await;
}

/// Scenario: S12.
async fn a_charge_that_never_reached_the_provider_is_retried(mode: Mode) {
    let world = World::start(mode).await;
    let (guest, id) = book(&world, "tok_timeout_before").await;
    for _ in 0..10 {
        world.advance_minutes(2).await;
    }
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    world.check().await;
}

/// Scenario: S14.
async fn a_provider_that_is_down_for_days_leads_to_a_rejection(mode: Mode) {
    let world = World::start(mode).await;
    let (guest, id) = book(&world, "tok_down").await;
    for _ in 0..40 {
        world.advance_hours(2).await;
    }
    let found = guest.reservation(&id).await.unwrap();
    let ended = matches!(
        found.status(),
        ReservationStatus::Rejected | ReservationStatus::Lapsed
    );
    assert!(ended, "{:?}", found.status());
    world.check().await;
}

/// Scenario: S4.
async fn a_payment_after_the_hold_has_lapsed_is_refunded(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world
        .room(&host, |room| room.set_approval(Approval::Host))
        .await;
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    // Payment consumes the approval only after the hold has lapsed.
    world.down("payment");
    host.reservations()
        .approve_reservation(ApproveReservationRequest {
            reservation_id: id.clone(),
        })
        .await
        .unwrap();
    world
        .clock
        .turn(chassis::base::time::SignedDuration::from_hours(2));
    stories::world::eventually(async || {
        host.sign_in_again().await.unwrap();
        host.reservation(&id).await.unwrap().status() == ReservationStatus::Lapsed
    })
    .await;
    let other = world.customer().await;
    let next = other
        .book(other.wants(world.id(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    assert_eq!(
        next.status(),
        ReservationStatus::PendingApproval,
        "free again"
    );
    world.up("payment").await;
    world.advance_minutes(5).await;
    assert_eq!(
        guest.reservation(&id).await.unwrap().status(),
        ReservationStatus::Lapsed
    );
    let payment = guest.payment(&id).await;
    if let Ok(payment) = payment {
        assert_ne!(
            payment.status(),
            PaymentStatus::Paid,
            "a charge was refunded"
        );
    }
    world.advance_hours(25).await;
    world.check().await;
}

/// Scenario: S13.
async fn a_notification_with_an_invalid_signature_is_refused(mode: Mode) {
    let world = World::with_flags(
        mode,
        &["--payment-webhook-secret", "a secret of the stories"],
    )
    .await;
    let (guest, id) = book(&world, "tok_approved").await;
    let forged = ReceiveNotificationRequest {
        notification_id: "n1".into(),
        payment_id: id.clone(),
        outcome: "declined".into(),
        signature: "00".repeat(32),
        ..Default::default()
    };
    let refused = guest
        .payments()
        .receive_notification(forged)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(
        guest.payment(&id).await.unwrap().status(),
        PaymentStatus::Paid
    );
    world.check().await;
}

async fn the_balances_of_the_ledger_sum_to_zero(mode: Mode) {
    let world = World::start(mode).await;
    let (guest, id) = book(&world, "tok_approved").await;
    let cancel = CancelReservationRequest {
        reservation_id: id,
        ..Default::default()
    };
    guest
        .reservations()
        .cancel_reservation(cancel)
        .await
        .unwrap();
    book(&world, "tok_approved").await;
    book(&world, "tok_timeout_before").await;
    world.quiet().await;
    let ledger = world
        .admin()
        .await
        .payments()
        .get_ledger(GetLedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    let sum: i64 = ledger
        .balances
        .iter()
        .filter_map(|balance| balance.amount.as_ref())
        .map(|amount| amount.units)
        .sum();
    assert_eq!(sum, 0, "{ledger:?}");
    assert!(!ledger.balances.is_empty());
    for _ in 0..5 {
        world.advance_minutes(2).await;
    }
    world.check().await;
}

/// Requirement: C-N3.
async fn a_slow_provider_times_out_and_the_payment_succeeds_later(mode: Mode) {
    let world = World::with_flags(mode, &["--payment-provider-timeout-ms", "100"]).await;
    let (guest, id) = book(&world, "tok_slow_5000").await;
    let held = guest.reservation(&id).await.unwrap();
    assert_eq!(
        held.status(),
        ReservationStatus::PaymentPending,
        "the hold is extended"
    );
    for _ in 0..10 {
        world.advance_minutes(2).await;
    }
    let pay = PayReservationRequest {
        reservation_id: id.clone(),
    };
    let paid = guest
        .reservations()
        .pay_reservation(pay)
        .await
        .unwrap()
        .into_inner()
        .reservation
        .unwrap();
    assert_eq!(paid.status(), ReservationStatus::Confirmed);
    world.check().await;
}
