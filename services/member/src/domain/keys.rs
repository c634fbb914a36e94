//! The key ring: the key that signs access tokens, and those that signed before. One signs at a time.

use chassis::{Aggregate, Now, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    values::{KeyId, Seed},
};

chassis::id! {
    /// The key ring. There is one.
    KeyRingId,
}

/// The one key ring.
pub(crate) const RING: KeyRingId = KeyRingId::from_u128(1);

/// The keys that sign access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    /// The key that signs.
    pub(crate) current: SigningKey,
    /// The keys that signed before, newest first.
    former: Vec<FormerKey>,
}

/// A key that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    /// Its id.
    pub(crate) id: KeyId,
    /// Its secret half.
    pub(crate) seed: Seed,
    /// Its public half, base64url.
    pub(crate) public: String,
}

/// A key that signs no more. Its secret half is gone; its id is known for ever, as a repeat of its rotation may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FormerKey {
    id: KeyId,
    public: String,
    retired: Timestamp,
}

/// What the key ring can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Signs with this key, unless there is one.
    Begin(SigningKey),
    /// Signs with this key from now on.
    Rotate(SigningKey),
}

/// What can happen to the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A new key signs.
    Rotated {
        /// The key.
        key: SigningKey,
        /// Since when.
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
        match (this, command) {
            (Some(_), Command::Begin(_)) => Ok(vec![]),
            (Some(ring), Command::Rotate(key)) if ring.knows(key.id) => Ok(vec![]),
            (_, Command::Begin(key) | Command::Rotate(key)) => Ok(vec![Event::Rotated {
                key: key.clone(),
                at: now.at,
            }]),
        }
    }

    fn evolve(this: Option<Self>, Event::Rotated { key, at }: &Event) -> Option<Self> {
        let mut former = Vec::new();
        if let Some(ring) = this {
            former = ring.former;
            former.insert(
                0,
                FormerKey {
                    id: ring.current.id,
                    public: ring.current.public,
                    retired: *at,
                },
            );
        }
        Some(Self {
            current: key.clone(),
            former,
        })
    }
}

impl KeyRing {
    fn knows(&self, id: KeyId) -> bool {
        self.current.id == id || self.former.iter().any(|key| key.id == id)
    }

    /// Ids and public halves of the keys whose tokens may still be good, newest first: the current one, and those that
    /// retired less than `life` ago.
    pub(crate) fn trusted(
        &self,
        now: Timestamp,
        life: SignedDuration,
    ) -> impl Iterator<Item = (KeyId, &str)> {
        let former = self
            .former
            .iter()
            .filter(move |key| now.duration_since(key.retired) < life)
            .map(|key| (key.id, key.public.as_str()));
        std::iter::once((self.current.id, self.current.public.as_str())).chain(former)
    }
}

#[cfg(test)]
mod tests {
    use chassis_testing::{Given, given, noon};

    use super::*;

    fn key(n: u128) -> SigningKey {
        SigningKey {
            id: KeyId::from_u128(n),
            seed: Seed(format!("canary {n}")),
            public: format!("public {n}"),
        }
    }

    fn rotated(n: u128) -> Event {
        Event::Rotated {
            key: key(n),
            at: noon(),
        }
    }

    fn ring(events: impl IntoIterator<Item = Event>) -> Given<KeyRing> {
        given(events)
    }

    #[test]
    fn the_first_key_signs_at_once() {
        ring([]).when(Command::Begin(key(1))).then([rotated(1)]);
        ring([]).when(Command::Rotate(key(1))).then([rotated(1)]);
    }

    #[test]
    fn a_second_first_key_is_not_needed() {
        ring([rotated(1)]).when(Command::Begin(key(2))).then([]);
    }

    #[test]
    fn a_new_key_signs_and_the_former_one_loses_its_secret() {
        let ring = ring([rotated(1)])
            .when(Command::Rotate(key(2)))
            .then([rotated(2)])
            .unwrap();
        assert_eq!(ring.current, key(2));
        assert!(!serde_json::to_string(&ring).unwrap().contains("canary 1"));
    }

    #[test]
    fn a_repeat_changes_nothing_even_after_later_ones() {
        let events = || [rotated(1), rotated(2), rotated(3)];
        for n in 1..=3 {
            ring(events()).when(Command::Rotate(key(n))).then([]);
        }
    }

    #[test]
    fn a_former_key_is_trusted_while_its_tokens_live() {
        let hour = SignedDuration::from_hours(1);
        let ring = ring([rotated(1), rotated(2)])
            .when(Command::Rotate(key(3)))
            .then([rotated(3)])
            .unwrap();
        let trusted = |now| {
            let ids = ring.trusted(now, hour).map(|(id, _)| id.uuid().as_u128());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(trusted(noon()), [3, 2, 1]);
        assert_eq!(trusted(noon().checked_add(hour).unwrap()), [3]);
    }
}
