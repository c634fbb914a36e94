//! The key ring: the public parts of the keys that sign access tokens. A private part is in the memory of the process that
//! signs with it, and nowhere else.
//!
//! ```text
//! (unknown) ─Publish, Rotate→ signs ─24 hours, Rotate→ retired ─its last token has expired→ forgotten
//!                              └───────────────Rotate at once→ forgotten
//! ```
//!
//! Every process signs with a key of its own. A key that retires signs no more; a token with a later issue time was signed by
//! somebody else.

use chassis::{Aggregate, Now, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{Refusal, revocation::RETENTION, values::KeyId};

chassis::id! {
    /// The key ring. There is exactly one.
    KeyRingId,
}

/// Id of the only key ring.
pub(crate) const RING: KeyRingId = KeyRingId::from_u128(1);

/// How long a key signs: what a process that has ended has published must not be trusted for ever.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The most keys in the ring. So many within a day come from a process that starts again and again; the oldest are forgotten.
const MOST: usize = 100;

/// The public parts of the signing keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    /// The keys whose tokens may be valid, newest first.
    keys: Vec<PublishedKey>,
    /// All rotations, to recognise a repeat.
    rotations: Vec<Rotation>,
}

/// The public part of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicKey {
    /// Id of the key, `kid` in tokens.
    pub(crate) id: KeyId,
    /// The public part, base64url.
    pub(crate) public: String,
}

/// A key in the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishedKey {
    /// The key.
    pub(crate) key: PublicKey,
    /// It signs until this time.
    pub(crate) retires: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rotation {
    id: KeyId,
    at_once: bool,
}

/// The commands of the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A process signs with this key from now on.
    Publish(PublicKey),
    /// As `Publish`, and all other keys retire.
    Rotate {
        /// The new key.
        key: PublicKey,
        /// Whether the tokens of the other keys are refused from now on.
        at_once: bool,
    },
}

/// The events of the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A key signs.
    Published {
        /// The key.
        key: PublicKey,
        /// When.
        at: Timestamp,
    },
    /// A key signs, and all others have retired.
    Rotated {
        /// The key.
        key: PublicKey,
        /// Whether the tokens of the others are refused.
        at_once: bool,
        /// When.
        at: Timestamp,
    },
}

impl Aggregate for KeyRing {
    const KIND: &'static str = "key-ring";
    type Id = KeyRingId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Publish(key) if this.is_some_and(|ring| ring.knows(key.id)) => Ok(vec![]),
            Command::Publish(key) => Ok(vec![Event::Published {
                key: key.clone(),
                at: now.at,
            }]),
            Command::Rotate { key, at_once } => match this.and_then(|ring| ring.rotation(key.id)) {
                Some(before) if before.at_once == *at_once => Ok(vec![]),
                Some(_) => Err(Refusal::IdReused),
                None if this.is_some_and(|ring| ring.knows(key.id)) => Err(Refusal::IdReused),
                None => Ok(vec![Event::Rotated {
                    key: key.clone(),
                    at_once: *at_once,
                    at: now.at,
                }]),
            },
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        let mut ring = this.unwrap_or_default();
        match event {
            Event::Published { key, at } => ring.add(key, *at),
            Event::Rotated { key, at_once, at } => {
                if *at_once {
                    ring.keys.clear();
                }
                for former in &mut ring.keys {
                    former.retires = former.retires.min(*at);
                }
                ring.rotations.push(Rotation {
                    id: key.id,
                    at_once: *at_once,
                });
                ring.add(key, *at);
            }
        }
        Some(ring)
    }
}

impl KeyRing {
    fn knows(&self, id: KeyId) -> bool {
        self.keys.iter().any(|known| known.key.id == id)
    }

    fn rotation(&self, id: KeyId) -> Option<&Rotation> {
        self.rotations.iter().find(|rotation| rotation.id == id)
    }

    fn add(&mut self, key: &PublicKey, at: Timestamp) {
        self.keys.retain(|known| known.is_trusted(at));
        let retires = at.saturating_add(LIFETIME).unwrap_or(at);
        let key = key.clone();
        self.keys.insert(0, PublishedKey { key, retires });
        self.keys.truncate(MOST);
    }

    /// Whether a process may sign with a key.
    pub(crate) fn signs(&self, key: &PublicKey, now: Timestamp) -> bool {
        let signs = |known: &PublishedKey| known.key == *key && now < known.retires;
        self.keys.iter().any(signs)
    }

    /// The keys whose tokens may be valid, newest first.
    pub(crate) fn trusted(&self, now: Timestamp) -> impl Iterator<Item = &PublishedKey> {
        self.keys.iter().filter(move |known| known.is_trusted(now))
    }
}

impl PublishedKey {
    /// Whether a token that it signed may be valid.
    fn is_trusted(&self, now: Timestamp) -> bool {
        now.duration_since(self.retires) < RETENTION
    }
}

