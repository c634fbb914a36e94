//! Fault points: named points in the chassis at which a test can inject an error.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The fault points of one platform. Outside tests none is armed, and a point costs one load.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Armed>);

#[derive(Debug, Default)]
struct Armed {
    any: AtomicBool,
    points: Mutex<BTreeMap<String, When>>,
}

/// When a point fails.
#[derive(Clone, Copy, Debug)]
enum When {
    /// The next times.
    Next(u32),
    /// Once in the first number of passes; the second counts them.
    OneIn(u32, u32),
}

/// An injected fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("injected fault at {0}")]
pub struct Injected(pub String);

impl Faults {
    /// Makes the next `times` passes of a point fail.
    pub fn arm(&self, point: impl Into<String>, times: u32) {
        self.set(point.into(), When::Next(times));
    }

    /// Makes one in `passes` passes of a point fail, until it is disarmed.
    pub fn arm_one_in(&self, point: impl Into<String>, passes: u32) {
        self.set(point.into(), When::OneIn(passes, 0));
    }

    fn set(&self, point: String, when: When) {
        self.points().insert(point, when);
        self.0.any.store(true, Ordering::SeqCst);
    }

    /// Disarms a point.
    pub fn disarm(&self, point: &str) {
        self.points().remove(point);
    }

    /// Whether a pass of the point would fail.
    pub fn is_armed(&self, point: &str) -> bool {
        let armed = |when: &When| !matches!(when, When::Next(0));
        self.points().get(point).is_some_and(armed)
    }

    /// Fails if the point is armed.
    pub fn pass(&self, point: &str) -> Result<(), Injected> {
        if !self.0.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut points = self.points();
        match points.get_mut(point) {
            Some(When::Next(left)) if *left > 0 => {
                *left -= 1;
                Err(Injected(point.into()))
            }
            Some(When::OneIn(passes, count)) => {
                *count = count.wrapping_add(1);
                match *count % (*passes).max(1) {
                    0 => Err(Injected(point.into())),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// As [`Self::pass`], for a point with a name that takes time to write.
    pub fn pass_named(&self, point: impl FnOnce() -> String) -> Result<(), Injected> {
        if !self.0.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.pass(&point())
    }

    fn points(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, When>> {
        self.0.points.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
