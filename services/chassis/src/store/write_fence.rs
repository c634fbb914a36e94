//! The write fence: a store whose log ends before a position that others have seen is read-only.
//!
//! This happens after a failover to a standby that lacked the last commits, or after a restore from a backup. New decisions
//! could contradict the lost ones, and new events would get sequence numbers that others have seen already.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
};

use tokio::sync::watch;

use crate::{
    args,
    base::time::Timestamp,
    store::{connection::Conn, error::StoreError},
};

/// Why a store is read-only: its log ends before a position that others have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFence {
    /// Where the log ended when that was noticed.
    pub head: i64,
    /// The highest position that was seen elsewhere.
    pub seen: i64,
    /// Where: a consumer, a replica or the bus.
    pub by: String,
    /// How it is known there: completes the sentence "`by` … `seen`".
    pub why: String,
    /// When it was noticed.
    pub at: Timestamp,
}

impl fmt::Display for WriteFence {
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

/// What this process knows of the write fence and of the high-water mark.
#[derive(Debug, Default)]
pub(crate) struct FenceState {
    fence: watch::Sender<Option<WriteFence>>,
    /// Held while the row is read or written, so that an old result does not replace a newer one.
    pub(crate) lock: tokio::sync::Mutex<()>,
    high_water_mark: AtomicI64,
}

impl FenceState {
    pub(crate) fn get(&self) -> Option<WriteFence> {
        self.fence.borrow().clone()
    }

    pub(crate) async fn wait(&self) {
        let mut fence = self.fence.subscribe();
        // The sender lives as long as the store.
        let _ = fence.wait_for(Option::is_some).await;
    }

    /// The highest position of the log that this process has seen.
    pub(crate) fn high_water_mark(&self) -> i64 {
        self.high_water_mark.load(Ordering::SeqCst)
    }

    pub(crate) fn record_position(&self, position: i64) {
        self.high_water_mark.fetch_max(position, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, context: &'static str, fence: Option<WriteFence>) {
        let is_fenced = fence.is_some();
        self.fence.send_if_modified(|before| {
            let changed = *before != fence;
            match &fence {
                Some(fence) if changed => {
                    tracing::error!(context, why = %fence, "LOG_REGRESSED: the store is read-only until it is recovered");
                }
                None if changed => tracing::warn!(context, "the store is recovered and writable again"),
                _ => {}
            }
            *before = fence;
            changed
        });
        metrics::gauge!("berth_store_fenced", "context" => context).set(f64::from(is_fenced));
    }
}

/// Writes the fence, or raises the position of the one that exists.
pub(crate) async fn put(conn: &mut dyn Conn, fence: &WriteFence) -> Result<(), StoreError> {
    let sql = "INSERT INTO fence (id, head, seen, witness, why, at) VALUES (1, $1, $2, $3, $4, $5)
               ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, witness = excluded.witness, why = excluded.why
               WHERE excluded.seen > fence.seen";
    let values = args![fence.head, fence.seen, &*fence.by, &*fence.why, fence.at];
    conn.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn remove(conn: &mut dyn Conn) -> Result<(), StoreError> {
    conn.execute("DELETE FROM fence", args![]).await?;
    Ok(())
}

pub(crate) async fn read(conn: &mut dyn Conn) -> Result<Option<WriteFence>, StoreError> {
    let sql = "SELECT head, seen, witness, why, at FROM fence";
    let rows = conn.query(sql, args![]).await?;
    let fence = rows.first().map(|row| {
        Ok(WriteFence {
            head: row.int(0)?,
            seen: row.int(1)?,
            by: row.text(2)?.to_owned(),
            why: row.text(3)?.to_owned(),
            at: row.time(4)?,
        })
    });
    fence.transpose()
}
