//! A bus that loses, repeats and reorders events, in the same way for the same seed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use chassis::{
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId, position::Position},
    messaging::bus::{Bus, BusError, Signal, Subscription},
};

/// How often it fails.
#[derive(Clone, Copy, Debug)]
pub struct FaultRates {
    /// Of a thousand events, how many are lost.
    pub lost: u32,
    /// Of a thousand events, how many are repeated.
    pub repeated: u32,
    /// Whether the events of one publication are shuffled.
    pub shuffled: bool,
}

/// An unreliable bus. Every publication ends with the high-water mark of the log, as a heartbeat carries it. Clones are the
/// same bus.
#[derive(Clone, Debug)]
pub struct UnreliableBus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fault_rates: FaultRates,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    heads: BTreeMap<LogId, Position>,
    kept: BTreeMap<LogId, VecDeque<Recorded>>,
    waiting: BTreeMap<(LogId, ConsumerName), VecDeque<Signal>>,
}

impl UnreliableBus {
    /// A bus for a seed.
    pub fn new(seed: u64, fault_rates: FaultRates) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            heads: BTreeMap::new(),
            kept: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        Self(Arc::new(Inner {
            fault_rates,
            state: Mutex::new(state),
            news: Notify::new(),
        }))
    }

    /// Loses all events, as a broker that loses its disk. Its heartbeats continue.
    pub fn forget(&self) {
        let mut state = self.state();
        let State {
            heads,
            kept,
            waiting,
            ..
        } = &mut *state;
        kept.clear();
        for ((log, _), signals) in waiting {
            signals.clear();
            signals.extend(heads.get(log).map(|head| Signal::HighWaterMark(*head)));
        }
        drop(state);
        self.0.news.notify_waiters();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a consumer receives of some events.
    fn degrade(&self, state: &mut State, events: &[Recorded], head: Position) -> Vec<Signal> {
        let random = &mut state.random;
        let mut carried = Vec::new();
        for event in events {
            if random.random_ratio(self.0.fault_rates.lost, 1000) {
                continue;
            }
            carried.push(event.clone());
            if random.random_ratio(self.0.fault_rates.repeated, 1000) {
                carried.push(event.clone());
            }
        }
        if self.0.fault_rates.shuffled {
            for index in (1..carried.len()).rev() {
                carried.swap(index, random.random_range(0..=index));
            }
        }
        let mut signals: Vec<Signal> = carried
            .chunks(3)
            .map(|events| Signal::Events(events.to_vec()))
            .collect();
        signals.push(Signal::HighWaterMark(head));
        signals
    }
}

#[tonic::async_trait]
impl Bus for UnreliableBus {
    async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError> {
        Ok(self.state().heads.get(log).copied().unwrap_or_default())
    }

    fn carries_events(&self) -> bool {
        true
    }

    async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        head: Position,
    ) -> Result<(), BusError> {
        let mut state = self.state();
        state.heads.insert(log.clone(), head);
        state
            .kept
            .entry(log.clone())
            .or_default()
            .extend(events.iter().cloned());
        let consumers: Vec<_> = state
            .waiting
            .keys()
            .filter(|(of, _)| *of == log)
            .cloned()
            .collect();
        for consumer in consumers {
            let signals = self.degrade(&mut state, &events, head);
            state.waiting.entry(consumer).or_default().extend(signals);
        }
        drop(state);
        self.0.news.notify_waiters();
        Ok(())
    }

    async fn subscribe(
        &self,
        log: LogId,
        consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let mut state = self.state();
        let key = (log.clone(), consumer.clone());
        let head = state.heads.get(&log).copied().unwrap_or_default();
        if let Some(waiting) = state.waiting.get_mut(&key) {
            // What was given before may have had no effect.
            waiting.push_back(Signal::HighWaterMark(head));
        } else {
            let events: Vec<_> = state
                .kept
                .get(&log)
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            let signals = self.degrade(&mut state, &events, head);
            state.waiting.insert(key.clone(), signals.into());
        }
        drop(state);
        let subscription = DegradedSubscription {
            bus: self.clone(),
            key,
        };
        Ok(Box::new(subscription))
    }
}

#[derive(Debug)]
struct DegradedSubscription {
    bus: UnreliableBus,
    key: (LogId, ConsumerName),
}

#[tonic::async_trait]
impl Subscription for DegradedSubscription {
    async fn next(&mut self) -> Result<Signal, BusError> {
        loop {
            let bus = self.bus.clone();
            let news = bus.0.news.notified();
            if let Some(signal) = self.try_next() {
                return Ok(signal);
            }
            news.await;
        }
    }

    fn try_next(&mut self) -> Option<Signal> {
        self.bus.state().waiting.get_mut(&self.key)?.pop_front()
    }
}
