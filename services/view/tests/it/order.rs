//! However events of different aggregates are mixed, the same rows come out.

use std::collections::BTreeMap;

use berth::{
    payment::v1::PaymentStatus,
    reservation::v1::ReservationStatus,
    room::v1::{ReviewDeleted, RoomDeleted, RoomStatus},
};
use proptest::prelude::*;

use crate::stage::{
    GUEST, HOST, PRODUCERS, Stage, cancelled, confirmed, eur, id, later, paid, refunded,
    registered, requested, reserved, reviewed, sent,
};

type Play = Box<dyn Fn(&Stage) + Send + Sync>;

/// Puts an event about an aggregate on its log, a while after noon.
fn event<E: prost::Message + prost::Name + 'static>(subject: u128, minutes: i64, event: E) -> Play {
    Box::new(move |stage| {
        let name = E::full_name();
        let producer = chassis::runtime::context::producer_of(&name).unwrap();
        stage.tapes[producer].record(id(subject), later(minutes), "", &event);
    })
}

/// The stories of some aggregates, each in its order.
fn stories() -> Vec<Vec<Play>> {
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
        // At the same time as another one.
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

/// Plays the stories mixed as told, the views looking on after some of the steps. Answers the digest of what they show.
async fn play(mix: &[usize], looks: &[bool]) -> (Stage, String) {
    let stage = Stage::set().await;
    let mut stories: Vec<_> = stories().into_iter().map(Vec::into_iter).collect();
    for (step, choice) in mix.iter().enumerate() {
        stories.retain(|story| story.len() > 0);
        let Some(left) = stories.len().checked_sub(1) else {
            break;
        };
        let next = stories.get_mut(choice % (left + 1)).unwrap().next();
        next.unwrap()(&stage);
        if looks.get(step).copied().unwrap_or(false) {
            stage.settle().await;
        }
    }
    for play in stories.into_iter().flatten() {
        play(&stage);
    }
    stage.settle().await;
    let digest = stage.digest().await;
    (stage, digest)
}

#[tokio::test]
async fn the_stories_are_on_the_screen() {
    let (stage, _) = play(&[], &[]).await;
    let (rooms, entries) = stage.screen().await;
    assert_eq!(rooms.len(), 1, "a deleted room is not listed");
    let room = rooms.first().unwrap();
    assert_eq!((room.review_count, room.reservation_count), (1, 3));
    assert!((room.average_rating - 5.0).abs() < f64::EPSILON);
    assert_eq!(room.room_status(), RoomStatus::Reserved);
    assert_eq!(
        room.reservation_id,
        id(13),
        "of two at the same time the greater id"
    );
    assert_eq!(room.reservation_status(), ReservationStatus::Requested);
    assert_eq!(room.payment_status(), PaymentStatus::Paid);
    // Its payment is the last change of what the line shows.
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
    assert_eq!(stage.tapes.len(), PRODUCERS.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_mix_the_rows_are_the_same(
        mix in prop::collection::vec(any::<usize>(), 24),
        looks in prop::collection::vec(any::<bool>(), 24),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (plain, expected) = play(&[], &[]).await;
            let (mixed, digest) = play(&mix, &looks).await;
            assert_eq!(plain.screen().await, mixed.screen().await);
            assert_eq!(digest, expected);
            assert!(mixed.rebuild().await.unwrap().equal);
        });
    }
}
