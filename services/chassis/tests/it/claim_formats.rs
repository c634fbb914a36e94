//! A program with another format of claims: it does not start before the claims are made anew, so that nothing is held by
//! two aggregates.

use std::{collections::BTreeSet, time::Duration};

use chassis::{
    Aggregate, Cause, ClaimRange, Claims, Fact, Now, Publish, Versioned,
    store::{ClaimFormat, ExecuteError, Store, StoreError, StoreOptions},
};
use serde::{Deserialize, Serialize};

use crate::{
    counter::SeatId,
    store::{Bench, Place, postgres, seat, store_suite},
    tally::NotNow,
};

/// Holds a numbered desk, or none. Its claims have another format in each version of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Desk<const VERSION: i64>(Option<u32>);

impl<const VERSION: i64> Desk<VERSION> {
    fn scope() -> String {
        format!("desk/{VERSION}")
    }

    /// The second version has no desks beyond 99.
    fn key(number: u32) -> String {
        match VERSION {
            1 => number.to_string(),
            _ => format!("{:02}", number % 100),
        }
    }
}

impl<const VERSION: i64> Aggregate for Desk<VERSION> {
    const KIND: &'static str = "desk";
    type Id = SeatId;
    type Command = Option<u32>;
    type Event = Option<u32>;
    type Refusal = NotNow;
    const CLAIMS_VERSION: i64 = VERSION;

    fn decide(
        _: Option<&Self>,
        command: &Option<u32>,
        now: &Now,
    ) -> Result<Vec<Self::Event>, NotNow> {
        match command {
            Some(number) if now.is_held(&Self::scope(), &Self::key(*number)) => Err(NotNow),
            command => Ok(vec![*command]),
        }
    }

    fn evolve(_: Option<Self>, event: &Option<u32>) -> Option<Self> {
        Some(Self(*event))
    }

    fn claim_ranges(_: Option<&Self>, _: &Option<u32>) -> Vec<ClaimRange> {
        vec![ClaimRange::all(Self::scope())]
    }

    fn claims(&self) -> Claims {
        let numbers = self.0.into_iter();
        numbers
            .map(|number| (Self::scope(), Self::key(number)))
            .collect()
    }
}

impl<const VERSION: i64> Publish for Desk<VERSION> {
    fn facts(_: SeatId, _: &Option<u32>, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}

/// Opens the store with a version of the program, without `migrate`.
async fn open<const VERSION: i64>(place: &Place) -> Result<Store, StoreError> {
    let options = StoreOptions {
        claims: vec![ClaimFormat::of::<Desk<VERSION>>()],
        ..StoreOptions::default()
    };
    match place {
        Place::File(dir) => Store::sqlite("room", &dir.path().join("room.db"), options).await,
        Place::Schema(scratch) => {
            Store::postgres("room", &scratch.url(), &scratch.settings(), options)
        }
    }
}

/// Opens the store with a version of the program, and migrates it.
async fn migrated<const VERSION: i64>(place: &Place) -> Result<Store, StoreError> {
    let store = open::<VERSION>(place).await?;
    store.migrate().await?;
    Ok(store)
}

async fn give<const VERSION: i64>(
    store: &Store,
    n: u128,
    desk: Option<u32>,
) -> Result<(), ExecuteError<NotNow>> {
    let cause = Cause::default();
    let given = store.execute::<Desk<VERSION>>(seat(n), desk, &cause);
    given.await.map(|_| ())
}

fn claim(scope: &str, key: &str, n: u128) -> (String, String, String) {
    (
        scope.to_owned(),
        key.to_owned(),
        format!("desk/{}", seat(n)),
    )
}

store_suite!(both:
    a_new_format_claims_anew_from_the_states,
    aggregates_that_would_hold_the_same_claim_are_named_and_nothing_changes,
    a_claim_of_an_old_format_is_released,
    only_claims_that_a_state_no_longer_has_are_released,
);

async fn a_new_format_claims_anew_from_the_states(bench: Bench) {
    let old = migrated::<1>(&bench.place).await.unwrap();
    for (n, desk) in [(1, 7), (2, 8), (3, 9)] {
        give::<1>(&old, n, Some(desk)).await.unwrap();
    }
    give::<1>(&old, 3, None).await.unwrap();
    let new = open::<2>(&bench.place).await.unwrap();
    if matches!(bench.place, Place::Schema(_)) {
        let refused = new.check_claims().await.unwrap_err().to_string();
        assert!(
            refused.contains("desk have version 1, this program has version 2"),
            "{refused}"
        );
        assert!(refused.contains("run `migrate`"), "{refused}");
        assert_eq!(new.migrate().await.unwrap(), ["desk"]);
        // The old program does not start any more.
        old.check_claims().await.unwrap_err();
    }
    new.check_claims().await.unwrap();
    assert_eq!(new.migrate().await.unwrap(), [""; 0]);
    let claims = || new.claims();
    let anew = [claim("desk/2", "07", 1), claim("desk/2", "08", 2)];
    assert_eq!(claims().await.unwrap(), anew);

    let taken = give::<2>(&new, 4, Some(7)).await;
    assert_eq!(taken, Err(ExecuteError::Refused(NotNow)));
    give::<2>(&new, 1, None).await.unwrap();
    give::<2>(&new, 4, Some(7)).await.unwrap();
    let after = [claim("desk/2", "07", 4), claim("desk/2", "08", 2)];
    assert_eq!(claims().await.unwrap(), after);
}

async fn aggregates_that_would_hold_the_same_claim_are_named_and_nothing_changes(bench: Bench) {
    let old = migrated::<1>(&bench.place).await.unwrap();
    for (n, desk) in [(1, 7), (2, 107), (3, 8)] {
        give::<1>(&old, n, Some(desk)).await.unwrap();
    }
    let before = old.claims().await.unwrap();
    let failed = migrated::<2>(&bench.place).await.unwrap_err();
    let expected = format!(
        "the claims of desk cannot be made anew: desk/2 07 would be held by desk/{} and by desk/{}",
        seat(1),
        seat(2)
    );
    assert_eq!(failed, StoreError::Claims(expected));
    assert_eq!(old.claims().await.unwrap(), before);
    old.check_claims().await.unwrap();
    // Once one of them has given its desk back, it succeeds.
    give::<1>(&old, 2, None).await.unwrap();
    let new = migrated::<2>(&bench.place).await.unwrap();
    let anew = [claim("desk/2", "07", 1), claim("desk/2", "08", 3)];
    assert_eq!(new.claims().await.unwrap(), anew);
}

/// Even if somebody forgets to change the version.
async fn a_claim_of_an_old_format_is_released(bench: Bench) {
    let store = &bench.store;
    give::<1>(store, 1, Some(7)).await.unwrap();
    give::<1>(store, 2, Some(8)).await.unwrap();
    give::<2>(store, 1, None).await.unwrap();
    assert_eq!(store.claims().await.unwrap(), [claim("desk/1", "8", 2)]);
}

/// Holds any number of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bundle(BTreeSet<u32>);

impl Aggregate for Bundle {
    const KIND: &'static str = "bundle";
    type Id = SeatId;
    type Command = BTreeSet<u32>;
    type Event = BTreeSet<u32>;
    type Refusal = NotNow;

