//! A circuit breaker: after too many failures a callee gets no calls for a while, and then one probe.
//!
//! ```text
//! closed ─half of the last 20 failed→ open ─1 s→ half-open ─probe succeeds→ closed
//!                                      ↑─────────────────────probe fails─┘
//! ```
//!
//! It uses the platform's clock, so that tests and the simulation control it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use berth::inspection::v1::BreakerState;

use crate::base::{
    clock::Clock,
    time::{SignedDuration, Timestamp},
};

/// How many of the last calls count.
const WINDOW: u32 = 20;
/// With fewer calls the breaker stays closed.
const MIN_CALLS: u32 = 10;
/// How long it stays open before a probe.
const OPEN: SignedDuration = SignedDuration::from_secs(1);
/// The same by the machine's monotonic clock: a platform's clock that stands still must not keep it open for ever.
const OPEN_AT_MOST: Duration = Duration::from_secs(5);

/// Counts the outcomes of calls to one callee.
#[derive(Debug)]
pub(crate) struct Breaker {
    peer: String,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// All calls pass. The last outcomes, the latest in the lowest bit, 1 for a failure; and how many there are.
    Closed { failures: u32, calls: u32 },
    /// No call passes.
    Open { since: Timestamp, opened: Instant },
    /// One call passes as a probe.
    HalfOpen { probing: bool },
}

/// How a call was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Normal,
    Probe,
}

impl State {
    /// Its name, and its value of the metric.
    fn label(self) -> (&'static str, f64) {
        match self {
            Self::Closed { .. } => ("closed", 0.0),
            Self::HalfOpen { .. } => ("half_open", 1.0),
            Self::Open { .. } => ("open", 2.0),
        }
    }
}

const CLOSED: State = State::Closed {
    failures: 0,
    calls: 0,
};

impl Breaker {
    pub(crate) fn new(peer: &str, clock: Clock) -> Self {
        let breaker = Self {
            peer: peer.to_owned(),
            clock,
            state: Mutex::new(CLOSED),
        };
        breaker.publish(CLOSED);
        breaker
    }

    /// Admits a call, or none if calls are suspended.
    pub(crate) fn admit(&self) -> Option<Pass> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Some(Pass::Normal),
            State::Open { since, opened } => self.is_probe_due(since, opened).then(|| {
                self.transition(&mut state, State::HalfOpen { probing: true });
                Pass::Probe
            }),
            State::HalfOpen { probing: true } => None,
            State::HalfOpen { probing: false } => {
                *state = State::HalfOpen { probing: true };
                Some(Pass::Probe)
            }
        }
    }

    /// Whether the time without calls is over.
    fn is_probe_due(&self, since: Timestamp, opened: Instant) -> bool {
        let waited = self.clock.now().duration_since(since);
        // Nor must a clock that was set back keep it open.
        waited >= OPEN || waited < SignedDuration::ZERO || opened.elapsed() >= OPEN_AT_MOST
    }

    fn open(&self) -> State {
        State::Open {
            since: self.clock.now(),
            opened: Instant::now(),
        }
    }

    /// Records the outcome of a call; `None` if it was cancelled.
    pub(crate) fn record(&self, pass: Pass, failed: Option<bool>) {
        let mut state = self.lock();
        let next = match (*state, pass, failed) {
            (State::Closed { failures, calls }, _, Some(failed)) => {
                let failures = (failures << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
                let calls = (calls + 1).min(WINDOW);
                if calls < MIN_CALLS || failures.count_ones() * 2 < calls {
                    *state = State::Closed { failures, calls };
                    return;
                }
                self.open()
            }
            (State::HalfOpen { .. }, Pass::Probe, Some(false)) => CLOSED,
            (State::HalfOpen { .. }, Pass::Probe, Some(true)) => self.open(),
            (State::HalfOpen { .. }, Pass::Probe, None) => {
                *state = State::HalfOpen { probing: false };
                return;
            }
            // A call that began before the breaker opened does not count.
            _ => return,
        };
        self.transition(&mut state, next);
    }

    /// Whether all calls pass.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed { .. })
    }

    /// Its state, for inspection. Half-open if the next call would be the probe, also while nobody calls.
    pub(crate) fn inspect(&self) -> BreakerState {
        match *self.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { since, opened } if !self.is_probe_due(since, opened) => {
                BreakerState::Open
            }
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn transition(&self, state: &mut State, next: State) {
        let (to, _) = next.label();
        if to == "open" {
            tracing::warn!(peer = self.peer, "breaker open");
        } else {
            tracing::info!(peer = self.peer, state = to, "breaker state");
        }
        metrics::counter!("berth_breaker_transitions_total", "peer" => self.peer.clone(), "to" => to)
            .increment(1);
        *state = next;
        self.publish(next);
    }

    fn publish(&self, state: State) {
        let (_, value) = state.label();
        metrics::gauge!("berth_breaker_state", "peer" => self.peer.clone()).set(value);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
