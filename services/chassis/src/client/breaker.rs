//! A circuit breaker: after too many failures a callee is left alone for a while, and then tried with one call.
//!
//! ```text
//! closed ─half of the last 20 failed→ open ─1 s→ half-open ─probe succeeds→ closed
//!                                      ↑─────────────────────probe fails─┘
//! ```
//!
//! It tells the time by the platform's clock, so that tests and the simulation turn it by hand.

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

/// How many calls are looked back on.
const WINDOW: u32 = 20;
/// How many calls are needed to judge.
const ENOUGH: u32 = 10;
/// How long a callee is left alone.
pub(crate) const OPEN: SignedDuration = SignedDuration::from_secs(1);

/// After so long the callee is tried, whatever the clock says.
const STANDS_STILL: Duration = Duration::from_secs(5);

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
    /// One call passes, to try.
    HalfOpen { probing: bool },
}

/// What a call that was let through is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Normal,
    Probe,
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
        breaker.show(CLOSED);
        breaker
    }

    /// Lets a call through, or not.
    pub(crate) fn admit(&self) -> Option<Pass> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Some(Pass::Normal),
            State::Open { since, opened } => {
                let waited = self.clock.now().duration_since(since);
                // A clock that was set back, or stands still, must not keep the callee away.
                let rested = waited >= OPEN
                    || waited < SignedDuration::ZERO
                    || opened.elapsed() >= STANDS_STILL;
                rested.then(|| {
                    self.become_(&mut state, State::HalfOpen { probing: true });
                    Pass::Probe
                })
            }
            State::HalfOpen { probing: true } => None,
            State::HalfOpen { probing: false } => {
                *state = State::HalfOpen { probing: true };
                Some(Pass::Probe)
            }
        }
    }

    fn open(&self) -> State {
        State::Open {
            since: self.clock.now(),
            opened: Instant::now(),
        }
    }

    /// Notes the outcome of a call; `None` if it was given up by the caller.
    pub(crate) fn note(&self, pass: Pass, failed: Option<bool>) {
        let mut state = self.lock();
        let next = match (*state, pass, failed) {
            (State::Closed { failures, calls }, _, Some(failed)) => {
                let failures = (failures << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
                let calls = (calls + 1).min(WINDOW);
                if calls < ENOUGH || failures.count_ones() * 2 < calls {
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
            // What began before the breaker opened tells nothing new.
            _ => return,
        };
        self.become_(&mut state, next);
    }

    /// Whether all calls pass.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed { .. })
    }

    /// How it stands, for whoever operates the platform.
    pub(crate) fn standing(&self) -> BreakerState {
        match *self.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn become_(&self, state: &mut State, next: State) {
        let to = match next {
            State::Closed { .. } => {
                tracing::info!(peer = self.peer, "breaker closed");
                "closed"
            }
            State::Open { .. } => {
                tracing::warn!(peer = self.peer, "breaker open");
                "open"
            }
            State::HalfOpen { .. } => {
                tracing::info!(peer = self.peer, "breaker half-open");
                "half_open"
            }
        };
        metrics::counter!("berth_breaker_transitions_total", "peer" => self.peer.clone(), "to" => to)
            .increment(1);
        *state = next;
        self.show(next);
    }

    fn show(&self, state: State) {
        let value = match state {
            State::Closed { .. } => 0.0,
            State::HalfOpen { .. } => 1.0,
            State::Open { .. } => 2.0,
        };
        metrics::gauge!("berth_breaker_state", "peer" => self.peer.clone()).set(value);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
