//! Dead letters of several producers are retried at the same time, by several leaders.

use tokio::task::JoinSet;

use crate::fixture::{Fixture, confirmed, paid, requested, reviewed};

/// On PostgreSQL (`BERTH_TEST_STORE=postgres`) the retries really run at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_letters_of_several_producers_redriven_at_once_give_the_views_of_a_rebuild() {
    const COUNT: u128 = 30;
    let fixture = Fixture::new().await;
    fixture.busy_room(1, 2).await;
    fixture
        .tamper("ALTER TABLE room_view RENAME TO hidden")
        .await;
    for n in 10..10 + COUNT {
        let minutes = i64::try_from(n).unwrap();
        fixture.record(n, &requested(n, 1, minutes));
        fixture.record(n, &paid(n));
        fixture.record(n, &confirmed(n, 1, minutes));
        fixture.record(n, &reviewed(n, 1, 3));
    }
    fixture.settle().await;
    fixture
        .tamper("ALTER TABLE hidden RENAME TO room_view")
        .await;
    let store = &fixture.runtime.deps.store;
    let redriven = store.redrive(String::new()).await.unwrap();
    assert_eq!(u128::from(redriven), COUNT * 4);

    let mut leaders = JoinSet::new();
    for consumer in fixture
        .runtime
        .consumers
        .iter()
        .chain(&fixture.runtime.consumers)
    {
        let consumer = consumer.clone();
        leaders.spawn(async move { while consumer.retry().await.unwrap() {} });
    }
    while let Some(done) = leaders.join_next().await {
        done.unwrap();
    }
    let all = (String::new(), String::new(), 0);
    let left = store.dead_letters(all, 10).await.unwrap();
    assert_eq!(left, []);
    let rebuilt = fixture.rebuild().await.unwrap();
    assert!(rebuilt.equal);
    let (rooms, _) = fixture.contents().await;
    let room = rooms.first().unwrap();
    let count = i32::try_from(COUNT).unwrap();
    assert_eq!(
        (room.reservation_count, room.review_count),
        (2 + count, 1 + count)
    );
}
