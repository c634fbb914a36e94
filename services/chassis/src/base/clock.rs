//! The clock: the one place where time is read. Tests turn it by hand.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::base::{
    time,
    time::{SignedDuration, Timestamp},
};

/// Tells the time, to the microsecond.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is turned.
    Manual(ManualClock),
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => time::from_micros(time::to_micros(Timestamp::now())),
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is turned; clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows a time.
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time::to_micros(at))))
    }

    /// The time it shows.
    pub fn now(&self) -> Timestamp {
        time::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Turns it, forwards or backwards.
    pub fn turn(&self, by: SignedDuration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets it.
    pub fn set(&self, at: Timestamp) {
        self.0.store(time::to_micros(at), Ordering::SeqCst);
    }
}
