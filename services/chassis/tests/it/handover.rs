//! One consumer takes the place of another.

use chassis::domain::log_id::LogId;
use chassis::{StoreError, store::Store};

use crate::store::sqlite;

async fn hold(store: &Store, consumer: &'static str) -> i64 {
    let held: Result<i64, StoreError> = store
        .transact(move |unit| {
            Box::pin(async move {
                let held = unit
                    .hold_cursor(&consumer.into(), &LogId::of("room"))
                    .await?;
                Ok(held.at.seq)
            })
        })
        .await;
    held.unwrap()
}

async fn cursor(store: &Store, consumer: &str) -> i64 {
    let cursor = store.cursor(consumer.into(), LogId::of("room"));
    cursor.await.unwrap().at.seq
}

#[tokio::test]
async fn a_consumer_continues_at_the_cursor_of_the_one_it_replaces() {
    let bench = sqlite().await;
    let store = &bench.store;
    // A cursor is held where it is, also one that has not begun.
    assert_eq!((hold(store, "old").await, hold(store, "new").await), (0, 0));
    let moved: Result<(), StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                let conn = unit.conn();
                let sql = "UPDATE cursor SET seq = 5 WHERE consumer = 'new'";
                conn.execute(sql, Vec::new()).await.map(|_| ())
            })
        })
        .await;
    moved.unwrap();
    assert_eq!(hold(store, "new").await, 5);
    let replaced: Result<(), StoreError> = store
        .transact(|unit| Box::pin(async move { unit.replace(&"old".into(), &"new".into()).await }))
        .await;
    replaced.unwrap();
    assert_eq!(
        (cursor(store, "old").await, cursor(store, "new").await),
        (5, 0)
    );
    let forgotten: Result<(), StoreError> = store
        .transact(|unit| Box::pin(async move { unit.forget(&"old".into()).await }))
        .await;
    forgotten.unwrap();
    assert_eq!(cursor(store, "old").await, 0);
}
