//! The last outcome of a repeated operation, for operators: when it last succeeded, and when and why it last failed.

use std::{
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::base::time::Timestamp;

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 300;

/// When an operation last succeeded, and when and why it last failed.
#[derive(Debug, Default)]
pub(crate) struct LastOutcome(Mutex<Outcomes>);

#[derive(Debug, Default)]
struct Outcomes {
    succeeded: Option<Timestamp>,
    failed: Option<(Timestamp, String)>,
}

impl LastOutcome {
    pub(crate) fn record_success(&self, at: Timestamp) {
        self.lock().succeeded = Some(at);
    }

    pub(crate) fn record_failure(&self, at: Timestamp, why: &dyn Display) {
        let why = why.to_string().chars().take(MAX_REASON).collect();
        self.lock().failed = Some((at, why));
    }

    /// Forgets the failure: the failed operation was repeated with success.
    pub(crate) fn clear_failure(&self) {
        self.lock().failed = None;
    }

    /// When it last succeeded.
    pub(crate) fn success(&self) -> Option<Timestamp> {
        self.lock().succeeded
    }

    /// When and why it last failed, unless that was cleared.
    pub(crate) fn failure(&self) -> Option<(Timestamp, String)> {
        self.lock().failed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
