//! S28: each context is killed in turn, and made to stand still in turn. The page of what still works is written by this.

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

/// How long people wait for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long everything may take to work again once all contexts are there.
const RECOVERY: Duration = Duration::from_mins(1);

/// What people do, in the order of the columns.
const DEEDS: [&str; 9] = [
    "sign in",
    "list rooms",
    "search the screen",
    "request",
    "book",
    "approve",
    "cancel",
    "see it",
    "my page",
];

/// How a context is away.
#[derive(Clone, Copy, Debug)]
enum Away {
    Dead,
    Still,
}

/// Takes each context away in each way, and answers the page of what still works.
pub async fn table() -> Result<String> {
    // Each way has a platform of its own: people mostly wait.
    let ways = [Away::Dead, Away::Still].map(|away| Box::pin(without_each(away)));
    let ways = futures::future::try_join_all(ways).await?;
    let headings = ["Killed", "Standing still"];
    let ways: Vec<_> = headings.into_iter().zip(ways).collect();
    Ok(page(&ways))
}

/// Takes each context away in one way, and answers what works without it.
async fn without_each(away: Away) -> Result<Vec<Found>> {
    let mut stage = Stage::set(1, 5_000).await?;
    let mut rows = Vec::new();
    let mut night = 600;
    for context in mesh::contexts() {
        let name = format!("{context}-0");
        // What is decided on while it is away was made before.
        let before = Before::make(&stage, night).await?;
        take(&mut stage, &name, away)?;
        settle(&stage).await;
        let found = look(&stage, &before, night + 1).await?;
        give_back(&mut stage, &name, away).await?;
        recover(&stage, context).await?;
        rows.push((context, found));
        night += 2;
    }
    stage.close().await?;
    Ok(rows)
}

/// Reservations that somebody decides on while a context is away.
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

fn take(stage: &mut Stage, name: &str, away: Away) -> Result<()> {
    let process = stage.mesh.replica(name)?;
    match away {
        Away::Dead => process.kill(),
        Away::Still => process.pause(),
    }
}

async fn give_back(stage: &mut Stage, name: &str, away: Away) -> Result<()> {
    let process = stage.mesh.replica(name)?;
    match away {
        Away::Dead => process.start().await,
        Away::Still => process.resume(),
    }
}

/// People try for a while, whatever comes of it: breakers open, and from then on the answers are quick.
async fn settle(stage: &Stage) {
    for _ in 0..4 {
        let three = [(); 3].map(|()| timeout(PATIENCE, stage.crowd.book()));
        futures::future::join_all(three).await;
    }
}

async fn look(stage: &Stage, before: &Before, at: usize) -> Result<Vec<&'static str>> {
    let crowd = &stage.crowd;
    let (host, guest) = (&crowd.host, crowd.customer(at)?);
    // Whoever booked before is the one who may give it up and look at it.
    let mut customers = crowd.customers.iter();
    let booker = customers.find(|it| it.id == before.booked.customer_id);
    let booker = booker.context("a customer")?;
    let asked = guest.wants(id(), &crowd.asked, night(at));
    Ok(vec![
        yes(guest.sign_in_again()).await,
        yes(list(guest)).await,
        yes(search(guest)).await,
        yes(guest.book(asked)).await,
        match timeout(PATIENCE, crowd.book()).await {
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

async fn yes<T>(deed: impl Future<Output = Result<T, Status>>) -> &'static str {
    match timeout(PATIENCE, deed).await {
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

/// Everything works again, by itself.
async fn recover(stage: &Stage, context: &str) -> Result<()> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    loop {
        looks.tick().await;
        let guest = stage.crowd.customer(0)?;
        let booked = timeout(PATIENCE, stage.crowd.book()).await;
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
            "{context} is back, and not everything works after {RECOVERY:?}"
        );
    }
}

/// A context, and what works without it.
type Found = (&'static str, Vec<&'static str>);

fn page(ways: &[(&str, Vec<Found>)]) -> String {
    let mut page = String::from(
        "# What works while something is away\n\n\
         Each context runs as a process of its own, one replica each, on PostgreSQL and NATS. One at a time is killed, or made to\n\
         stand still (SIGSTOP: its connections are open and nothing is answered), and people go on. This page is written by that\n\
         test (`cargo xtask campaign outages`) and compared in every run.\n\n\
         *pay later*: the nights are held, and the charge is made when `payment` answers again, or the guest pays then.\n",
    );
    for (heading, rows) in ways {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "\n## {heading}\n\n| without | {} |\n|---|",
            DEEDS.join(" | ")
        );
        page.push_str(&"---|".repeat(DEEDS.len()));
        for (context, found) in rows {
            let _ = write!(page, "\n| `{context}` | {} |", found.join(" | "));
        }
        page.push('\n');
    }
    page.push_str(
        "\nAfter each of them everything works again by itself, and every invariant holds: nothing is sold twice, nothing is paid\n\
         without a booking, no event is lost.\n",
    );
    page
}
