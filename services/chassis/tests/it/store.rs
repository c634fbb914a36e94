//! Tests that every store must pass.

use std::collections::BTreeSet;

use chassis::{
    ClaimRange, Units, args,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
    },
    domain::{
        event::{Cause, Recorded},
        position::Position,
    },
    store::{Due, ExecuteError, Store, StoreError, StoreOptions},
};
use chassis_testing::{Scratch, noon};

use crate::{
    counter::{Command, Refusal, Seat, SeatId},
    tally::Tally,
};

pub(crate) fn seat(n: u128) -> SeatId {
    SeatId::from_u128(n)
}

pub(crate) fn take(capacity: u32) -> Command {
    Command::Take {
        hall: "a".into(),
        capacity,
    }
}

/// A store under test, its fault points and its database.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) place: Place,
}

/// Where a store under test is.
pub(crate) enum Place {
    File(tempfile::TempDir),
    Schema(Scratch),
}

impl Place {
    /// Opens the store.
    pub(crate) async fn open(&self, options: StoreOptions) -> Store {
        match self {
            Self::File(dir) => {
                let path = dir.path().join("room.db");
                Store::sqlite("room", &path, options).await.unwrap()
            }
            Self::Schema(scratch) => {
                let settings = scratch.settings();
                let store = Store::postgres("room", &scratch.url(), &settings, options).unwrap();
                store.migrate().await.unwrap();
                store
            }
        }
    }
}

impl Bench {
    async fn at(place: Place) -> Self {
        let faults = Faults::default();
        let options = StoreOptions {
            clock: Clock::Manual(ManualClock::new(noon())),
            faults: faults.clone(),
            ..StoreOptions::default()
        };
        let store = place.open(options).await;
        Self {
            store,
            faults,
            place,
        }
    }
}

pub(crate) async fn sqlite() -> Bench {
    Bench::at(Place::File(tempfile::tempdir().unwrap())).await
}

pub(crate) async fn postgres() -> Bench {
    Bench::at(Place::Schema(Scratch::new().await)).await
}

/// The log, after all of it is numbered.
pub(crate) async fn log(store: &Store) -> Vec<Recorded> {
    while store.number_events().await.unwrap() {}
    assert_eq!(store.unnumbered().await.unwrap(), 0);
    store.log_after(0, 10_000).await.unwrap()
}

/// The high-water mark, after all of the log is numbered.
/// The position of an event.
pub(crate) fn position(event: &Recorded) -> Position {
    Position {
        seq: event.seq,
        digest: event.digest,
        ..Position::START
    }
}

/// A high-water mark. A consumer whose cursor is before it looks at its sequence number only.
pub(crate) fn mark(seq: i64) -> Position {
    Position {
        seq,
        ..Position::START
    }
}

pub(crate) async fn head(store: &Store) -> i64 {
    while store.number_events().await.unwrap() {}
    store.high_water_mark().await.unwrap().seq
}

/// Runs every test on a database.
macro_rules! store_suite {
    ($module:ident on $engine:ident: $($story:ident),+ $(,)?) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $story() {
                Box::pin(super::$story(crate::store::$engine().await)).await;
            })+
        }
    };
    (both: $($story:ident),+ $(,)?) => {
        crate::store::store_suite!(sqlite on sqlite: $($story),+);
        crate::store::store_suite!(postgres on postgres: $($story),+);
    };
}
pub(crate) use store_suite;

store_suite!(both:
    a_command_is_kept_with_its_event_and_claim,
    a_repeat_changes_nothing,
    a_refused_command_changes_nothing,
    of_a_thousand_concurrent_commands_as_many_succeed_as_there_are_seats,
    a_released_claim_can_be_taken_again,
    a_claim_leads_to_its_holder,
    units_are_read_until_enough_are_free,
    due_aggregates_are_found,
    sequence_numbers_have_no_gaps,
    a_decision_on_an_old_version_is_retried,
    commands_in_one_transaction_have_the_effects_of_single_ones,
);

async fn a_command_is_kept_with_its_event_and_claim(bench: Bench) {
    let done = bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::by("somebody"))
        .await
        .unwrap();
    assert_eq!(done.events.len(), 1);
    assert_eq!(
        bench.store.load::<Seat>(seat(1)).await.unwrap(),
        Some(done.now.clone())
    );
    let claims = bench.store.claims().await.unwrap();
    assert_eq!(
        claims,
        [("hall/a".into(), "0001/".into(), format!("seat/{}", seat(1)))]
    );
    let log = log(&bench.store).await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (log[0].seq, log[0].version, log[0].cause.actor.as_str()),
        (1, 1, "somebody")
    );
    assert_eq!(log[0].event_type, "berth.room.v1.RoomReserved");
    assert_eq!(bench.store.log_of(seat(1).to_string()).await.unwrap(), log);
}

