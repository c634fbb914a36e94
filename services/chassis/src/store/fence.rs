//! The fence: a store whose log has gone back behind what others have seen of it can only be read.
//!
//! A standby that lacked the last commits was promoted, or yesterday's backup was put back, while others go on. Whatever
//! such a store would decide now could be sold already, and the numbers it would give to new events are taken.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::store::{Conn, Store, StoreError, sql};
use crate::{args, base::time::Timestamp};

/// Why a store can only be read: somebody has seen more of its log than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The partition of the log.
    pub partition: i32,
    /// How far it went when that was noticed.
    pub head: i64,
    /// How far somebody has seen it go.
    pub seen: i64,
    /// Who has: a consumer, or the bus.
    pub by: String,
    /// How they know.
    pub why: String,
    /// When it was noticed.
    pub at: Timestamp,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            head,
            seen,
            by,
            why,
            ..
        } = self;
        write!(
            f,
            "partition {partition} of the log ends at {head}, but {by} {why} {seen}"
        )
    }
}

/// What a store knows of its fence.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    fences: watch::Sender<Vec<Fence>>,
    /// Held while the fences are read or written, lest an old answer takes the place of a new one.
    one: tokio::sync::Mutex<()>,
    /// How far each partition of the log has been seen to go by this process.
    floors: Mutex<BTreeMap<i32, i64>>,
}

/// How a consumer knows.
pub const TAKEN: &str = "has taken events up to";
/// How the bus knows.
pub(crate) const CARRIED: &str = "has been told of events up to";
/// How a replica knows.
pub(crate) const READ: &str = "has read events up to";

impl Store {
    /// Why it can only be read, if it is fenced. Known without asking the database; see [`Store::look_at_fence`].
    pub fn fenced(&self) -> Option<Fence> {
        self.0.fencing.fences.borrow().first().cloned()
    }

    /// Every partition that has gone back.
    pub fn fences(&self) -> Vec<Fence> {
        self.0.fencing.fences.borrow().clone()
    }

    /// Waits until it is fenced.
    pub(crate) async fn until_fenced(&self) {
        let mut fences = self.0.fencing.fences.subscribe();
        // The sender lives as long as this store.
        let _ = fences.wait_for(|fences| !fences.is_empty()).await;
    }

    /// Somebody has seen a partition of the log go up to `seen`. If it does not, which is looked up where it is written,
    /// the store is fenced from now on, for every replica. Answers how far the log goes.
    pub async fn seen(
        &self,
        partition: i32,
        seen: i64,
        by: &str,
        why: &'static str,
    ) -> Result<i64, StoreError> {
        let head = self.head(partition).await?;
        if seen <= head {
            return Ok(head);
        }
        let _one = self.0.fencing.one.lock().await;
        let by = by.to_owned();
        let (head, fences) = self
            .transact_fenced(move |unit| {
                let by = by.clone();
                Box::pin(async move {
                    let head = sql::head(unit.conn(), partition).await?;
                    if seen > head {
                        let at = unit.at();
                        put(unit.conn(), partition, head, seen, &by, why, at).await?;
                    }
                    Ok::<_, StoreError>((head, all(unit.conn()).await?))
                })
            })
            .await?;
        self.now_fenced(fences);
        Ok(head)
    }

    /// Looks whether another replica, or whoever recovers the store, has put up the fence or taken it away.
    pub async fn look_at_fence(&self) -> Result<(), StoreError> {
        let _one = self.0.fencing.one.lock().await;
        let fences = self.read(|conn| Box::pin(all(conn))).await?;
        self.now_fenced(fences);
        Ok(())
    }

    /// How far each partition has been seen to go: what is new is never numbered below.
    pub(super) fn floors(&self) -> BTreeMap<i32, i64> {
        self.lock_floors().clone()
    }

    /// How far a partition has been seen to go by this process.
    pub(crate) fn floor(&self, partition: i32) -> i64 {
        self.lock_floors().get(&partition).copied().unwrap_or(0)
    }

    pub(super) fn note_head(&self, partition: i32, head: i64) {
        let mut floors = self.lock_floors();
        let floor = floors.entry(partition).or_default();
        *floor = head.max(*floor);
    }

    fn lock_floors(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, i64>> {
        let floors = &self.0.fencing.floors;
        floors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_fenced(&self, fences: Vec<Fence>) {
        let context = self.context();
        self.0.fencing.fences.send_if_modified(|before| {
            let changed = *before != fences;
            if changed {
                for fence in &fences {
                    tracing::error!(context, why = %fence, "LOG_REGRESSED: the store can only be read until it is recovered");
                }
                if fences.is_empty() {
                    tracing::warn!(context, "the store is recovered and can be written to again");
                }
                *before = fences;
            }
            changed
        });
        let is_up = self.fenced().is_some();
        metrics::gauge!("berth_store_fenced", "context" => context).set(f64::from(is_up));
    }
}

async fn put(
    conn: &mut dyn Conn,
    partition: i32,
    head: i64,
    seen: i64,
    by: &str,
    why: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO fence (partition, head, seen, witness, why, at) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (partition) DO UPDATE SET seen = excluded.seen, witness = excluded.witness, why = excluded.why
               WHERE excluded.seen > fence.seen";
    let values = args![partition, head, seen, by, why, at];
    conn.execute(sql, values).await.map(|_| ())
}

async fn all(conn: &mut dyn Conn) -> Result<Vec<Fence>, StoreError> {
    let sql = "SELECT partition, head, seen, witness, why, at FROM fence ORDER BY partition";
    let rows = conn.query(sql, args![]).await?;
    let fences = rows.iter().map(|row| {
        Ok(Fence {
            partition: i32::try_from(row.int(0)?).unwrap_or(i32::MAX),
            head: row.int(1)?,
            seen: row.int(2)?,
            by: row.text(3)?.to_owned(),
            why: row.text(4)?.to_owned(),
            at: row.time(5)?,
        })
    });
    fences.collect()
}
