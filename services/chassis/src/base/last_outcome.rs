//! The last outcome of a repeated operation, for operators: when it last succeeded, and when and why it last failed.

use std::{
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use crate::base::{time, time::Timestamp};

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 300;
const NEVER: i64 = i64::MIN;

/// When an operation last succeeded, and when and why it last failed.
#[derive(Debug)]
pub(crate) struct LastOutcome {
    succeeded: AtomicI64,
    /// Whether `failed` is set, so that clearing nothing needs no lock.
    is_failed: AtomicBool,
    failed: Mutex<Option<(Timestamp, String)>>,
}

impl Default for LastOutcome {
    fn default() -> Self {
        Self {
            succeeded: AtomicI64::new(NEVER),
            is_failed: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }
}

impl LastOutcome {
    pub(crate) fn record_success(&self, at: Timestamp) {
        self.succeeded.store(time::to_micros(at), Ordering::Relaxed);
    }

    pub(crate) fn record_failure(&self, at: Timestamp, why: &dyn Display) {
        let why = why.to_string().chars().take(MAX_REASON).collect();
        *self.failed() = Some((at, why));
        self.is_failed.store(true, Ordering::Release);
    }

    /// Forgets the failure: the failed operation was repeated with success.
    pub(crate) fn clear_failure(&self) {
        if self.is_failed.swap(false, Ordering::Acquire) {
            *self.failed() = None;
        }
    }

    /// When it last succeeded.
    pub(crate) fn success(&self) -> Option<Timestamp> {
        let at = self.succeeded.load(Ordering::Relaxed);
        (at != NEVER).then(|| time::from_micros(at))
    }

    /// When and why it last failed, unless that was cleared.
    pub(crate) fn failure(&self) -> Option<(Timestamp, String)> {
        self.failed().clone()
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Timestamp, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
