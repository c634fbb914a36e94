//! Fault points: named places in the machinery at which a test can make something go wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The fault points of one platform. Nothing is armed outside tests, and then a point costs one load.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Armed>);

#[derive(Debug, Default)]
struct Armed {
    any: AtomicBool,
    points: Mutex<BTreeMap<String, u32>>,
}

/// A fault that a test asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("injected fault at {0}")]
pub struct Injected(pub String);

impl Faults {
    /// Makes the next `times` passes of a point fail.
    pub fn arm(&self, point: impl Into<String>, times: u32) {
        self.points().insert(point.into(), times);
        self.0.any.store(true, Ordering::SeqCst);
    }

    /// Makes a point work again.
    pub fn disarm(&self, point: &str) {
        self.points().remove(point);
    }

    /// Whether a pass of the point would fail.
    pub fn is_armed(&self, point: &str) -> bool {
        self.points().get(point).is_some_and(|left| *left > 0)
    }

    /// Fails if the point is armed.
    pub fn pass(&self, point: &str) -> Result<(), Injected> {
        if !self.0.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut points = self.points();
        match points.get_mut(point) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Injected(point.into()))
            }
            _ => Ok(()),
        }
    }

    fn points(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
