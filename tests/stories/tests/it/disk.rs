//! Faults of a disk: it is full, or it does not sync. Both for SQLite only.

use std::error::Error as _;

use berth::reservation::v1::{
    PayReservationRequest, RequestReservationRequest, Reservation, ReservationStatus,
};
use chassis::{StoreError, runtime::supervisor::Failed};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, nights},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

async fn pay(guest: &Person, id: &str) -> Result<Reservation, Status> {
    let request = PayReservationRequest {
        reservation_id: id.to_owned(),
    };
    let paid = guest.reservations().pay_reservation(request).await?;
    Ok(paid.into_inner().reservation.unwrap_or_default())
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
    // The process may end before its response has been sent: the connection breaks then, which no response reports.
    let is_broken = lost.source().is_some();
    assert!(is_broken || lost.code() == Code::Unavailable, "{lost:?}");
    assert_eq!(
        world.ended("reservation").await,
        Err(Failed::Store("reservation"))
    );
    world.crash_and_restart().await;
    let booked = guest.book(wanted).await.unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    world.check().await;
}
