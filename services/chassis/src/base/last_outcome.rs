//! How something went lately, for whoever operates the platform: when it last succeeded, and when and why it last failed.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use crate::base::{time, time::Timestamp};

/// What is kept of a reason.
const LONGEST: usize = 300;
const NEVER: i64 = i64::MIN;

/// When something last succeeded, and when and why it last failed.
#[derive(Debug)]
pub(crate) struct Track {
    succeeded: AtomicI64,
    /// Whether there is a failure, so that nobody need look who has none to make good.
    is_failed: AtomicBool,
    failed: Mutex<Option<(Timestamp, String)>>,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            succeeded: AtomicI64::new(NEVER),
            is_failed: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }
}

impl Track {
    /// It succeeded.
    pub(crate) fn succeeds(&self, at: Timestamp) {
        self.succeeded.store(time::to_micros(at), Ordering::Relaxed);
    }

    /// It failed.
    pub(crate) fn fails(&self, at: Timestamp, why: &dyn std::fmt::Display) {
        let why = why.to_string().chars().take(LONGEST).collect();
        *self.lock() = Some((at, why));
        self.is_failed.store(true, Ordering::Release);
    }

    /// What failed has been made good.
    pub(crate) fn recovers(&self) {
        if self.is_failed.swap(false, Ordering::Acquire) {
            *self.lock() = None;
        }
    }

    /// When it last succeeded.
    pub(crate) fn success(&self) -> Option<Timestamp> {
        let at = self.succeeded.load(Ordering::Relaxed);
        (at != NEVER).then(|| time::from_micros(at))
    }

    /// When and why it last failed, unless that was made good.
    pub(crate) fn failure(&self) -> Option<(Timestamp, String)> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
