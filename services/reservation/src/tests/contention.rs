//! A thousand concurrent requests on a real store: as many succeed as there are units.

use std::collections::BTreeSet;

use chassis::{
    Cause, ClaimRange, ExecuteError, MemberId, OfferId, ReservationId, Store,
    base::{
        clock::{Clock, ManualClock},
        time,
        time::{Date, SignedDuration, Time},
    },
    store::StoreOptions,
};
use chassis_testing::noon;

use crate::{
    domain::{
        Command, Reservation,
        booking::{BookingRequest, PaymentMethod, Proposal, Rules},
        claims::{customer_scope, offer_scope},
        period::Period,
        refusal::Refusal,
        terms::{Approval, OfferKind, SoldBy, Terms},
    },
    views,
};

const OFFER: OfferId = OfferId::from_u128(1);

async fn store(dir: &tempfile::TempDir) -> Store {
    let options = StoreOptions {
        clock: Clock::Manual(ManualClock::new(noon())),
        views: views::list(),
        migrations: views::MIGRATIONS,
        ..StoreOptions::default()
    };
    let path = dir.path().join("reservation.db");
    Store::sqlite("reservation", &path, options).await.unwrap()
}

/// A request for one night of an offer with this capacity.
fn request(customer: u128, capacity: u32, quantity: u32, per_person: u32) -> Command {
    let night = Date::constant(2027, 4, 1);
    Command::Request(Box::new(Proposal {
        booking_request: BookingRequest {
            offer: OFFER,
            customer: MemberId::from_u128(customer),
            period: Period::dates(night, night.tomorrow().unwrap()).unwrap(),
            quantity,
            persons: 1,
            payment_method: PaymentMethod("tok".into()),
        },
        terms: Terms {
            kind: OfferKind::Room,
            host: MemberId::from_u128(2),
            title: "Beautiful House".into(),
            sold_by: SoldBy::Night,
            capacity,
            max_persons: 2,
            price: chassis::Money::new("EUR".parse().unwrap(), 10_000),
            approval: Approval::Nobody,
            tiers: vec![],
            zone: time::zone("Asia/Seoul").unwrap(),
            check_in: Time::constant(15, 0, 0, 0),
            check_out: Time::constant(11, 0, 0, 0),
            blackouts: vec![],
            withdrawn: false,
        },
        rules: Rules {
            hold: SignedDuration::from_mins(15),
            approval: SignedDuration::from_hours(24),
            per_person,
        },
    }))
}

/// Runs all commands concurrently. Returns the unit numbers of each accepted one, and the refusals of the others.
async fn race(
    store: &Store,
    racers: impl Iterator<Item = (u128, Command)>,
) -> (Vec<Vec<u32>>, BTreeSet<String>) {
    let cause = Cause::default();
    let running = racers.map(|(id, command)| {
        store.execute::<Reservation>(ReservationId::from_u128(id), command, &cause)
    });
    let (mut won, mut lost) = (Vec::new(), BTreeSet::new());
    for answer in futures::future::join_all(running).await {
        match answer {
            Ok(done) => won.push(done.now.state.booking.unit_numbers),
            Err(ExecuteError::Refused(refusal)) => {
                lost.insert(refusal.to_string());
            }
            Err(error) => panic!("{error}"),
        }
    }
    (won, lost)
}

fn only(refusal: &Refusal) -> BTreeSet<String> {
    BTreeSet::from([refusal.to_string()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_requests_one_gets_the_last_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let racers = (1..=1000).map(|id| (id, request(1000 + id, 1, 1, 10)));
    let (won, lost) = race(&store, racers).await;
    assert_eq!((won, lost), (vec![vec![1]], only(&Refusal::SoldOut)));
    assert_eq!(store.high_water_mark().await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_requests_as_many_succeed_as_there_are_rooms() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let racers = (1..=1000).map(|id| (id, request(1000 + id, 37, 1 + u32::from(id % 3 == 0), 10)));
    let (won, lost) = race(&store, racers).await;
    let units: Vec<u32> = won.into_iter().flatten().collect();
    let distinct: BTreeSet<u32> = units.iter().copied().collect();
    assert_eq!((units.len(), distinct.len()), (37, 37));
    assert_eq!(lost, only(&Refusal::SoldOut));
    let taken = store
        .taken(ClaimRange::all(offer_scope(OFFER)))
        .await
        .unwrap();
    assert_eq!(taken.len(), 37);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_of_one_customer_make_ten_reservations() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let racers = (1..=1000).map(|id| (id, request(7, 1000, 1, 10)));
    let (won, lost) = race(&store, racers).await;
    assert_eq!((won.len(), lost), (10, only(&Refusal::TooManyReservations)));
    let places = customer_scope(MemberId::from_u128(7));
    assert_eq!(
        store.taken(ClaimRange::all(places)).await.unwrap().len(),
        10
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_request_a_thousand_times_makes_one_reservation() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let racers = (1..=1000).map(|_| (1, request(7, 1000, 1, 10)));
    let (won, lost) = race(&store, racers).await;
    assert_eq!((won.len(), lost), (1000, BTreeSet::new()));
    assert_eq!(
        (
            store.high_water_mark().await.unwrap().seq,
            store.claims().await.unwrap().len()
        ),
        (1, 2)
    );
}
