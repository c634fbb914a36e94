//! S28: each context is killed in turn, and paused in turn. Writes the page of what still works.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use berth::{
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, Reservation, ReservationStatus,
    },
    room::v1::ListRoomsRequest,
    view::v1::ListRoomViewsRequest,
};
use stories::people::Person;
use tokio::time::timeout;
use tonic::Status;

use crate::{
    Stage,
    crowd::{id, night},
};

/// The timeout of a user's request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// The timeout for full recovery after all contexts run again.
const RECOVERY: Duration = Duration::from_mins(1);

/// The operations, in the order of the columns.
const OPERATIONS: [&str; 9] = [
    "sign in",
    "list rooms",
    "search the view",
    "request",
    "book",
    "approve",
    "cancel",
    "read it",
    "my page",
];

/// How a context fails.
#[derive(Clone, Copy, Debug)]
enum Away {
    Dead,
    Paused,
}

/// Lets each context fail in each way, and returns the page of what still works.
pub async fn table() -> Result<String> {
    // Both ways run at the same time, on two platforms: users mostly wait for timeouts.
    let ways = [Away::Dead, Away::Paused].map(|away| Box::pin(without_each(away)));
    let ways = futures::future::try_join_all(ways).await?;
    let headings = ["Killed", "Paused"];
    let ways: Vec<_> = headings.into_iter().zip(ways).collect();
    Ok(page(&ways))
}

/// Lets each context fail in one way, and returns what works without it.
async fn without_each(away: Away) -> Result<Vec<Found>> {
    let mut stage = Stage::set(1, 5_000).await?;
    let mut rows = Vec::new();
    let mut night = 600;
    for context in mesh::contexts() {
        let name = format!("{context}-0");
        // The reservations that are approved or cancelled during the outage are made before.
        let before = Before::make(&stage, night).await?;
        stop(&mut stage, &name, away)?;
        settle(&stage).await;
        let found = look(&stage, &before, night + 1).await?;
        restore(&mut stage, &name, away).await?;
        recover(&stage, context).await?;
        rows.push((context, found));
        night += 2;
    }
    stage.close().await?;
    Ok(rows)
}

/// Reservations that are approved or cancelled during an outage.
struct Before {
    asked: Reservation,
    booked: Reservation,
}

impl Before {
    async fn make(stage: &Stage, at: usize) -> Result<Self> {
        let crowd = &stage.crowd;
        let customer = crowd.customer(at)?;
        let asked = customer.wants(id(), &crowd.asked, night(at));
        Ok(Self {
            asked: customer.book(asked).await?,
            booked: crowd.book().await?,
        })
    }
}

fn stop(stage: &mut Stage, name: &str, away: Away) -> Result<()> {
    let process = stage.mesh.replica(name)?;
    match away {
        Away::Dead => process.kill(),
        Away::Paused => process.pause(),
    }
}

async fn restore(stage: &mut Stage, name: &str, away: Away) -> Result<()> {
    let process = stage.mesh.replica(name)?;
    match away {
        Away::Dead => process.start().await,
        Away::Paused => process.resume(),
    }
}

/// Sends requests until circuit breakers have opened and errors are returned fast.
async fn settle(stage: &Stage) {
    for _ in 0..4 {
        let three = [(); 3].map(|()| timeout(REQUEST_TIMEOUT, stage.crowd.book()));
        futures::future::join_all(three).await;
    }
}

