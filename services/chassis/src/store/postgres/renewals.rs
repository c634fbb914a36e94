//! What a process has seen of the leases that others hold.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

/// The last renewal seen of each lease that another holder has.
pub(super) type SeenRenewals = Mutex<BTreeMap<String, SeenRenewal>>;

/// A renewal of a lease by another holder.
#[derive(Debug)]
pub(super) struct SeenRenewal {
    pub(super) id: String,
    /// When it was seen first.
    pub(super) since: Instant,
    /// The time of the lease.
    pub(super) time: Duration,
}