    fn decide(_: Option<&Self>, keys: &BTreeSet<u32>, _: &Now) -> Result<Vec<Self::Event>, NotNow> {
        Ok(vec![keys.clone()])
    }

    fn evolve(_: Option<Self>, keys: &BTreeSet<u32>) -> Option<Self> {
        Some(Self(keys.clone()))
    }

    fn claims(&self) -> Claims {
        let keys = self.0.iter();
        keys.map(|key| ("key", key.to_string())).collect()
    }
}

impl Publish for Bundle {
    fn facts(_: SeatId, _: &BTreeSet<u32>, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}

async fn only_claims_that_a_state_no_longer_has_are_released(bench: Bench) {
    let give = async |n, keys: &[u32]| {
        let keys = keys.iter().copied().collect();
        let cause = Cause::default();
        bench
            .store
            .execute::<Bundle>(seat(n), keys, &cause)
            .await
            .unwrap();
    };
    give(1, &[1, 2, 3]).await;
    give(2, &[7]).await;
    give(1, &[2, 4]).await;
    let claims = bench.store.claims().await.unwrap();
    let held: Vec<_> = claims
        .iter()
        .map(|(_, key, owner)| (&**key, &**owner))
        .collect();
    let (one, other) = (format!("bundle/{}", seat(1)), format!("bundle/{}", seat(2)));
    assert_eq!(held, [("2", &*one), ("4", &one), ("7", &other)]);
    give(1, &[]).await;
    assert_eq!(bench.store.claims().await.unwrap().len(), 1);
}

#[tokio::test]
async fn claims_are_not_made_anew_while_a_process_leads() {
    let place = postgres().await.place;
    let old = migrated::<1>(&place).await.unwrap();
    give::<1>(&old, 1, Some(7)).await.unwrap();
    let time = Duration::from_secs(1);
    assert!(old.lease("leader", "somebody", time).await.unwrap());
    let holder = old.clone();
    let leader = tokio::spawn(async move {
        let mut renewals = tokio::time::interval(time / 10);
        loop {
            renewals.tick().await;
            let _ = holder.lease("leader", "somebody", time).await;
        }
    });
    let refused = migrated::<2>(&place).await.unwrap_err().to_string();
    assert!(refused.contains("stop all processes of room"), "{refused}");
    assert_eq!(old.claims().await.unwrap(), [claim("desk/1", "7", 1)]);
    // A leader that died holds its lease until the time is over.
    leader.abort();
    let new = migrated::<2>(&place).await.unwrap();
    assert_eq!(new.claims().await.unwrap(), [claim("desk/2", "07", 1)]);
}
