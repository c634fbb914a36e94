//! The write fence: a store is read-only if its log lacks events that others have seen.
//!
//! This happens after a failover to a standby that lacked the last commits, or after a restore from a backup. New decisions
//! could contradict the lost ones, and new events would get sequence numbers that others have seen already.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    args,
    base::time::Timestamp,
    domain::position::Position,
    store::{connection::Conn, error::StoreError},
};

/// How long the first comparison of the log is awaited before events are numbered.
const FIRST_COMPARISON: Duration = Duration::from_secs(5);

/// Why a store is read-only: its log ends before a position that others have seen, or has other events there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFence {
    /// Where the log ended when that was noticed.
    pub head: i64,
    /// The highest position that was seen elsewhere.
    pub seen: i64,
    /// Where: a consumer, a replica or the bus.
    pub witness: String,
    /// How it is known there: completes the sentence "`witness` … `seen`".
    pub evidence: String,
    /// When it was noticed.
    pub at: Timestamp,
}

impl fmt::Display for WriteFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            head,
            seen,
            witness,
            evidence,
            ..
        } = self;
        if seen > head {
            write!(f, "the log ends at {head}, but {witness} {evidence} {seen}")
        } else {
            write!(
                f,
                "the log has other events than {witness}, which {evidence} {seen}"
            )
        }
    }
}

/// What this process knows of the write fence and of the high-water mark.
#[derive(Debug)]
pub(crate) struct FenceState {
    fence: watch::Sender<Option<WriteFence>>,
    /// Held while the row is read or written, so that an old result does not replace a newer one.
    pub(crate) lock: tokio::sync::Mutex<()>,
    high_water_mark: Mutex<Position>,
    compared: AtomicBool,
    /// When the store was opened.
    opened: Instant,
}

impl FenceState {
    /// The state of a store that is opened now.
    pub(crate) fn new() -> Self {
        Self {
            fence: watch::Sender::default(),
            lock: tokio::sync::Mutex::default(),
            high_water_mark: Mutex::default(),
            compared: AtomicBool::new(false),
            opened: Instant::now(),
        }
    }

    pub(crate) fn get(&self) -> Option<WriteFence> {
        self.fence.borrow().clone()
    }

    pub(crate) async fn wait(&self) {
        let mut fence = self.fence.subscribe();
        // The sender lives as long as the store.
        let _ = fence.wait_for(Option::is_some).await;
    }

    /// The highest position of the log that this process has seen.
    pub(crate) fn high_water_mark(&self) -> Position {
        *self.mark()
    }

    pub(crate) fn record_position(&self, position: Position) {
        let mut mark = self.mark();
        // A recovery begins an epoch, and may shorten what was seen.
        if (position.epoch, position.seq) > (mark.epoch, mark.seq) {
            *mark = position;
        }
    }

    fn mark(&self) -> MutexGuard<'_, Position> {
        let mark = self.high_water_mark.lock();
        mark.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log was compared, or that was awaited for long enough: a consumer may ask another replica.
    pub(crate) fn is_compared(&self) -> bool {
        self.compared.load(Ordering::SeqCst) || self.opened.elapsed() >= FIRST_COMPARISON
    }

    pub(crate) fn set_compared(&self) {
        self.compared.store(true, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, context: &'static str, fence: Option<WriteFence>) {
        let is_fenced = fence.is_some();
        self.fence.send_if_modified(|before| {
            let changed = *before != fence;
            match &fence {
                Some(fence) if changed => {
                    tracing::error!(context, fence = %fence, "LOG_REGRESSED: the store is read-only until it is recovered");
                }
                None if changed => {
                    // The recovery has decided which history is right.
                    *self.mark() = Position::START;
                    tracing::warn!(context, "the store is recovered and writable again");
                }
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
    let sql = "INSERT INTO fence (id, head, seen, witness, evidence, at) VALUES (1, $1, $2, $3, $4, $5)
               ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, witness = excluded.witness, evidence = excluded.evidence
               WHERE excluded.seen > fence.seen";
    let values = args![
        fence.head,
        fence.seen,
        &*fence.witness,
        &*fence.evidence,
        fence.at
    ];
    conn.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn remove(conn: &mut dyn Conn) -> Result<(), StoreError> {
    conn.execute("DELETE FROM fence", args![]).await?;
    Ok(())
}

pub(crate) async fn read(conn: &mut dyn Conn) -> Result<Option<WriteFence>, StoreError> {
    let sql = "SELECT head, seen, witness, evidence, at FROM fence";
    let rows = conn.query(sql, args![]).await?;
    let fence = rows.first().map(|row| {
        Ok(WriteFence {
            head: row.int(0)?,
            seen: row.int(1)?,
            witness: row.text(2)?.to_owned(),
            evidence: row.text(3)?.to_owned(),
            at: row.time(4)?,
        })
    });
    fence.transpose()
}
