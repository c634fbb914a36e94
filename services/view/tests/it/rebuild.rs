//! The views, built anew.

use std::sync::atomic::Ordering;

use berth::reservation::v1::ReservationConfirmed;
use chassis::error::status::reason_of;
use tonic::Code;

use crate::stage::{Stage, confirmed, id, paid, requested, reviewed};

/// How many rows there are, of whatever generation.
async fn rows(stage: &Stage) -> i64 {
    let count = "SELECT (SELECT COUNT(*) FROM room_view) + (SELECT COUNT(*) FROM review)
        + (SELECT COUNT(*) FROM reservation) + (SELECT COUNT(*) FROM payment) + (SELECT COUNT(*) FROM told)";
    let store = &stage.site.deps.store;
    let rows = store.read(move |conn| conn.query(count, Vec::new())).await;
    rows.unwrap().first().unwrap().int(0).unwrap()
}

#[tokio::test]
async fn what_is_built_anew_is_what_was() {
    let stage = Stage::set().await;
    stage.busy_room(1, 50).await;
    let (screen, digest, size) = (
        stage.screen().await,
        stage.digest().await,
        rows(&stage).await,
    );
    let rebuilt = stage.rebuild().await.unwrap();
    assert_eq!((rebuilt.events, rebuilt.equal), (50 * 4 + 3, true));
    assert_eq!(
        (rebuilt.digest, stage.digest().await),
        (digest.clone(), digest)
    );
    assert_eq!((stage.screen().await, rows(&stage).await), (screen, size));
}

#[tokio::test]
async fn a_row_that_was_spoilt_is_found_and_repaired() {
    for spoil in [
        "UPDATE room_view SET reservation_count = 7",
        "UPDATE payment SET status = 5 WHERE reservation_id LIKE '%2'",
        "DELETE FROM told WHERE reservation_id LIKE '%2'",
        "INSERT INTO review (generation, reservation_id, room_id, rating, changed_at) VALUES (1, 'x', 'y', 0, 0)",
    ] {
        let stage = Stage::set().await;
        stage.busy_room(1, 3).await;
        let (screen, digest) = (stage.screen().await, stage.digest().await);
        assert_eq!(stage.meddle(spoil).await, 1, "{spoil}");
        assert_ne!(stage.digest().await, digest, "{spoil}");
        assert!(!stage.rebuild().await.unwrap().equal, "{spoil}");
        assert_eq!(
            (stage.screen().await, stage.digest().await),
            (screen, digest)
        );
        assert!(stage.rebuild().await.unwrap().equal);
    }
}

#[tokio::test]
async fn the_views_go_on_afterwards_where_they_were() {
    let stage = Stage::set().await;
    stage.busy_room(1, 3).await;
    for n in 10..15 {
        stage.rebuild().await.unwrap();
        stage.happens(n, &requested(n, 1, 60)).await;
    }
    let (rooms, entries) = stage.screen().await;
    assert_eq!(
        (rooms.first().unwrap().reservation_count, entries.len()),
        (8, 8)
    );
    assert!(stage.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn events_that_come_meanwhile_are_neither_lost_nor_taken_twice() {
    for rounds in [1, 2, 5, 9, 20] {
        let stage = Stage::set().await;
        stage.busy_room(1, 100).await;
        stage.meanwhile.go_on(rounds);
        let rebuilt = stage.rebuild().await.unwrap();
        stage.settle().await;
        assert!(rebuilt.equal, "{rounds} rounds");
        let (rooms, entries) = stage.screen().await;
        let expected = 100 + i32::try_from(rounds).unwrap();
        assert_eq!(rooms.first().unwrap().reservation_count, expected);
        assert_eq!(entries.len(), 100);
        assert!(stage.rebuild().await.unwrap().equal);
    }
}

#[tokio::test]
async fn a_rebuild_that_dies_leaves_the_views_alone() {
    let stage = Stage::set().await;
    stage.busy_room(1, 100).await;
    let (screen, size) = (stage.screen().await, rows(&stage).await);
    let mut died = 0;
    for reads in 0.. {
        stage.reads_left.store(reads, Ordering::SeqCst);
        let rebuilt = stage.rebuild().await;
        stage.reads_left.store(i64::MAX, Ordering::SeqCst);
        assert_eq!(stage.screen().await, screen);
        match rebuilt {
            Ok(rebuilt) => {
                assert!(rebuilt.equal);
                break;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Unavailable);
                assert_eq!(reason_of(&error).as_deref(), Some("LOG_UNAVAILABLE"));
                died += 1;
            }
        }
    }
    assert!(died > 5, "{died}");
    assert_eq!(rows(&stage).await, size, "nothing is left behind");
}

#[tokio::test]
async fn of_two_rebuilds_at_once_one_is_refused() {
    let stage = Stage::set().await;
    stage.busy_room(1, 10).await;
    // In one process they share what serves them.
    let client = stage.client();
    let rebuild = |mut client: berth::view::v1::view_service_client::ViewServiceClient<_>| async move {
        client.rebuild(berth::view::v1::RebuildRequest {}).await
    };
    let (one, other) = futures::join!(rebuild(client.clone()), rebuild(client.clone()));
    let refused: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    for error in refused {
        assert_eq!(error.code(), Code::Aborted);
        assert_eq!(reason_of(&error).as_deref(), Some("REBUILD_RUNNING"));
    }
    assert!(stage.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn of_two_rebuilds_in_two_processes_the_later_one_wins() {
    let stage = Stage::set().await;
    stage.busy_room(1, 200).await;
    // Each call has routes of its own, as if it were another replica.
    let (one, other) = futures::join!(stage.rebuild(), stage.rebuild());
    let refused: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    for error in refused {
        assert_eq!(reason_of(&error).as_deref(), Some("REBUILD_RUNNING"));
    }
    assert!(stage.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn an_event_that_failed_is_tried_again_after_a_rebuild_but_not_twice() {
    let stage = Stage::set().await;
    stage.busy_room(1, 2).await;
    // A broken event of reservation 3, and a good one behind it.
    stage.record(3, &ReservationConfirmed { reservation: None });
    stage.happens(3, &confirmed(3, 1, 3)).await;
    let letters = || {
        stage
            .site
            .deps
            .store
            .dead_letters((String::new(), String::new(), 0), 10)
    };
    let before = letters().await.unwrap();
    assert_eq!(before.len(), 2);
    assert!(stage.rebuild().await.unwrap().equal);
    let after = letters().await.unwrap();
    let places = |letters: &[chassis::store::DeadLetter]| -> Vec<_> {
        let place =
            |letter: &chassis::store::DeadLetter| (letter.consumer.clone(), letter.event.seq);
        letters.iter().map(place).collect()
    };
    assert_eq!(places(&before), places(&after));
    // A letter whose event the rebuild has shown is gone: it is not shown again.
    let stage = Stage::set().await;
    stage.busy_room(1, 2).await;
    stage.meddle("ALTER TABLE review RENAME TO hidden").await;
    stage.happens(2, &reviewed(2, 1, 5)).await;
    stage.meddle("ALTER TABLE hidden RENAME TO review").await;
    assert!(!stage.rebuild().await.unwrap().equal);
    stage.happens(9, &paid(9)).await;
    let (rooms, _) = stage.screen().await;
    assert_eq!(rooms.first().unwrap().review_count, 2);
    assert_eq!(rooms.first().unwrap().room_id, id(1));
    assert!(stage.rebuild().await.unwrap().equal);
}