async fn a_repeat_changes_nothing(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::default())
        .await
        .unwrap();
    let again = bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::default())
        .await
        .unwrap();
    assert!(again.events.is_empty());
    assert_eq!(again.now.version, 1);
    assert_eq!(head(&bench.store).await, 1);
}

async fn a_refused_command_changes_nothing(bench: Bench) {
    let refused = bench
        .store
        .execute::<Seat>(seat(1), take(0), &Cause::default())
        .await
        .unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refusal::Full));
    assert_eq!(bench.store.load::<Seat>(seat(1)).await.unwrap(), None);
    assert_eq!(head(&bench.store).await, 0);
}

async fn of_a_thousand_concurrent_commands_as_many_succeed_as_there_are_seats(bench: Bench) {
    let racers = (1..=1000).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            store
                .execute::<Seat>(seat(n), take(7), &Cause::default())
                .await
        })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error, ExecuteError::Refused(Refusal::Full)),
        }
    }
    assert_eq!(won, 7);
    assert_eq!(
        bench
            .store
            .taken(ClaimRange::all("hall/a"))
            .await
            .unwrap()
            .len(),
        7
    );
    assert_eq!(head(&bench.store).await, 7);
}

async fn a_released_claim_can_be_taken_again(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
    bench
        .store
        .execute::<Seat>(seat(1), Command::Leave, &Cause::default())
        .await
        .unwrap();
    bench
        .store
        .execute::<Seat>(seat(2), take(1), &Cause::default())
        .await
        .unwrap();
    assert_eq!(bench.store.claims().await.unwrap().len(), 1);
}

async fn a_claim_leads_to_its_holder(bench: Bench) {
    let holder = || bench.store.holder::<Seat>("hall/a", "0001/".into());
    let cause = Cause::default();
    assert_eq!(holder().await.unwrap(), None);
    bench
        .store
        .execute::<Seat>(seat(7), take(1), &cause)
        .await
        .unwrap();
    assert_eq!(holder().await.unwrap(), Some(seat(7)));
    bench
        .store
        .execute::<Seat>(seat(7), Command::Leave, &cause)
        .await
        .unwrap();
    assert_eq!(holder().await.unwrap(), None);
}

async fn units_are_read_until_enough_are_free(bench: Bench) {
    let held = [
        ("o", "0001/02"),
        ("o", "0003/01"),
        ("o", "0003/02"),
        ("o", "0003/03"),
        ("o", "0002/04"),
        ("other", "0002/02"),
    ];
    let claimed: Result<(), StoreError> = bench
        .store
        .transact(move |unit| {
            Box::pin(async move {
                let sql = "INSERT INTO claim (scope, key, owner) VALUES ($1, $2, 'x/y')";
                for (scope, key) in held {
                    unit.conn().execute(sql, args![scope, key]).await?;
                }
                Ok(())
            })
        })
        .await;
    claimed.unwrap();
    let taken = async |count: u32, wanted: u32| {
        let range = ClaimRange::range("o", "01", "04").of_units(Units { count, wanted });
        bench.store.taken(range).await.unwrap()
    };
    // One key stands for all keys of a unit, and nothing is read beyond the last unit that is needed.
    assert_eq!(taken(9, 1).await, ["0001/01"]);
    assert_eq!(taken(9, 2).await, ["0001/01", "0003/01"]);
    assert_eq!(taken(9, 9).await, ["0001/01", "0003/01"]);
    assert_eq!(taken(3, 9).await, ["0001/01", "0003/01"]);
    assert_eq!(taken(1, 1).await, ["0001/01"]);
    let all = ClaimRange::range("o", "0001", "0003");
    assert_eq!(bench.store.taken(all).await.unwrap().len(), 2);
}

