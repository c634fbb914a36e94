//! The inbox as its owner sees it.

use std::collections::BTreeSet;

use berth::{
    message::v1::{ListMessagesRequest, Message, MessageRead},
    reservation::v1::{Reservation, ReservationConfirmed, ReservationStatus},
};
use chassis::{MemberId, ReservationId, base::time::SignedDuration, error::status::reason_of};
use tonic::Code;

use crate::stage::{GUEST, HOST, Stage, reservation};

/// A stage on which the guest has this number of messages about confirmations, some of the same time.
async fn notified(times: u128) -> Stage {
    let stage = Stage::set("").await;
    for n in 1..=times {
        confirm(&stage, n);
        if n % 3 == 0 {
            stage.clock.turn(SignedDuration::from_secs(1));
        }
    }
    stage.settle().await;
    stage
}

fn confirm(stage: &Stage, n: u128) {
    let id = ReservationId::from_u128(n);
    let reservation = Some(Reservation {
        reservation_id: id.to_string(),
        ..reservation(ReservationStatus::Confirmed)
    });
    stage.reservations.record(
        id,
        stage.clock.now(),
        "",
        &ReservationConfirmed { reservation },
    );
    stage.clock.turn(SignedDuration::from_millis(1));
}

async fn pages(stage: &Stage, request: ListMessagesRequest) -> Vec<Message> {
    let (mut found, mut request) = (Vec::new(), request);
    loop {
        let (page, next) = stage.list(GUEST, request.clone()).await.unwrap();
        found.extend(page);
        if next.is_empty() || found.len() > 100 {
            return found;
        }
        request.page_token = next;
    }
}

#[tokio::test]
async fn the_pages_make_up_the_whole_inbox_newest_first() {
    let stage = notified(10).await;
    for page_size in [1, 3, 10, 100] {
        let request = ListMessagesRequest {
            page_size,
            ..ListMessagesRequest::default()
        };
        let found = pages(&stage, request).await;
        let ids: BTreeSet<_> = found.iter().map(|message| &message.message_id).collect();
        assert_eq!((found.len(), ids.len()), (10, 10));
        assert!(found.is_sorted_by(|a, b| {
            let key = |message: &Message| {
                let at = message.create_time.unwrap();
                (at.seconds, at.nanos, message.message_id.clone())
            };
            key(a) > key(b)
        }));
    }
}

#[tokio::test]
async fn a_page_is_stable_when_messages_arrive() {
    let stage = notified(4).await;
    let mut request = ListMessagesRequest {
        page_size: 2,
        ..ListMessagesRequest::default()
    };
    let (first, next) = stage.list(GUEST, request.clone()).await.unwrap();
    confirm(&stage, 99);
    stage.settle().await;
    request.page_token = next;
    let (second, next) = stage.list(GUEST, request).await.unwrap();
    assert_eq!((second.len(), next), (2, String::new()));
    assert!(second.iter().all(|message| !first.contains(message)));
}

#[tokio::test]
async fn the_inbox_is_filtered_by_reservation_and_unread() {
    let stage = notified(3).await;
    let id = ReservationId::from_u128(2).to_string();
    let request = ListMessagesRequest {
        reservation_id: id.to_uppercase(),
        ..ListMessagesRequest::default()
    };
    let found = pages(&stage, request).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reservation_id, id);
    stage.read(GUEST, &found[0].message_id).await.unwrap();
    let request = ListMessagesRequest {
        unread_only: true,
        ..ListMessagesRequest::default()
    };
    let unread = pages(&stage, request).await;
    assert_eq!(unread.len(), 2);
    assert!(
        unread
            .iter()
            .all(|message| !message.read && message.reservation_id != id)
    );
}

#[tokio::test]
async fn a_message_is_read_once() {
    let stage = notified(1).await;
    let id = stage.inbox(GUEST).await.remove(0).message_id;
    for _ in 0..2 {
        assert!(stage.read(GUEST, &id).await.unwrap().read);
    }
    assert!(stage.inbox(GUEST).await.remove(0).read);
    assert_eq!(stage.published::<MessageRead>().await, 1);
}

#[tokio::test]
async fn messages_of_others_are_not_found() {
    let stage = notified(1).await;
    let id = stage.inbox(GUEST).await.remove(0).message_id;
    let foreign = stage.read(HOST, &id).await.unwrap_err();
    let absent = stage
        .read(HOST, &MemberId::from_u128(77).to_string())
        .await
        .unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    assert_eq!(foreign.message(), absent.message());
    assert_eq!(foreign.details(), absent.details());
    assert_eq!(reason_of(&foreign).as_deref(), Some("NOT_FOUND"));
    assert!(!stage.inbox(GUEST).await.remove(0).read);
    assert!(
        stage
            .inbox(HOST)
            .await
            .iter()
            .all(|message| message.recipient_id == HOST.to_string())
    );
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let stage = notified(2).await;
    let hostile = [
        ("", -1, ""),
        ("", 101, ""),
        ("", i32::MAX, ""),
        ("nobody", 0, ""),
        ("\0", 0, ""),
        ("", 0, "x"),
        ("", 0, "WyIxIl0"),
        ("", 0, "WyJ4IiwieSJd"),
    ];
    for (reservation_id, page_size, page_token) in hostile {
        let request = ListMessagesRequest {
            reservation_id: reservation_id.into(),
            unread_only: false,
            page_size,
            page_token: page_token.into(),
        };
        let refused = stage.list(GUEST, request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
    for id in ["", "x", "\0", "00000000-0000-0000-0000-000000000000"] {
        let refused = stage.read(GUEST, id).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{id:?}");
    }
}
