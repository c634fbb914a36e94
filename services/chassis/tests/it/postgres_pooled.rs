//! The engine for PostgreSQL behind a pooler that lends a connection for one transaction only.

use std::time::Duration;

use chassis::{
    StoreError, args,
    store::{DatabaseSettings, Store, StoreOptions},
};
use chassis_testing::Scratch;
use tokio::task::JoinSet;

use crate::{
    broker::variable,
    counter::Seat,
    postgres::{assert_sound, sit, sit_in},
    store::{log, seat},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_may_give_every_transaction_another_connection() {
    // It takes no startup parameters, so the tables are in a database of their own.
    let pooler = variable("BERTH_TEST_PGBOUNCER");
    let scratch = Scratch::new().await;
    let database = scratch.name();
    scratch.run(&format!("CREATE DATABASE {database}")).await;
    let url = format!("{pooler}/{database}");
    let settings = DatabaseSettings {
        database_pooled: true,
        ..DatabaseSettings::of(&url)
    };
    let open = || Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    // Without the flag, the error names it.
    let plain = DatabaseSettings::of(&url);
    let plain = Store::postgres("room", &url, &plain, StoreOptions::default()).unwrap();
    let refused = plain.schema().await.unwrap_err().to_string();
    assert!(refused.contains("--database-pooled"), "{refused}");
    let (store, other) = (open(), open());
    store.migrate().await.unwrap();
    other.migrate().await.unwrap();
    assert_eq!(store.schema().await.unwrap().missing, Vec::<String>::new());

    let mut commands = JoinSet::new();
    for n in 1..=100 {
        let store = if n % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        commands.spawn(async move {
            assert_eq!(sit(&store, n).await, Ok(1));
            assert_eq!(sit(&store, n).await, Ok(1));
            let found = store.load::<Seat>(seat(n)).await.unwrap();
            assert!(found.is_some());
        });
    }
    while let Some(done) = commands.join_next().await {
        done.unwrap();
    }
    let two: Result<(), StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                sit_in(unit, 101).await?;
                sit_in(unit, 102).await
            })
        })
        .await;
    two.unwrap();
    assert!(
        store
            .lease("work", "a", Duration::from_mins(1))
            .await
            .unwrap()
    );
    assert!(
        !other
            .lease("work", "b", Duration::from_mins(1))
            .await
            .unwrap()
    );
    let log = log(&store).await;
    assert_eq!(log.len(), 102);
    assert_sound(&log);

    // Nothing is left of the transactions, and nothing of the session.
    let left = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    let rows = store.read(|conn| Box::pin(conn.query(left, args![])));
    assert_eq!(rows.await.unwrap()[0].int(0).unwrap(), 0);
    drop((store, other));
    scratch
        .run(&format!("DROP DATABASE {database} WITH (FORCE)"))
        .await;
}
