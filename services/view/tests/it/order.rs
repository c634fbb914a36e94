//! The rows do not depend on the order of events of different aggregates.

use std::collections::BTreeMap;

use berth::{
    payment::v1::PaymentStatus,
    reservation::v1::ReservationStatus,
    room::v1::{ReviewDeleted, RoomDeleted, RoomStatus},
};
use proptest::prelude::*;

use crate::fixture::{
    Fixture, GUEST, HOST, PRODUCERS, cancelled, confirmed, eur, id, later, paid, refunded,
    registered, requested, reserved, reviewed, sent,
};

type Step = Box<dyn Fn(&Fixture) + Send + Sync>;

/// Publishes an event of an aggregate some minutes after noon.
fn event<E: prost::Message + prost::Name + 'static>(subject: u128, minutes: i64, event: E) -> Step {
    Box::new(move |fixture| {
        let name = E::full_name();
        let producer = chassis::runtime::context::producer_of(&name).unwrap();
        fixture.tapes[producer].record(id(subject), later(minutes), "", &event);
    })
}

/// The events of some aggregates, each aggregate's in order.
fn streams() -> Vec<Vec<Step>> {
    let deleted = RoomDeleted {
        room: registered(2, "Gone", 90).room,
        offer: None,
    };
    let unreviewed = ReviewDeleted {
        reservation_id: id(12),
        room_id: id(1),
        rating: 3,
    };
    vec![
        vec![
            event(1, 1, registered(1, "Sea view", 120)),
            event(1, 40, reserved(1, 12)),
        ],
        vec![
            event(2, 2, registered(2, "Gone", 90)),
            event(2, 50, deleted),
        ],
        vec![
            event(11, 10, requested(11, 1, 10)),
            event(11, 12, confirmed(11, 1, 10)),
            event(11, 30, cancelled(11, 1, 10)),
        ],
        vec![
            event(12, 20, requested(12, 1, 20)),
            event(12, 23, confirmed(12, 1, 20)),
        ],
        // Requested at the same time as reservation 12.
        vec![event(13, 20, requested(13, 1, 20))],
        vec![event(14, 5, requested(14, 2, 5))],
        vec![event(11, 11, paid(11)), event(11, 31, refunded(11, 120))],
        vec![event(12, 70, paid(12))],
        vec![event(13, 71, paid(13))],
        vec![event(11, 33, reviewed(11, 1, 5))],
        vec![event(12, 34, reviewed(12, 1, 3)), event(12, 60, unreviewed)],
        vec![event(901, 13, sent(11, GUEST))],
        vec![event(902, 14, sent(11, GUEST))],
        vec![event(903, 15, sent(11, HOST))],
    ]
}

/// Publishes the events, interleaved by `order`. The views apply them after the steps in `pauses` and at the end.
async fn publish(order: &[usize], pauses: &[bool]) -> (Fixture, String) {
    let fixture = Fixture::new().await;
    let mut streams: Vec<_> = streams().into_iter().map(Vec::into_iter).collect();
    for (step, choice) in order.iter().enumerate() {
        streams.retain(|stream| stream.len() > 0);
        let Some(left) = streams.len().checked_sub(1) else {
            break;
        };
        let next = streams.get_mut(choice % (left + 1)).unwrap().next();
        next.unwrap()(&fixture);
        if pauses.get(step).copied().unwrap_or(false) {
            fixture.settle().await;
        }
    }
    for step in streams.into_iter().flatten() {
        step(&fixture);
    }
    fixture.settle().await;
    let digest = fixture.digest().await;
    (fixture, digest)
}

#[tokio::test]
async fn rooms_and_pages_show_the_combined_events() {
    let (fixture, _) = publish(&[], &[]).await;
    let (rooms, entries) = fixture.contents().await;
    assert_eq!(rooms.len(), 1, "a deleted room is not listed");
    let room = rooms.first().unwrap();
    assert_eq!((room.review_count, room.reservation_count), (1, 3));
    assert!((room.average_rating - 5.0).abs() < f64::EPSILON);
    assert_eq!(room.room_status(), RoomStatus::Reserved);
    assert_eq!(
        room.reservation_id,
        id(13),
        "of two with the same creation time the greater id"
    );
    assert_eq!(room.reservation_status(), ReservationStatus::Requested);
    assert_eq!(room.payment_status(), PaymentStatus::Paid);
    // The payment is the last change of the row.
    assert_eq!(
        room.update_time,
        Some(chassis::base::time::to_proto(later(71)))
    );
    let by_id: BTreeMap<_, _> = entries
        .iter()
        .map(|entry| (entry.reservation_id.clone(), entry))
        .collect();
    assert_eq!(by_id.len(), 4);
    let first = by_id[&id(11)];
    assert_eq!(first.status(), ReservationStatus::Cancelled);
    assert_eq!(first.payment_status(), PaymentStatus::Refunded);
    assert_eq!(
        (first.refund.clone(), first.message_count, first.reviewed),
        (Some(eur(120)), 2, true)
    );
    let second = by_id[&id(12)];
    assert_eq!(
        (second.refund.clone(), second.message_count, second.reviewed),
        (None, 0, false)
    );
    assert_eq!(
        second.update_time,
        Some(chassis::base::time::to_proto(later(70)))
    );
    assert_eq!(fixture.tapes.len(), PRODUCERS.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_rows_do_not_depend_on_the_order(
        order in prop::collection::vec(any::<usize>(), 24),
        pauses in prop::collection::vec(any::<bool>(), 24),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (ordered, expected) = publish(&[], &[]).await;
            let (interleaved, digest) = publish(&order, &pauses).await;
            assert_eq!(ordered.contents().await, interleaved.contents().await);
            assert_eq!(digest, expected);
            assert!(interleaved.rebuild().await.unwrap().equal);
        });
    }
}
