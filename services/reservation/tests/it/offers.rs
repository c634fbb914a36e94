//! Where the terms of an offer come from.

use berth::{
    offer::v1::Offer,
    room::v1::{RoomDeleted, RoomModified, RoomRegistered},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::bench::{Bench, eur, house, nights, refused};

fn priced(price: i64, version: i64) -> Offer {
    Offer {
        price: Some(eur(price)),
        version,
        ..house()
    }
}

async fn price(bench: &Bench) -> i64 {
    let seen = bench.availability(nights(1, 2), 1).await.unwrap();
    seen.price.unwrap().units
}

#[tokio::test]
async fn terms_are_read_from_the_owner_or_from_the_replica() {
    let bench = Bench::new().await;
    bench
        .room_tells(RoomRegistered {
            room: None,
            offer: Some(priced(90, 1)),
        })
        .await;
    assert_eq!(price(&bench).await, 100);
    bench.owner.is_down(true);
    assert_eq!(price(&bench).await, 90);
    bench
        .room_tells(RoomModified {
            room: None,
            offer: Some(priced(80, 3)),
        })
        .await;
    assert_eq!(price(&bench).await, 80);
    bench.book(1).await.unwrap();
}

#[tokio::test]
async fn the_replica_keeps_the_newest_terms() {
    let bench = Bench::new().await;
    bench.owner.is_down(true);
    bench
        .room_tells(RoomModified {
            room: None,
            offer: Some(priced(80, 3)),
        })
        .await;
    bench
        .room_tells(RoomRegistered {
            room: None,
            offer: Some(priced(90, 1)),
        })
        .await;
    assert_eq!(price(&bench).await, 80);
    let withdrawn = Some(Offer {
        withdrawn: true,
        ..priced(80, 4)
    });
    bench
        .room_tells(RoomDeleted {
            room: None,
            offer: withdrawn,
        })
        .await;
    refused(
        bench.book(1).await,
        Code::FailedPrecondition,
        "OFFER_WITHDRAWN",
    );
}

#[tokio::test]
async fn not_found_from_the_owner_overrides_the_replica() {
    let bench = Bench::new().await;
    bench
        .room_tells(RoomRegistered {
            room: None,
            offer: Some(priced(90, 1)),
        })
        .await;
    bench.owner.forgets();
    refused(bench.book(1).await, Code::NotFound, "NOT_FOUND");
}

#[tokio::test]
async fn missing_terms_are_unavailable_and_can_be_retried() {
    let bench = Bench::new().await;
    bench.owner.is_down(true);
    let answer = bench.book(1).await;
    assert!(
        answer
            .clone()
            .unwrap_err()
            .get_details_retry_info()
            .is_some()
    );
    refused(answer, Code::Unavailable, "OFFER_UNAVAILABLE");
}

#[tokio::test]
async fn terms_that_violate_their_contract_are_refused() {
    let bench = Bench::new().await;
    for broken in [
        Offer { kind: 0, ..house() },
        Offer {
            kind: 99,
            ..house()
        },
        Offer { unit: 0, ..house() },
        Offer {
            approval: 0,
            ..house()
        },
        Offer {
            capacity: 0,
            ..house()
        },
        Offer {
            capacity: 1001,
            ..house()
        },
        Offer {
            max_persons: -1,
            ..house()
        },
        Offer {
            price: None,
            ..house()
        },
        Offer {
            price: Some(eur(-1)),
            ..house()
        },
        Offer {
            time_zone: "Mars/Olympus".into(),
            ..house()
        },
        Offer {
            owner_id: "somebody".into(),
            ..house()
        },
    ] {
        bench.owner.offers(broken);
        refused(bench.book(1).await, Code::Unavailable, "OFFER_UNAVAILABLE");
    }
    bench
        .room_tells(RoomRegistered {
            room: None,
            offer: Some(priced(90, 1)),
        })
        .await;
    assert_eq!(bench.book(1).await.unwrap().price, Some(eur(180)));
}
