//! The key ring: the current key, which signs access tokens, and the public parts of the former keys.

use chassis::{Aggregate, Now, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    values::{KeyId, Seed},
};

chassis::id! {
    /// The key ring. There is exactly one.
    KeyRingId,
}

/// Id of the only key ring.
pub(crate) const RING: KeyRingId = KeyRingId::from_u128(1);

/// The signing keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    /// The key that signs now.
    pub(crate) current: SigningKey,
    /// The keys that signed before it, newest first.
    former: Vec<FormerKey>,
}

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    /// Id of the key, `kid` in tokens.
    pub(crate) id: KeyId,
    /// The private part.
    pub(crate) seed: Seed,
    /// The public part, base64url.
    pub(crate) public: String,
}

/// A key that no longer signs. Its private part is deleted. Its id is kept for ever to recognise a repeated rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FormerKey {
    id: KeyId,
    public: String,
    retired: Timestamp,
}

/// The commands of the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Makes this the current key, unless there is one.
    Begin(SigningKey),
    /// Makes this the current key.
    Rotate(SigningKey),
}

/// The events of the key ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The current key was replaced, or the first one was set.
    Rotated {
        /// The new current key.
        key: SigningKey,
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

    /// Ids and public parts of the keys whose tokens may still be valid, newest first: the current key and those that
    /// were replaced less than `retention` ago.
    pub(crate) fn trusted(
        &self,
        now: Timestamp,
        retention: SignedDuration,
    ) -> impl Iterator<Item = (KeyId, &str)> {
        let former = self
            .former
            .iter()
            .filter(move |key| now.duration_since(key.retired) < retention)
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
    fn the_first_key_becomes_the_current_one() {
        ring([]).when(Command::Begin(key(1))).then([rotated(1)]);
        ring([]).when(Command::Rotate(key(1))).then([rotated(1)]);
    }

    #[test]
    fn begin_changes_nothing_if_there_is_a_key() {
        ring([rotated(1)]).when(Command::Begin(key(2))).then([]);
    }

    #[test]
    fn a_rotation_replaces_the_current_key_and_deletes_the_private_part_of_the_former_one() {
        let ring = ring([rotated(1)])
            .when(Command::Rotate(key(2)))
            .then([rotated(2)])
            .unwrap();
        assert_eq!(ring.current, key(2));
        assert!(!serde_json::to_string(&ring).unwrap().contains("canary 1"));
    }

    #[test]
    fn a_repeated_rotation_changes_nothing_even_after_later_rotations() {
        let events = || [rotated(1), rotated(2), rotated(3)];
        for n in 1..=3 {
            ring(events()).when(Command::Rotate(key(n))).then([]);
        }
    }

    #[test]
    fn a_former_key_is_trusted_until_its_tokens_have_expired() {
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