#[cfg(test)]
mod tests {
    use chassis_testing::{Given, given, noon};

    use super::*;

    fn key(n: u128) -> PublicKey {
        PublicKey {
            id: KeyId::from_u128(n),
            public: format!("public {n}"),
        }
    }

    fn hours(n: i64) -> Timestamp {
        noon().checked_add(SignedDuration::from_hours(n)).unwrap()
    }

    fn published(n: u128) -> Event {
        let (key, at) = (key(n), noon());
        Event::Published { key, at }
    }

    fn rotate(n: u128, at_once: bool) -> Command {
        Command::Rotate {
            key: key(n),
            at_once,
        }
    }

    fn rotated(n: u128, at_once: bool, at: Timestamp) -> Event {
        let key = key(n);
        Event::Rotated { key, at_once, at }
    }

    fn ring(events: impl IntoIterator<Item = Event>) -> Given<KeyRing> {
        given(events)
    }

    /// The ring after events.
    fn after(events: impl IntoIterator<Item = Event>) -> KeyRing {
        chassis_testing::fold(None, events).unwrap()
    }

    fn trusted(ring: &KeyRing, now: Timestamp) -> Vec<u128> {
        let keys = ring.trusted(now);
        keys.map(|known| known.key.id.uuid().as_u128()).collect()
    }

    fn signing(ring: &KeyRing, now: Timestamp) -> Vec<u128> {
        let numbers = 1..200;
        numbers.filter(|n| ring.signs(&key(*n), now)).collect()
    }

    #[test]
    fn every_process_signs_with_a_key_of_its_own() {
        ring([]).when(Command::Publish(key(1))).then([published(1)]);
        ring([published(1)])
            .when(Command::Publish(key(2)))
            .then([published(2)]);
        ring([published(1)]).when(Command::Publish(key(1))).then([]);
        assert_eq!(
            signing(&after([published(1), published(2)]), noon()),
            [1, 2]
        );
    }

    #[test]
    fn a_key_signs_for_a_day_and_is_forgotten_after_its_last_token() {
        let ring = after([published(1)]);
        assert_eq!(signing(&ring, hours(23)), [1]);
        assert_eq!(signing(&ring, hours(24)), [0_u128; 0]);
        assert_eq!(trusted(&ring, hours(25)), [1]);
        assert_eq!(trusted(&ring, hours(26)), [0_u128; 0]);
    }

    #[test]
    fn another_public_part_under_the_same_id_does_not_sign() {
        let other = PublicKey {
            public: "other".into(),
            ..key(1)
        };
        assert!(!after([published(1)]).signs(&other, noon()));
    }

    #[test]
    fn a_rotation_retires_the_keys_of_all_processes_from_then_on() {
        let events = [published(1), published(2)];
        ring(events.clone())
            .at(hours(1))
            .when(rotate(3, false))
            .then([rotated(3, false, hours(1))]);
        let ring = after(events.into_iter().chain([rotated(3, false, hours(1))]));
        assert_eq!(signing(&ring, hours(1)), [3]);
        assert_eq!(trusted(&ring, hours(2)), [3, 2, 1]);
        assert!(
            ring.trusted(noon())
                .skip(1)
                .all(|known| known.retires == hours(1))
        );
        assert_eq!(trusted(&ring, hours(3)), [3]);
    }

    #[test]
    fn a_rotation_at_once_forgets_all_other_keys_also_those_that_had_retired() {
        let events = [
            published(1),
            rotated(2, false, noon()),
            rotated(3, true, noon()),
        ];
        assert_eq!(trusted(&after(events), noon()), [3]);
    }

    #[test]
    fn a_retired_key_does_not_get_more_time_by_a_later_rotation() {
        let ring = after([
            published(1),
            rotated(2, false, hours(1)),
            rotated(3, false, hours(2)),
        ]);
        let retires: Vec<_> = ring.trusted(noon()).map(|known| known.retires).collect();
        assert_eq!(retires, [hours(26), hours(2), hours(1)]);
    }

    #[test]
    fn a_repeated_rotation_changes_nothing_even_when_its_key_is_forgotten() {
        for at_once in [false, true] {
            let events = [
                rotated(1, at_once, noon()),
                rotated(2, true, noon()),
                rotated(3, true, hours(100)),
            ];
            ring(events).when(rotate(1, at_once)).then([]);
        }
    }

    #[test]
    fn the_id_of_another_rotation_or_of_a_published_key_is_refused() {
        ring([rotated(1, false, noon())])
            .when(rotate(1, true))
            .refuses(&Refusal::IdReused);
        ring([published(1)])
            .when(rotate(1, false))
            .refuses(&Refusal::IdReused);
    }

    #[test]
    fn the_ring_stays_small_however_often_a_process_starts() {
        let ring = after((1..=150).map(published));
        assert_eq!(trusted(&ring, noon()).len(), MOST);
        assert_eq!(trusted(&ring, noon())[0], 150);
    }
}
