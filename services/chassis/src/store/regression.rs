//! Detects that the log has lost its end, and fences the store.

use crate::store::{
    error::StoreError,
    log,
    store::Store,
    write_fence::{self, WriteFence},
};

/// How a consumer knows a position; part of [`WriteFence`]'s message.
pub const TAKEN: &str = "has applied events up to";
/// How the bus knows a position.
pub(crate) const CARRIED: &str = "has received events up to";
/// How a replica knows a position.
pub(crate) const READ: &str = "has read events up to";

impl Store {
    /// The write fence, as far as this process knows; see [`Store::look_at_fence`].
    pub fn fenced(&self) -> Option<WriteFence> {
        self.0.fence.get()
    }

    /// Waits until the store is fenced.
    pub(crate) async fn until_fenced(&self) {
        self.0.fence.wait().await;
    }

    /// The highest position of the log that this process has seen. New events are never numbered below it.
    pub(crate) fn floor(&self) -> i64 {
        self.0.fence.high_water_mark()
    }

    /// Compares the log with a position that was seen elsewhere, and fences the store for every replica if the log ends
    /// before it. Returns where the log ends.
    pub async fn seen(&self, seen: i64, by: &str, why: &'static str) -> Result<i64, StoreError> {
        let head = self.head().await?;
        if seen <= head {
            return Ok(head);
        }
        let _lock = self.0.fence.lock.lock().await;
        let by = by.to_owned();
        let checked = self.transact_fenced(move |unit| {
            let by = by.clone();
            Box::pin(async move {
                let at = unit.at();
                let conn = unit.conn();
                // Read where it is written: a replica may lag behind.
                let head = log::high_water_mark(conn).await?;
                if seen > head {
                    let why = why.to_owned();
                    let fence = WriteFence {
                        head,
                        seen,
                        by,
                        why,
                        at,
                    };
                    write_fence::put(conn, &fence).await?;
                }
                Ok::<_, StoreError>((head, write_fence::read(conn).await?))
            })
        });
        let (head, fence) = checked.await?;
        self.0.fence.set(self.context(), fence);
        Ok(head)
    }

    /// Reads whether another replica or a recovery has written or removed the write fence.
    pub async fn look_at_fence(&self) -> Result<(), StoreError> {
        let _lock = self.0.fence.lock.lock().await;
        let fence = self.read(|conn| Box::pin(write_fence::read(conn))).await?;
        self.0.fence.set(self.context(), fence);
        Ok(())
    }
}
