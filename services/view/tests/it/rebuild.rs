//! Rebuilds of the views.

use std::sync::atomic::Ordering;

use berth::reservation::v1::ReservationConfirmed;
use chassis::error::status::reason_of;
use tonic::Code;

use crate::fixture::{Fixture, confirmed, id, paid, requested, reviewed};

/// Number of rows of all generations.
async fn rows(fixture: &Fixture) -> i64 {
    let count = "SELECT (SELECT COUNT(*) FROM room_view) + (SELECT COUNT(*) FROM review)
        + (SELECT COUNT(*) FROM reservation) + (SELECT COUNT(*) FROM payment) + (SELECT COUNT(*) FROM notified)";
    let store = &fixture.runtime.deps.store;
    let rows = store.read(move |conn| conn.query(count, Vec::new())).await;
    rows.unwrap().first().unwrap().int(0).unwrap()
}

#[tokio::test]
async fn a_rebuild_gives_the_same_rows() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 50).await;
    let (contents, digest, size) = (
        fixture.contents().await,
        fixture.digest().await,
        rows(&fixture).await,
    );
    let rebuilt = fixture.rebuild().await.unwrap();
    assert_eq!((rebuilt.events, rebuilt.equal), (50 * 4 + 3, true));
    assert_eq!(
        (rebuilt.digest, fixture.digest().await),
        (digest.clone(), digest)
    );
    assert_eq!(
        (fixture.contents().await, rows(&fixture).await),
        (contents, size)
    );
}

#[tokio::test]
async fn a_rebuild_detects_and_repairs_tampered_rows() {
    for tampering in [
        "UPDATE room_view SET reservation_count = 7",
        "UPDATE payment SET status = 5 WHERE reservation_id LIKE '%2'",
        "DELETE FROM notified WHERE reservation_id LIKE '%2'",
        "INSERT INTO review (generation, reservation_id, room_id, rating, changed_at) VALUES (1, 'x', 'y', 0, 0)",
    ] {
        let fixture = Fixture::new().await;
        fixture.busy_room(1, 3).await;
        let (contents, digest) = (fixture.contents().await, fixture.digest().await);
        assert_eq!(fixture.tamper(tampering).await, 1, "{tampering}");
        assert_ne!(fixture.digest().await, digest, "{tampering}");
        assert!(!fixture.rebuild().await.unwrap().equal, "{tampering}");
        assert_eq!(
            (fixture.contents().await, fixture.digest().await),
            (contents, digest)
        );
        assert!(fixture.rebuild().await.unwrap().equal);
    }
}

#[tokio::test]
async fn after_a_rebuild_the_views_continue_at_their_cursors() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 3).await;
    for n in 10..15 {
        fixture.rebuild().await.unwrap();
        fixture.apply(n, &requested(n, 1, 60)).await;
    }
    let (rooms, entries) = fixture.contents().await;
    assert_eq!(
        (rooms.first().unwrap().reservation_count, entries.len()),
        (8, 8)
    );
    assert!(fixture.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn events_during_a_rebuild_are_applied_exactly_once() {
    for rounds in [1, 2, 5, 9, 20] {
        let fixture = Fixture::new().await;
        fixture.busy_room(1, 100).await;
        fixture.interference.start(rounds);
        let rebuilt = fixture.rebuild().await.unwrap();
        fixture.settle().await;
        assert!(rebuilt.equal, "{rounds} rounds");
        let (rooms, entries) = fixture.contents().await;
        let expected = 100 + i32::try_from(rounds).unwrap();
        assert_eq!(rooms.first().unwrap().reservation_count, expected);
        assert_eq!(entries.len(), 100);
        assert!(fixture.rebuild().await.unwrap().equal);
    }
}

#[tokio::test]
async fn a_failed_rebuild_leaves_the_live_views_unchanged() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 100).await;
    let (contents, size) = (fixture.contents().await, rows(&fixture).await);
    let mut failed = 0;
    for reads in 0.. {
        fixture.reads_left.store(reads, Ordering::SeqCst);
        let rebuilt = fixture.rebuild().await;
        fixture.reads_left.store(i64::MAX, Ordering::SeqCst);
        assert_eq!(fixture.contents().await, contents);
        match rebuilt {
            Ok(rebuilt) => {
                assert!(rebuilt.equal);
                break;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Unavailable);
                assert_eq!(reason_of(&error).as_deref(), Some("LOG_UNAVAILABLE"));
                failed += 1;
            }
        }
    }
    assert!(failed > 5, "{failed}");
    assert_eq!(rows(&fixture).await, size, "no rows are left over");
}

#[tokio::test]
async fn of_two_concurrent_rebuilds_in_one_process_one_is_refused() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 10).await;
    // The two calls share their routes, like calls to one process.
    let client = fixture.client();
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
    assert!(fixture.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn of_two_concurrent_rebuilds_in_two_processes_one_is_refused() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 200).await;
    // Each call has its own routes, like a call to another replica.
    let (one, other) = futures::join!(fixture.rebuild(), fixture.rebuild());
    let refused: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    for error in refused {
        assert_eq!(reason_of(&error).as_deref(), Some("REBUILD_RUNNING"));
    }
    assert!(fixture.rebuild().await.unwrap().equal);
}

#[tokio::test]
async fn a_rebuild_keeps_its_own_dead_letters_and_drops_those_it_has_applied() {
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 2).await;
    // A malformed event of reservation 3, and a valid one behind it.
    fixture.record(3, &ReservationConfirmed { reservation: None });
    fixture.apply(3, &confirmed(3, 1, 3)).await;
    let dead_letters = || {
        fixture
            .runtime
            .deps
            .store
            .dead_letters((String::new(), String::new(), 0), 10)
    };
    let before = dead_letters().await.unwrap();
    assert_eq!(before.len(), 2);
    assert!(fixture.rebuild().await.unwrap().equal);
    let after = dead_letters().await.unwrap();
    let positions = |letters: &[chassis::store::DeadLetter]| -> Vec<_> {
        let position =
            |letter: &chassis::store::DeadLetter| (letter.consumer.clone(), letter.event.seq);
        letters.iter().map(position).collect()
    };
    assert_eq!(positions(&before), positions(&after));
    // A dead letter whose event the rebuild has applied is gone, so the event is not applied again.
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 2).await;
    fixture.tamper("ALTER TABLE review RENAME TO hidden").await;
    fixture.apply(2, &reviewed(2, 1, 5)).await;
    fixture.tamper("ALTER TABLE hidden RENAME TO review").await;
    assert!(!fixture.rebuild().await.unwrap().equal);
    fixture.apply(9, &paid(9)).await;
    let (rooms, _) = fixture.contents().await;
    assert_eq!(rooms.first().unwrap().review_count, 2);
    assert_eq!(rooms.first().unwrap().room_id, id(1));
    assert!(fixture.rebuild().await.unwrap().equal);
}
