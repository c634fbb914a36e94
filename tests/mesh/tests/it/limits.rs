//! One request at a time, as in the experiments of the brief: what one client sees, what several see, and what happens when the
//! limit is gone.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use berth::{reservation::v1::ReservationStatus, room::v1::Room};
use futures::future::{join, join_all};
use mesh::{Mesh, MeshOptions};
use stories::{people::Person, world::nights};
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    TURN,
    fake::MOMENT,
    stage::{became, env, first, id, metric, people, register},
};

/// The requests of some clients, by outcome, with the time that each took.
#[derive(Debug, Default)]
struct Requests {
    served: Vec<Duration>,
    refused: Vec<Duration>,
}

impl Requests {
    fn count(&mut self, began: Instant, outcome: &Result<(), Status>) {
        match outcome {
            Ok(()) => self.served.push(began.elapsed()),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let details = status.get_error_details();
                let reason = details.error_info().map(|info| info.reason.as_str());
                assert_eq!(reason, Some("OVERLOADED"), "{status:?}");
                assert!(details.retry_info().is_some(), "{status:?}");
                self.refused.push(began.elapsed());
            }
        }
    }

    /// Prints what docs/operating.md reports.
    #[expect(clippy::print_stdout, reason = "figures of an experiment")]
    fn report(&mut self, clients: usize) {
        for (name, times) in [("served", &mut self.served), ("refused", &mut self.refused)] {
            times.sort_unstable();
            let middle = times.get(times.len() / 2);
            println!("{clients} clients: {} {name}, p50 {middle:?}", times.len());
        }
    }
}

/// Each client registers rooms, one after the other, until all of them together are done.
async fn clients(count: usize, host: &Person, done: impl Fn(&Requests) -> bool) -> Requests {
    let requests = Mutex::new(Requests::default());
    let client = async || {
        while !done(&requests.lock().unwrap()) {
            let began = Instant::now();
            let registered = register(host, 1).await.map(drop);
            requests.lock().unwrap().count(began, &registered);
        }
    };
    let all = join_all((0..count).map(|_| client()));
    timeout(3 * MOMENT, all).await.unwrap();
    let mut requests = requests.into_inner().unwrap();
    requests.report(count);
    requests
}

/// Restarts `room` with a limit of requests in flight, or without.
async fn limit(mesh: &mut Mesh, requests: &str) {
    let room = mesh.replica("room-0").unwrap();
    room.set("BERTH_MAX_IN_FLIGHT", requests);
    room.stop().await.unwrap();
    room.start().await.unwrap();
    mesh.ready().await.unwrap();
}

async fn book(guest: &Person, room: &Room) -> ReservationStatus {
    let wanted = guest.wants(id(), room, nights("2027-04-10", "2027-04-12"));
    guest.book(wanted).await.unwrap().status()
}

fn options(replicas: usize) -> MeshOptions {
    MeshOptions {
        replicas,
        env: env([("MAX_RESERVATION_PER_PERSON", "1000")]),
        ..MeshOptions::default()
    }
}

/// Requirement: A-O2, A-O4, A-O5, A-O6, A-O7, C-O3, E-9.
#[tokio::test(flavor = "multi_thread")]
async fn excess_requests_are_refused_at_once_and_bookings_go_on() {
    let _turn = TURN.lock().await;
    let postgres = None;
    let mut mesh = Mesh::start(MeshOptions {
        postgres,
        ..options(1)
    })
    .await
    .unwrap();
    let (host, guest) = people(&mesh).await;
    let room = register(&host, 1000).await.unwrap();
    assert_eq!(book(&guest, &room).await, ReservationStatus::Confirmed);
    limit(&mut mesh, "1").await;

    let one = clients(1, &host, |requests| requests.served.len() == 50).await;
    assert!(one.refused.is_empty());
    let two = clients(2, &host, |requests| requests.refused.len() >= 10).await;
    assert!(!two.served.is_empty());

    // While 20 clients keep `room` busy it seldom has a permit for `reservation`, which books with the terms that it knows.
    let over = AtomicBool::new(false);
    let booking = async {
        let mut booked = 0;
        while booked < 20 || became(first(&mesh, "reservation"), "room", "open") == 0 {
            assert_eq!(book(&guest, &room).await, ReservationStatus::Confirmed);
            booked += 1;
        }
        over.store(true, Ordering::Relaxed);
    };
    let registering = clients(20, &host, |_| over.load(Ordering::Relaxed));
    let (twenty, ()) = join(registering, booking).await;
    assert!(!twenty.served.is_empty() && !twenty.refused.is_empty());

    limit(&mut mesh, "512").await;
    let all = clients(20, &host, |requests| requests.served.len() >= 200).await;
    assert!(all.refused.is_empty());
    // The breaker closes with the first probe that succeeds.
    let closing = async {
        while became(first(&mesh, "reservation"), "room", "closed") == 0 {
            assert_eq!(book(&guest, &room).await, ReservationStatus::Confirmed);
        }
    };
    timeout(MOMENT, closing).await.unwrap();
    mesh.stop().await.unwrap();
}

/// Requirement: C-O4.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_replica_that_dies_is_repeated_at_another() {
    let _turn = TURN.lock().await;
    let mut mesh = Mesh::start(options(2)).await.unwrap();
    let (host, guest) = people(&mesh).await;
    let room = register(&host, 1000).await.unwrap();
    assert_eq!(book(&guest, &room).await, ReservationStatus::Confirmed);

    // It accepts calls and does not respond. Of five payments some are its own.
    mesh.replica("payment-0").unwrap().pause().unwrap();
    let mut bookings = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (guest, room) = (guest.clone(), room.clone());
        bookings.spawn(async move { book(&guest, &room).await });
    }
    let first = bookings.join_next().await.unwrap().unwrap();
    assert_eq!(first, ReservationStatus::Confirmed);
    mesh.replica("payment-0").unwrap().kill().unwrap();
    for status in bookings.join_all().await {
        assert_eq!(status, ReservationStatus::Confirmed);
    }
    let repeated: u64 = mesh
        .replicas("reservation")
        .map(|one| {
            metric(
                one,
                "berth_peer_retries_total{peer=\"payment\",outcome=\"answered\"}",
            )
        })
        .sum();
    assert!(repeated >= 1);
    mesh.stop().await.unwrap();
}