async fn due_aggregates_are_found(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
    let later = noon()
        .checked_add(chassis::base::time::SignedDuration::from_mins(15))
        .unwrap();
    let due = |at| bench.store.due(vec!["seat"], at, 10);
    assert_eq!(due(noon()).await.unwrap(), []);
    let expected = Due {
        kind: "seat".to_owned(),
        id: seat(1).to_string(),
        since: later,
        failures: 0,
    };
    assert_eq!(due(later).await.unwrap(), [expected]);
    assert_eq!(bench.store.due(vec!["chair"], later, 10).await.unwrap(), []);
    bench
        .store
        .execute::<Seat>(seat(1), Command::Leave, &Cause::default())
        .await
        .unwrap();
    assert_eq!(due(later).await.unwrap(), []);
}

async fn sequence_numbers_have_no_gaps(bench: Bench) {
    let work = (1..=200).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            // Every third is refused and rolls back.
            let capacity = if n % 3 == 0 { 0 } else { 1000 };
            let _ = store
                .execute::<Seat>(seat(n), take(capacity), &Cause::default())
                .await;
        })
    });
    for work in work.collect::<Vec<_>>() {
        work.await.unwrap();
    }
    let log = log(&bench.store).await;
    assert_eq!(
        log.iter().map(|event| event.seq).collect::<Vec<_>>(),
        (1..=134).collect::<Vec<_>>()
    );
    let ids: BTreeSet<_> = log.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), 134);
}

async fn a_decision_on_an_old_version_is_retried(bench: Bench) {
    let say = |n: u32| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let cause = Cause::default();
            let said = store.execute::<Tally>(seat(1), n.to_string(), &cause);
            said.await.unwrap();
        })
    };
    for said in (0..40).map(say).collect::<Vec<_>>() {
        said.await.unwrap();
    }
    let tally = bench.store.load::<Tally>(seat(1)).await.unwrap().unwrap();
    let said: BTreeSet<_> = tally.state.0.into_iter().collect();
    assert_eq!((said.len(), tally.version), (40, 40));
}

/// The statements differ between the databases, the effects do not.
async fn commands_in_one_transaction_have_the_effects_of_single_ones(bench: Bench) {
    const COMMANDS: u64 = 200;
    let apart = sqlite().await;
    let other = &apart.store;
    // Forty people, who take a seat or leave it, in two halls that have three seats: by a fixed sequence that has no pattern.
    let commands: Vec<(SeatId, Command)> = (1..=COMMANDS)
        .map(|n| {
            let dice = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            let who = seat(u128::from(dice % 40 + 1));
            let hall = if dice & 64 == 0 { "a" } else { "b" };
            let (hall, capacity) = (hall.to_owned(), 3);
            let take = Command::Take { hall, capacity };
            let leaves = (dice >> 32).is_multiple_of(2);
            (who, if leaves { Command::Leave } else { take })
        })
        .collect();
    let mut expected = Vec::new();
    let cause = Cause::default();
    for (who, command) in &commands {
        let done = other.execute::<Seat>(*who, command.clone(), &cause);
        expected.push(done.await.map(|done| done.events).map_err(refusal));
    }
    let given = commands.clone();
    let work = bench.store.transact(move |unit| {
        let given = given.clone();
        Box::pin(async move {
            let (mut came, cause) = (Vec::new(), Cause::default());
            for (who, command) in &given {
                let done = unit.execute::<Seat>(*who, command, &cause);
                came.push(done.await.map(|done| done.events).map_err(refusal));
            }
            Ok::<_, StoreError>(came)
        })
    });
    assert_eq!(work.await.unwrap(), expected);
    let happened = expected.iter().flatten().flatten().count();
    let refused = expected.iter().filter(|one| one.is_err()).count();
    assert!(happened > 20 && refused > 10, "{happened} and {refused}");
    let facts = |log: Vec<Recorded>| -> Vec<_> {
        let facts = log.into_iter();
        facts
            .map(|event| (event.seq, event.subject, event.version, event.data))
            .collect()
    };
    assert_eq!(facts(log(&bench.store).await), facts(log(other).await));
    assert_eq!(
        bench.store.claims().await.unwrap(),
        other.claims().await.unwrap()
    );
    for (who, _) in commands {
        let here = bench.store.load::<Seat>(who).await.unwrap();
        let there = other.load::<Seat>(who).await.unwrap();
        assert_eq!(here.map(|it| it.state), there.map(|it| it.state));
    }
}

fn refusal(error: ExecuteError<Refusal>) -> Refusal {
    match error {
        ExecuteError::Refused(refusal) => refusal,
        ExecuteError::Store(error) => panic!("{error}"),
    }
}
