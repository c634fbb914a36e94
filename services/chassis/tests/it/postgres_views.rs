//! What several producers tell meets in the same rows, whichever comes first.

use std::sync::Arc;

use berth::{message::v1::MessageSent, room::v1::RoomReserved};
use chassis::{
    Heard, StoreError, Views, args,
    bus::Signal,
    consumer::{Consumer, LogReader},
    store::{Conn, Migration, StoreOptions},
    testing::{noon, tape::Tape},
};

use crate::store::postgres;

const MEETINGS: &[Migration] = &[Migration {
    name: "0001_meetings",
    sql: "CREATE TABLE reserved (id TEXT PRIMARY KEY); CREATE TABLE sent (id TEXT PRIMARY KEY);
          CREATE TABLE met (id TEXT PRIMARY KEY)",
}];

async fn reserved(conn: &mut dyn Conn, heard: Heard<RoomReserved>) -> Result<(), StoreError> {
    meet(conn, heard.subject, "reserved", "sent").await
}

async fn sent(conn: &mut dyn Conn, heard: Heard<MessageSent>) -> Result<(), StoreError> {
    meet(conn, heard.subject, "sent", "reserved").await
}

/// Whoever comes second notes that they have met.
async fn meet(conn: &mut dyn Conn, id: String, mine: &str, other: &str) -> Result<(), StoreError> {
    let insert = format!("INSERT INTO {mine} (id) VALUES ($1)");
    conn.write(&insert, args![&*id]).await?;
    let find = format!("SELECT id FROM {other} WHERE id = $1");
    if !conn.query(&find, args![&*id]).await?.is_empty() {
        conn.write("INSERT INTO met (id) VALUES ($1)", args![id])
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_producers_tell_always_meets() {
    let place = postgres().await.place;
    let options = StoreOptions {
        migrations: MEETINGS,
        ..StoreOptions::default()
    };
    let store = place.open(options).await;
    let (rooms, messages) = (Tape::of("room"), Tape::of("message"));
    for n in 0..60 {
        rooms.record(n, noon(), "", &RoomReserved::default());
        messages.record(n, noon(), "", &MessageSent::default());
    }
    let views = || Views::new().on(reserved).on(sent);
    let hear = |producer: &str, log: Tape| {
        let log: Arc<dyn LogReader> = Arc::new(log);
        let topic = (producer.to_owned(), 0);
        let consumer = Consumer::of_views("x.views".into(), topic, store.clone(), log, views());
        tokio::spawn(async move {
            // One by one, so that both often write at the same time.
            for head in 1..=60 {
                consumer.consume(Signal::Head(head)).await.unwrap();
            }
        })
    };
    let both = (hear("room", rooms), hear("message", messages));
    both.0.await.unwrap();
    both.1.await.unwrap();
    let met = store.read(|conn| Box::pin(conn.query("SELECT COUNT(*) FROM met", args![])));
    assert_eq!(met.await.unwrap()[0].int(0).unwrap(), 60);
}
