//! Consumers on PostgreSQL: what they cost, and that events of several producers change the same rows.

use std::{collections::BTreeMap, sync::Arc};

use berth::{message::v1::MessageSent, room::v1::RoomReserved};
use chassis::{
    Context, Received, StoreError, Views, args,
    client::peers::Peers,
    domain::{consumer_name::ConsumerName, log_id::LogId},
    messaging::{bus::Signal, consumer::Consumer, in_process::InProcess, log_reader::LogReader},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
    store::{Conn, Migration, StoreOptions, Write},
};
use chassis_testing::{noon, tape::Tape};

use crate::{
    store::{mark, postgres, seat},
    tally::{Tally, policies},
};

const MEETINGS: &[Migration] = &[Migration {
    name: "0001_meetings",
    sql: "CREATE TABLE reserved (id TEXT PRIMARY KEY); CREATE TABLE sent (id TEXT PRIMARY KEY);
          CREATE TABLE met (id TEXT PRIMARY KEY)",
}];

const ADD_RESERVED: Write = Write::insert("reserved", "id", "$1");
const ADD_SENT: Write = Write::insert("sent", "id", "$1");
const ADD_BOTH: Write = Write::insert("met", "id", "$1");

async fn reserved(conn: &mut dyn Conn, event: Received<RoomReserved>) -> Result<(), StoreError> {
    record(conn, event.subject, &ADD_RESERVED, "sent").await
}

async fn sent(conn: &mut dyn Conn, event: Received<MessageSent>) -> Result<(), StoreError> {
    record(conn, event.subject, &ADD_SENT, "reserved").await
}

/// Records an event, and that both were recorded if it is the second one.
async fn record(
    conn: &mut dyn Conn,
    id: String,
    add: &'static Write,
    other: &str,
) -> Result<(), StoreError> {
    conn.write(add, args![&*id]).await?;
    let find = format!("SELECT id FROM {other} WHERE id = $1");
    if !conn.query(&find, args![&*id]).await?.is_empty() {
        conn.write(&ADD_BOTH, args![id]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_two_concurrent_projections_sees_the_other() {
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
    let consumer_of = |producer: &str, log: Tape| {
        let log: Arc<dyn LogReader> = Arc::new(log);
        let topic = LogId::of(producer);
        let consumer = Consumer::of_views(
            ConsumerName::of_views("x"),
            topic,
            store.clone(),
            log,
            views(),
        );
        tokio::spawn(async move {
            // One by one, so that both often write at the same time.
            for head in 1..=60 {
                consumer
                    .consume(Signal::HighWaterMark(mark(head)))
                    .await
                    .unwrap();
            }
        })
    };
    let both = (consumer_of("room", rooms), consumer_of("message", messages));
    both.0.await.unwrap();
    both.1.await.unwrap();
    let met = store.read(|conn| Box::pin(conn.query("SELECT COUNT(*) FROM met", args![])));
    assert_eq!(met.await.unwrap()[0].int(0).unwrap(), 60);
}

#[tokio::test]
async fn a_batch_is_two_queries_and_one_statement() {
    let bench = postgres().await;
    let log = Tape::of("room");
    for n in 1..=40 {
        log.record(seat(n), noon(), "", &RoomReserved::default());
    }
    for round in 0..10 {
        for n in 101..=103 {
            let reservation_id = format!("{round} of {n}");
            let event = RoomReserved {
                reservation_id,
                ..RoomReserved::default()
            };
            log.record(seat(n), noon(), "", &event);
        }
    }
    let reader: Arc<dyn LogReader> = Arc::new(log);
    let around = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::from([("room".to_owned(), reader)])),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    let message = Context::named("message").policies(policies(|_| false));
    let site = ContextRuntime::new(message, bench.store.clone(), &around);
    let consumer = &site.consumers[0];
    let store = &site.deps.store;
    // The cursor is made, and statements are prepared.
    for head in [1, 2, 5] {
        consumer
            .consume(Signal::HighWaterMark(mark(head)))
            .await
            .unwrap();
    }
    let mut before = store.round_trips();
    let mut took = || {
        let now = store.round_trips();
        now - std::mem::replace(&mut before, now)
    };
    consumer
        .consume(Signal::HighWaterMark(mark(6)))
        .await
        .unwrap();
    assert_eq!(
        took(),
        3,
        "where the cursor is, the aggregate, and all of it"
    );
    consumer
        .consume(Signal::HighWaterMark(mark(26)))
        .await
        .unwrap();
    assert_eq!(
        took(),
        3,
        "as many, however many events and aggregates there are"
    );
    for n in 1..=26 {
        let tally = store.load::<Tally>(seat(n)).await.unwrap().unwrap();
        assert_eq!(tally.state.0.len(), 1);
    }
    assert_eq!(consumer.cursor().await.unwrap().at.seq, 26);
    // Those that are about the same come one after the other all the same.
    consumer
        .consume(Signal::HighWaterMark(mark(70)))
        .await
        .unwrap();
    for n in 101..=103 {
        let tally = store.load::<Tally>(seat(n)).await.unwrap().unwrap();
        let expected: Vec<_> = (0..10).map(|round| format!("{round} of {n}")).collect();
        assert_eq!(tally.state.0, expected);
    }
}
