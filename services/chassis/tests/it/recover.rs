//! Recovery restores lost events and keeps what has happened since.

use std::sync::Arc;

use berth::eventlog::v1::EventLost;
use chassis::{
    Context, Recorded, StoreError, args,
    domain::{digest::LogDigest, event::Cause, position::Position},
    messaging::{
        bus::Bus,
        in_process::InProcess,
        log_reader::{LogError, LogReader},
        relay::relay_once,
    },
    store::Store,
};
use futures::future::BoxFuture;
use prost::Name;
use recovery::{Fate, May, RecoverError, Source, recover};

use crate::{
    counter::{Command, Seat},
    store::{Bench, head, log, position, seat, store_suite, take},
};

store_suite!(both:
    available_events_are_restored_as_they_were,
    a_source_with_another_history_is_rejected,
);
store_suite!(on_a_server on postgres: claims_made_after_the_loss_stay);

/// A copy of a log.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) Vec<Recorded>);

impl LogReader for Kept {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        let limit = usize::try_from(limit).unwrap();
        let events = self.0.iter().filter(|event| event.seq > after).take(limit);
        Box::pin(std::future::ready(Ok(events.cloned().collect())))
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        let last = self.0.last().map(position);
        Box::pin(std::future::ready(Ok(last.unwrap_or_default())))
    }
}

async fn give(store: &Store, n: u128, command: Command) {
    let cause = Cause::default();
    store
        .execute::<Seat>(seat(n), command, &cause)
        .await
        .unwrap();
}

/// Takes seats 1 to 4, leaves 2, and loses the events after the second one. Returns the whole log.
async fn lose(store: &Store) -> Vec<Recorded> {
    for n in 1..=4 {
        give(store, n, take(10)).await;
    }
    give(store, 2, Command::Leave).await;
    head(store).await;
    let all = log(store).await;
    let held = store.load::<Seat>(seat(2)).await.unwrap().unwrap();
    assert_eq!((all.len(), held.version), (5, 2));
    let lost: Result<(), StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                let conn = unit.conn();
                conn.execute("DELETE FROM log WHERE seq > 2", args![])
                    .await?;
                for n in [3, 4] {
                    let id = seat(n).to_string();
                    let owner = format!("seat/{id}");
                    conn.execute("DELETE FROM aggregate WHERE id = $1", args![id])
                        .await?;
                    conn.execute("DELETE FROM claim WHERE owner = $1", args![owner])
                        .await?;
                }
                let (id, owner) = (seat(2).to_string(), format!("seat/{}", seat(2)));
                let before = r#"{"Held":{"hall":"a","seat":2,"until":"2027-01-01T12:15:00Z"}}"#;
                let sql = "UPDATE aggregate SET version = 1, state = $2 WHERE id = $1";
                conn.execute(sql, args![id, before]).await?;
                let sql = "INSERT INTO claim (scope, key, owner) VALUES ('hall/a', '0002/', $1)";
                conn.execute(sql, args![owner]).await.map(|_| ())
            })
        })
        .await;
    lost.unwrap();
    all
}

/// Notices what was lost.
async fn fence(store: &Store) {
    let bus: Arc<dyn Bus> = InProcess::new();
    relay_once(store, &bus).await.unwrap();
    assert!(store.fenced().is_some());
}

fn context() -> Context {
    Context::named("room").restores::<Seat>()
}

async fn available_events_are_restored_as_they_were(bench: Bench) {
    let store = &bench.store;
    let all = lose(store).await;
    fence(store).await;
    let restores = context().restores;
    let sources = [Source::Log(Arc::new(Kept(all.clone())))];
    let look = recover(store, &restores, &sources, None, May::Inspect)
        .await
        .unwrap()
        .unwrap();
    assert!(look.is_whole() && !look.recovered, "{look}");
    assert_eq!((head(store).await, store.fenced().is_some()), (2, true));
    let done = recover(store, &restores, &sources, None, May::Recover).await;
    assert!(done.unwrap().unwrap().recovered);
    assert_eq!(store.fenced(), None);
    assert_eq!(store.log_after(0, 100).await.unwrap(), all);
    assert_eq!(restores[0].compare(store).await.unwrap(), [""; 0]);
    let claims = store.claims().await.unwrap();
    let keys: Vec<_> = claims.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(keys, ["0001/", "0003/", "0004/"]);
    // It goes on where it was.
    give(store, 9, take(10)).await;
    assert_eq!(head(store).await, 6);
    let none = recover(store, &restores, &sources, None, May::Recover).await;
    assert_eq!(none.unwrap(), None);
}

async fn a_source_with_another_history_is_rejected(bench: Bench) {
    let store = &bench.store;
    let mut all = lose(store).await;
    fence(store).await;
    // The log of another platform.
    let mut digest = LogDigest::default();
    for event in &mut all {
        event.id.insert(0, 'x');
        digest = event.digest_after(digest);
        event.digest = digest;
    }
    let sources = [Source::Log(Arc::new(Kept(all)))];
    let refused = recover(store, &context().restores, &sources, None, May::Lose).await;
    assert_eq!(refused, Err(RecoverError::OtherHistory(1)));
    assert!(store.fenced().is_some());
}

async fn claims_made_after_the_loss_stay(bench: Bench) {
    let store = &bench.store;
    let all = lose(store).await;
    // Before anybody has noticed.
    give(store, 9, take(10)).await;
    let sold = store.load::<Seat>(seat(9)).await.unwrap().unwrap();
    fence(store).await;
    let restores = context().restores;
    let sources = [Source::Log(Arc::new(Kept(all.clone())))];
    let stopped = recover(store, &restores, &sources, None, May::Recover).await;
    let report = stopped.unwrap().unwrap();
    assert!(!report.recovered && store.fenced().is_some());
    let fates: Vec<_> = report.losses.iter().map(|loss| loss.fate.clone()).collect();
    let held = format!("hall/a 0003/ is held by seat/{}", seat(9));
    let expected = [Fate::Impossible(held), Fate::Restored, Fate::Restored];
    assert_eq!(fates, expected);

    let lost = recover(store, &restores, &sources, None, May::Lose).await;
    assert!(lost.unwrap().unwrap().recovered);
    assert_eq!(store.load::<Seat>(seat(3)).await.unwrap(), None);
    assert_eq!(store.load::<Seat>(seat(9)).await.unwrap(), Some(sold));
    let now = log(store).await;
    assert_eq!(now.len(), 6);
    assert_eq!(now[0..2], all[0..2]);
    // An event before them is lost, so the history is another one.
    let ids = |events: &[Recorded]| {
        events
            .iter()
            .map(|event| event.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&now[3..5]), ids(&all[3..5]));
    assert_eq!(now[2].event_type, EventLost::full_name());
    assert_eq!(now[5].subject, seat(9).to_string());
    assert_eq!(restores[0].compare(store).await.unwrap(), [""; 0]);
}