async fn look(stage: &Stage, before: &Before, at: usize) -> Result<Vec<&'static str>> {
    let crowd = &stage.crowd;
    let (host, guest) = (&crowd.host, crowd.customer(at)?);
    // Only the customer who has booked may cancel and read the reservation.
    let mut customers = crowd.customers.iter();
    let booker = customers.find(|it| it.id == before.booked.customer_id);
    let booker = booker.context("a customer")?;
    let asked = guest.wants(id(), &crowd.asked, night(at));
    Ok(vec![
        yes(guest.sign_in_again()).await,
        yes(list(guest)).await,
        yes(search(guest)).await,
        yes(guest.book(asked)).await,
        match timeout(REQUEST_TIMEOUT, crowd.book()).await {
            Ok(Ok(it)) if it.status() == ReservationStatus::Confirmed => "yes",
            Ok(Ok(_)) => "pay later",
            _ => "no",
        },
        yes(approve(host, &before.asked)).await,
        yes(cancel(booker, &before.booked)).await,
        yes(booker.reservation(&before.booked.reservation_id)).await,
        yes(guest.my_page()).await,
    ])
}

async fn yes<T>(operation: impl Future<Output = Result<T, Status>>) -> &'static str {
    match timeout(REQUEST_TIMEOUT, operation).await {
        Ok(Ok(_)) => "yes",
        _ => "no",
    }
}

async fn list(person: &Person) -> Result<(), Status> {
    let request = ListRoomsRequest::default();
    person.rooms().list_rooms(request).await.map(|_| ())
}

async fn search(person: &Person) -> Result<(), Status> {
    let request = ListRoomViewsRequest::default();
    person.views().list_room_views(request).await.map(|_| ())
}

async fn approve(host: &Person, it: &Reservation) -> Result<(), Status> {
    let request = ApproveReservationRequest {
        reservation_id: it.reservation_id.clone(),
    };
    let mut reservations = host.reservations();
    reservations.approve_reservation(request).await.map(|_| ())
}

async fn cancel(person: &Person, it: &Reservation) -> Result<(), Status> {
    let request = CancelReservationRequest {
        reservation_id: it.reservation_id.clone(),
        ..CancelReservationRequest::default()
    };
    let mut reservations = person.reservations();
    reservations.cancel_reservation(request).await.map(|_| ())
}

/// Waits until every operation works again.
async fn recover(stage: &Stage, context: &str) -> Result<()> {
    let began = Instant::now();
    let mut polls = tokio::time::interval(Duration::from_millis(100));
    loop {
        polls.tick().await;
        let guest = stage.crowd.customer(0)?;
        let booked = timeout(REQUEST_TIMEOUT, stage.crowd.book()).await;
        let booked = matches!(booked, Ok(Ok(it)) if it.status() == ReservationStatus::Confirmed);
        let all = booked
            && yes(guest.sign_in_again()).await == "yes"
            && yes(list(guest)).await == "yes"
            && yes(search(guest)).await == "yes"
            && yes(guest.my_page()).await == "yes";
        if all {
            return Ok(());
        }
        ensure!(
            began.elapsed() < RECOVERY,
            "{context} runs again, and not every operation works after {RECOVERY:?}"
        );
    }
}

/// A context, and the results of the operations without it.
type Found = (&'static str, Vec<&'static str>);

fn page(ways: &[(&str, Vec<Found>)]) -> String {
    let mut page = String::from(
        "# What works while a context is down\n\n\
         Each context runs as a process of its own, one replica each, on PostgreSQL and NATS. One at a time is killed, or paused\n\
         (SIGSTOP: its connections are open and nothing is answered), while users send requests. The campaign `outages` writes this\n\
         page (`cargo xtask campaign outages`), and a test compares it.\n\n\
         *pay later*: the nights are held. The charge is made when `payment` answers again, or the guest pays then.\n",
    );
    for (heading, rows) in ways {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "\n## {heading}\n\n| without | {} |\n|---|",
            OPERATIONS.join(" | ")
        );
        page.push_str(&"---|".repeat(OPERATIONS.len()));
        for (context, found) in rows {
            let _ = write!(page, "\n| `{context}` | {} |", found.join(" | "));
        }
        page.push('\n');
    }
    page.push_str(
        "\nAfter each outage everything recovers without intervention, and every invariant holds: nothing is sold twice, nothing is\n\
         paid without a booking, no event is lost.\n",
    );
    page
}
