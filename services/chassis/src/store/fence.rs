//! The fence: a store whose log has gone back behind what others have seen of it can only be read.
//!
//! A standby that lacked the last commits was promoted, or yesterday's backup was put back, while others go on. Whatever
//! such a store would decide now could be sold already, and the numbers it would give to new events are taken.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
};

use tokio::sync::watch;

use crate::store::{Conn, Store, StoreError, sql};
use crate::{args, base::time::Timestamp};

/// Why a store can only be read: somebody has seen more of its log than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
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
            head,
            seen,
            by,
            why,
            ..
        } = self;
        write!(f, "the log ends at {head}, but {by} {why} {seen}")
    }
}

/// What a store knows of its fence.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    fence: watch::Sender<Option<Fence>>,
    /// Held while the fences are read or written, lest an old answer takes the place of a new one.
    one: tokio::sync::Mutex<()>,
    /// How far the log has been seen to go by this process.
    floor: AtomicI64,
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
        self.0.fencing.fence.borrow().clone()
    }

    /// Waits until it is fenced.
    pub(crate) async fn until_fenced(&self) {
        let mut fence = self.0.fencing.fence.subscribe();
        // The sender lives as long as this store.
        let _ = fence.wait_for(Option::is_some).await;
    }

    /// Somebody has seen the log go up to `seen`. If it does not, which is looked up where it is written,
    /// the store is fenced from now on, for every replica. Answers how far the log goes.
    pub async fn seen(&self, seen: i64, by: &str, why: &'static str) -> Result<i64, StoreError> {
        let head = self.head().await?;
        if seen <= head {
            return Ok(head);
        }
        let _one = self.0.fencing.one.lock().await;
        let by = by.to_owned();
        let (head, fence) = self
            .transact_fenced(move |unit| {
                let by = by.clone();
                Box::pin(async move {
                    let head = sql::head(unit.conn()).await?;
                    if seen > head {
                        let at = unit.at();
                        put(unit.conn(), head, seen, &by, why, at).await?;
                    }
                    Ok::<_, StoreError>((head, read(unit.conn()).await?))
                })
            })
            .await?;
        self.now_fenced(fence);
        Ok(head)
    }

    /// Looks whether another replica, or whoever recovers the store, has put up the fence or taken it away.
    pub async fn look_at_fence(&self) -> Result<(), StoreError> {
        let _one = self.0.fencing.one.lock().await;
        let fence = self.read(|conn| Box::pin(read(conn))).await?;
        self.now_fenced(fence);
        Ok(())
    }

    /// How far the log has been seen to go by this process: what is new is never numbered below.
    pub(crate) fn floor(&self) -> i64 {
        self.0.fencing.floor.load(Ordering::SeqCst)
    }

    pub(super) fn note_head(&self, head: i64) {
        self.0.fencing.floor.fetch_max(head, Ordering::SeqCst);
    }

    fn now_fenced(&self, fence: Option<Fence>) {
        let context = self.context();
        self.0.fencing.fence.send_if_modified(|before| {
            let changed = *before != fence;
            if changed {
                match &fence {
                    Some(fence) => {
                        tracing::error!(context, why = %fence, "LOG_REGRESSED: the store can only be read until it is recovered");
                    }
                    None => {
                        tracing::warn!(context, "the store is recovered and can be written to again");
                    }
                }
                *before = fence;
            }
            changed
        });
        let is_up = self.fenced().is_some();
        metrics::gauge!("berth_store_fenced", "context" => context).set(f64::from(is_up));
    }
}

async fn put(
    conn: &mut dyn Conn,
    head: i64,
    seen: i64,
    by: &str,
    why: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO fence (only, head, seen, witness, why, at) VALUES (1, $1, $2, $3, $4, $5)
               ON CONFLICT (only) DO UPDATE SET seen = excluded.seen, witness = excluded.witness, why = excluded.why
               WHERE excluded.seen > fence.seen";
    let values = args![head, seen, by, why, at];
    conn.execute(sql, values).await.map(|_| ())
}

async fn read(conn: &mut dyn Conn) -> Result<Option<Fence>, StoreError> {
    let sql = "SELECT head, seen, witness, why, at FROM fence";
    let rows = conn.query(sql, args![]).await?;
    let fence = rows.first().map(|row| {
        Ok(Fence {
            head: row.int(0)?,
            seen: row.int(1)?,
            by: row.text(2)?.to_owned(),
            why: row.text(3)?.to_owned(),
            at: row.time(4)?,
        })
    });
    fence.transpose()
}
