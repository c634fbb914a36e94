//! The clock: the only place where time is read. Tests control it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::base::{
    time,
    time::{SignedDuration, Timestamp},
};

/// The source of time, in microseconds.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that moves only when a test turns it.
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

/// A clock that moves only when a test turns it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock at a time.
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time::to_micros(at))))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        time::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Moves it by a duration, forwards or backwards.
    pub fn turn(&self, by: SignedDuration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Moves it to a time.
    pub fn set(&self, at: Timestamp) {
        self.0.store(time::to_micros(at), Ordering::SeqCst);
    }
}
