//! Advances the clock, and waits until the platform has nothing left to do.

use std::time::Duration;

use chassis::{
    Store, args,
    base::time::{SignedDuration, Timestamp},
    runtime::context_runtime::ContextRuntime,
};

use super::World;
use crate::people::Person;

/// Failed attempts of a consumer that are retried without the story advancing the clock.
const FIRST_RETRIES: i64 = 3;
/// How often [`chassis_testing::quiet`] may reach its own bound before a story fails: a busy machine takes longer.
const QUIET_ATTEMPTS: usize = 6;

impl World {
    /// Advances the clock, waits until the platform is quiet, and renews the tokens that have expired.
    pub async fn advance(&self, by: SignedDuration) {
        self.clock.turn(by);
        self.quiet().await;
        let people: Vec<Person> = self.people().clone();
        let now = self.clock.now();
        for person in people.iter().filter(|person| !person.is_signed_in(now)) {
            person.sign_in_again().await.expect("signs in again");
        }
    }

    /// Advances the clock by hours.
    pub async fn advance_hours(&self, hours: i64) {
        self.advance(SignedDuration::from_hours(hours)).await;
    }

    /// Advances the clock by minutes.
    pub async fn advance_minutes(&self, minutes: i64) {
        self.advance(SignedDuration::from_mins(minutes)).await;
    }

    /// Waits until nothing is left to do at the present time of the clock.
    ///
    /// The clock stands still, so an event whose consumption failed once (for example after an optimistic conflict) would
    /// never be retried. The clock is therefore advanced past such retries. Events that have failed more often wait for
    /// something that the story does itself.
    pub async fn quiet(&self) {
        self.retried(FIRST_RETRIES).await;
    }

    /// Waits until nothing is left to do, and advances the clock past the retries of events that have failed at most
    /// `attempts` times.
    pub(super) async fn retried(&self, attempts: i64) {
        loop {
            self.quiet_now(|_| true).await;
            let Some(next) = self.next_retry(attempts).await else {
                return;
            };
            self.clock.turn(next.duration_since(self.clock.now()));
        }
    }

    /// When the next dead letter or due aggregate is retried that has failed at most `attempts` times.
    async fn next_retry(&self, attempts: i64) -> Option<Timestamp> {
        let mut retries = Vec::new();
        for runtime in self.runtimes() {
            if runtime.deps.store.fenced().is_none() {
                let letters = self.dead_letters(runtime.context.name).await;
                let failed = letters
                    .into_iter()
                    .filter(|letter| !letter.parked && (1..=attempts).contains(&letter.attempts));
                retries.extend(failed.map(|letter| letter.next_attempt));
                retries.extend(retries_of_due(&runtime.deps.store, attempts).await);
            }
        }
        let now = self.clock.now();
        retries.into_iter().filter(|retry| *retry > now).min()
    }

    /// Waits until the chosen contexts have nothing left to do, without advancing the clock.
    async fn quiet_now(&self, chosen: impl Fn(&str) -> bool) {
        let runtimes = self.runtimes();
        let chosen: Vec<ContextRuntime> = runtimes
            .filter(|runtime| chosen(runtime.context.name))
            .cloned()
            .collect();
        for _ in 1..QUIET_ATTEMPTS {
            if chassis_testing::quiet(&chosen).await.is_ok() {
                return;
            }
        }
        let quiet = chassis_testing::quiet(&chosen).await;
        quiet.expect("the platform comes to rest");
    }

    /// Waits until every context but one has nothing left to do.
    pub async fn quiet_without(&self, context: &str) {
        self.quiet_now(|name| name != context).await;
    }

    /// Waits until a fault point was passed, or until every context but those in `except` has nothing left to do.
    /// Returns whether the point was passed.
    pub async fn reached(&self, point: &str, except: &[&str]) -> bool {
        let passed = async {
            let mut polls = tokio::time::interval(Duration::from_millis(1));
            while self.faults.is_armed(point) {
                polls.tick().await;
            }
        };
        tokio::select! {
            () = passed => true,
            () = self.quiet_now(|name| !except.contains(&name)) => !self.faults.is_armed(point),
        }
    }

    /// Whether a context has work left at the present time of the clock.
    pub async fn is_busy(&self, context: &str) -> bool {
        for runtime in self.runtimes_of(context) {
            if runtime.busy().await.expect("reads").is_some() {
                return true;
            }
        }
        false
    }
}

/// The times of the retries of due aggregates that have failed at most `attempts` times.
async fn retries_of_due(store: &Store, attempts: i64) -> Vec<Timestamp> {
    let sql = "SELECT retry_at FROM aggregate WHERE retry_at IS NOT NULL AND failures <= $1";
    let rows = store
        .read(move |conn| conn.query(sql, args![attempts]))
        .await;
    let rows = rows.expect("reads");
    rows.iter().filter_map(|row| row.time(0).ok()).collect()
}
