//! Lists: whose, which, in which order, page by page.

use berth::reservation::v1::{
    ListReservationsRequest, ListReservationsResponse, RequestReservationRequest, Reservation,
    ReservationStatus,
};
use chassis::{Caller, MemberId, base::time::SignedDuration};
use tonic::{Code, Status};

use crate::bench::{
    Bench, GUEST, HOST, OFFER, STRANGER, admin, booking_request, guest, host, house, of, refused,
};

async fn list(
    bench: &Bench,
    by: Caller,
    request: ListReservationsRequest,
) -> Result<ListReservationsResponse, Status> {
    Ok(bench
        .client()
        .list_reservations(of(by, request))
        .await?
        .into_inner())
}

fn ids(reservations: &[Reservation]) -> Vec<u128> {
    let ids = reservations
        .iter()
        .map(|reservation| &reservation.reservation_id);
    ids.map(|id| {
        id.parse::<chassis::ReservationId>()
            .unwrap()
            .uuid()
            .as_u128()
    })
    .collect()
}

async fn all(bench: &Bench, by: Caller) -> Vec<u128> {
    ids(&list(bench, by, ListReservationsRequest::default())
        .await
        .unwrap()
        .reservations)
}

/// Five bookings: three by the guest, one by the host in the own house, one by a stranger; the second is given up.
async fn five() -> Bench {
    let bench = Bench::new().await;
    bench.owner.offers(berth::offer::v1::Offer {
        capacity: 9,
        ..house()
    });
    for (id, customer) in [(1, GUEST), (2, GUEST), (3, HOST), (4, STRANGER), (5, GUEST)] {
        let request = RequestReservationRequest {
            customer_id: customer.to_string(),
            ..booking_request(id)
        };
        bench.request(request).await.unwrap();
        bench
            .clock
            .turn(SignedDuration::from_secs(i64::from(id != 4)));
    }
    bench.cancel(guest(GUEST), 2, None).await.unwrap();
    bench
}

#[tokio::test]
async fn members_list_their_own_reservations_newest_first() {
    let bench = five().await;
    assert_eq!(all(&bench, guest(GUEST)).await, [5, 2, 1]);
    assert_eq!(all(&bench, guest(STRANGER)).await, [4]);
    assert_eq!(all(&bench, host()).await, [5, 4, 3, 2, 1]);
    assert_eq!(all(&bench, admin()).await, [5, 4, 3, 2, 1]);
    assert_eq!(all(&bench, guest(MemberId::from_u128(0x77))).await, [0; 0]);
    refused(
        list(
            &bench,
            Caller::default(),
            ListReservationsRequest::default(),
        )
        .await,
        Code::Unauthenticated,
        "UNAUTHENTICATED",
    );
}

#[tokio::test]
async fn a_list_is_filtered_by_status_and_offer() {
    let bench = five().await;
    let of_status = |status: ReservationStatus| ListReservationsRequest {
        status: status.into(),
        ..ListReservationsRequest::default()
    };
    let given_up = list(
        &bench,
        host(),
        of_status(ReservationStatus::CancelRequested),
    )
    .await;
    assert_eq!(ids(&given_up.unwrap().reservations), [2]);
    let confirmed = list(
        &bench,
        guest(GUEST),
        of_status(ReservationStatus::Confirmed),
    )
    .await;
    assert_eq!(ids(&confirmed.unwrap().reservations), [5, 1]);
    for (offer, expected) in [(OFFER.to_string(), 5), (STRANGER.to_string(), 0)] {
        let request = ListReservationsRequest {
            offer_id: offer,
            ..ListReservationsRequest::default()
        };
        let found = list(&bench, admin(), request).await.unwrap().reservations;
        assert_eq!(found.len(), expected);
    }
}

#[tokio::test]
async fn the_pages_make_up_the_whole_list() {
    let bench = five().await;
    for by in [host(), admin()] {
        for size in 1..=6 {
            let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let request = ListReservationsRequest {
                    page_size: size,
                    page_token: token,
                    ..ListReservationsRequest::default()
                };
                let page = list(&bench, by.clone(), request).await.unwrap();
                found.extend(ids(&page.reservations));
                token = page.next_page_token;
                pages += 1;
                assert!(pages <= 5, "pages without end");
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(
                (found.as_slice(), pages),
                ([5, 4, 3, 2, 1].as_slice(), (4 + size) / size)
            );
        }
    }
}

#[tokio::test]
async fn invalid_list_requests_are_refused() {
    let bench = five().await;
    let token = chassis::base::page::token(["not a number", "not an id"]);
    let one = ListReservationsRequest::default;
    for request in [
        ListReservationsRequest {
            page_size: -1,
            ..one()
        },
        ListReservationsRequest {
            page_size: 101,
            ..one()
        },
        ListReservationsRequest {
            status: 99,
            ..one()
        },
        ListReservationsRequest {
            offer_id: "x".into(),
            ..one()
        },
        ListReservationsRequest {
            page_token: "x".into(),
            ..one()
        },
        ListReservationsRequest {
            page_token: token,
            ..one()
        },
    ] {
        refused(
            list(&bench, host(), request).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
}
