//! A busy day: a fixed sequence of bookings, cancellations and approvals, whose result does not depend on faults.

use berth::{
    offer::v1::Approval,
    reservation::v1::{ApproveReservationRequest, CancelReservationRequest},
};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, nights},
};
use tonic::Status;

/// Cancels a reservation.
pub(crate) async fn cancel(guest: &Person, id: &str) -> Result<(), Status> {
    let request = CancelReservationRequest {
        reservation_id: id.to_owned(),
        ..Default::default()
    };
    let mut reservations = guest.reservations();
    reservations.cancel_reservation(request).await.map(|_| ())
}

/// Approves a reservation.
pub(crate) async fn approve(host: &Person, id: &str) -> Result<(), Status> {
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
