//! The thresholds of findings.

use chassis::base::time::SignedDuration;

/// The thresholds of findings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest allowed difference between clocks.
    pub clock: SignedDuration,
    /// The largest allowed lag of a consumer or of the bus, in events.
    pub lag: i64,
    /// How long work may be overdue.
    pub overdue: SignedDuration,
    /// The longest allowed time without a heartbeat of a producer on the bus.
    pub silence: SignedDuration,
    /// How long the failure of a peer is reported.
    pub recent: SignedDuration,
}
