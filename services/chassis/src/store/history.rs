//! Compares the log with positions that were observed elsewhere, and fences the store if it has another history.

use crate::{
    domain::{
        digest::LogDigest,
        position::{Cursor, Position, Reported},
    },
    store::{
        connection::Conn,
        error::StoreError,
        log, recoveries,
        store::Store,
        write_fence::{self, WriteFence},
    },
};

/// How a consumer knows a position; part of [`WriteFence`]'s message.
pub const APPLIED: &str = "has applied events up to";
/// How the bus knows a position.
pub(crate) const CARRIED: &str = "has received events up to";
/// How a replica knows a position.
pub(crate) const READ: &str = "has read events up to";

/// How an observed position relates to the log.
enum Relation {
    /// The log has the same history up to it.
    Same,
    /// A recovery of the log has accounted for it.
    Recovered(Cursor),
    /// The log has lost events.
    Other,
}

impl Store {
    /// The write fence, as far as this process knows; see [`Store::refresh_fence`].
    pub fn fenced(&self) -> Option<WriteFence> {
        self.0.fence.get()
    }

    /// Waits until the store is fenced.
    pub(crate) async fn until_fenced(&self) {
        self.0.fence.wait().await;
    }

    /// The highest position of the log that this process has seen.
    pub(crate) fn floor(&self) -> Position {
        self.0.fence.high_water_mark()
    }

    /// Records a position of the log that this process has seen.
    pub(crate) fn record_position(&self, position: Position) {
        self.0.fence.record_position(position);
    }

    /// Whether the log was compared with a position from elsewhere since this process started, or five seconds have passed.
    /// Events are numbered only then: after a failover their numbers may have been given to events that were lost.
    pub(crate) fn is_compared(&self) -> bool {
        self.0.fence.is_compared()
    }

    /// The high-water mark of the log, and whether it has the history of two positions.
    pub(crate) async fn ends(
        &self,
        at: [Position; 2],
    ) -> Result<(Position, [bool; 2]), StoreError> {
        let seqs = at.map(|position| position.seq);
        let (mark, digests) = self
            .read(move |conn| Box::pin(log::ends(conn, seqs)))
            .await?;
        let [first, second] = at;
        let [of_first, of_second] = digests;
        let has = |position, digest| is_same(mark, digest, position);
        Ok((mark, [has(first, of_first), has(second, of_second)]))
    }

    /// Compares the log with a position that was observed elsewhere. If the log has another history, the store is fenced for
    /// every replica.
    pub async fn compare(
        &self,
        observed: Position,
        witness: &str,
        evidence: &'static str,
    ) -> Result<Reported, StoreError> {
        let (mark, relation) = self
            .read(move |conn| Box::pin(relate(conn, observed)))
            .await?;
        let resume = match relation {
            Relation::Same => None,
            Relation::Recovered(cursor) => Some(cursor),
            Relation::Other => return self.compare_and_fence(observed, witness, evidence).await,
        };
        self.0.fence.set_compared();
        Ok(Reported {
            high_water_mark: mark,
            resume,
        })
    }

    async fn compare_and_fence(
        &self,
        observed: Position,
        witness: &str,
        evidence: &'static str,
    ) -> Result<Reported, StoreError> {
        let _lock = self.0.fence.lock.lock().await;
        let witness = witness.to_owned();
        let checked = self.transact_fenced(move |unit| {
            let witness = witness.clone();
            Box::pin(async move {
                let at = unit.at();
                let conn = unit.conn();
                // Read where it is written: a replica may lag behind.
                let (mark, relation) = relate(conn, observed).await?;
                let resume = match relation {
                    Relation::Same => None,
                    Relation::Recovered(cursor) => Some(cursor),
                    Relation::Other => {
                        let fence = WriteFence {
                            head: mark.seq,
                            seen: observed.seq,
                            witness,
                            evidence: evidence.to_owned(),
                            at,
                        };
                        write_fence::put(conn, &fence).await?;
                        None
                    }
                };
                let reported = Reported {
                    high_water_mark: mark,
                    resume,
                };
                Ok::<_, StoreError>((reported, write_fence::read(conn).await?))
            })
        });
        let (reported, fence) = checked.await?;
        self.0.fence.set(self.context(), fence);
        Ok(reported)
    }

    /// Reads whether another replica or a recovery has written or removed the write fence.
    pub async fn refresh_fence(&self) -> Result<(), StoreError> {
        let _lock = self.0.fence.lock.lock().await;
        let fence = self.read(|conn| Box::pin(write_fence::read(conn))).await?;
        self.0.fence.set(self.context(), fence);
        Ok(())
    }
}

/// Whether a log that ends at `mark` and has a digest at a position has the same history up to it. A log that lacks only the
/// event at the position is damaged, which is another problem.
fn is_same(mark: Position, own: Option<LogDigest>, observed: Position) -> bool {
    let is_missing = own.is_none() && observed.seq <= mark.seq;
    observed.seq == 0 || is_missing || own == Some(observed.digest)
}

async fn relate(
    conn: &mut dyn Conn,
    observed: Position,
) -> Result<(Position, Relation), StoreError> {
    let (mark, [own, _]) = log::ends(conn, [observed.seq, 0]).await?;
    if is_same(mark, own, observed) {
        // The digest says it all. A consumer gets the present epoch, so that a later comparison knows what it has seen.
        let cursor = Cursor {
            at: Position {
                epoch: mark.epoch,
                ..observed
            },
            ..Cursor::default()
        };
        let relation = if observed.epoch == mark.epoch {
            Relation::Same
        } else {
            Relation::Recovered(cursor)
        };
        return Ok((mark, relation));
    }
    let Some(resume) = recoveries::resume(conn, observed).await? else {
        return Ok((mark, Relation::Other));
    };
    let (_, [digest, _]) = log::ends(conn, [resume.at.seq, 0]).await?;
    let at = Position {
        epoch: mark.epoch,
        digest: digest.unwrap_or_default(),
        ..resume.at
    };
    Ok((mark, Relation::Recovered(Cursor { at, ..resume })))
}
