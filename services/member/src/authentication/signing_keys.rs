//! The Ed25519 keys that sign access tokens. The private part of a key is in the memory of the process that made it and
//! nowhere else; the key ring has the public parts.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::{Cause, Deps, base::random};
use tokio::sync::Mutex;
use tonic::Status;

use crate::domain::{
    key_ring::{Command, KeyRing, PublicKey, RING},
    values::KeyId,
};

/// A key pair.
#[derive(Clone)]
pub(crate) struct KeyPair {
    pub(super) key: ed25519_dalek::SigningKey,
    pub(super) public: PublicKey,
}

impl KeyPair {
    fn generate(id: KeyId) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&random::secret());
        let public = BASE64.encode(key.verifying_key().to_bytes());
        Self {
            key,
            public: PublicKey { id, public },
        }
    }
}

/// Hides the private part.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair {}", self.public.id)
    }
}

/// The key with which this process signs. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signer(Arc<Mutex<Option<Arc<KeyPair>>>>);

impl Signer {
    /// The key that signs now. Makes and publishes a new one if this process has none, or if it has retired.
    pub(crate) async fn current(&self, deps: &Deps) -> Result<Arc<KeyPair>, Status> {
        let held = self.0.lock().await.clone();
        if let Some(pair) = usable(held, deps).await? {
            return Ok(pair);
        }
        // Held until the new key is published, so that concurrent requests share one.
        let mut held = self.0.lock().await;
        if let Some(pair) = usable(held.clone(), deps).await? {
            return Ok(pair);
        }
        let pair = KeyPair::generate(random::id());
        let publish = Command::Publish(pair.public.clone());
        let cause = Cause::by("service:member");
        deps.store.execute::<KeyRing>(RING, publish, &cause).await?;
        Ok(held.insert(Arc::new(pair)).clone())
    }

    /// The key ring, with at least one key.
    pub(crate) async fn ring(&self, deps: &Deps) -> Result<KeyRing, Status> {
        let ring = load(deps).await?;
        if ring != KeyRing::default() {
            return Ok(ring);
        }
        self.current(deps).await?;
        load(deps).await
    }

    /// Signs with a new key from now on, and retires all others. Returns the key ring after it.
    pub(crate) async fn rotate(
        &self,
        deps: &Deps,
        (id, at_once): (KeyId, bool),
        cause: &Cause,
    ) -> Result<KeyRing, Status> {
        let mut held = self.0.lock().await;
        let pair = KeyPair::generate(id);
        let rotate = Command::Rotate {
            key: pair.public.clone(),
            at_once,
        };
        let done = deps.store.execute::<KeyRing>(RING, rotate, cause).await?;
        let ring = done.now.state;
        // Of a repeat the key is not in the ring.
        if ring.signs(&pair.public, deps.clock.now()) {
            *held = Some(Arc::new(pair));
        }
        Ok(ring)
    }
}

/// The pair, if it still signs.
async fn usable(held: Option<Arc<KeyPair>>, deps: &Deps) -> Result<Option<Arc<KeyPair>>, Status> {
    let Some(pair) = held else { return Ok(None) };
    let signs = load(deps).await?.signs(&pair.public, deps.clock.now());
    Ok(signs.then_some(pair))
}

async fn load(deps: &Deps) -> Result<KeyRing, Status> {
    let ring = deps.store.load::<KeyRing>(RING).await?;
    Ok(ring.map(|ring| ring.state).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_private_part_of_a_signing_key() {
        let pair = KeyPair::generate(KeyId::from_u128(1));
        assert_eq!(format!("{pair:?}"), format!("KeyPair {}", pair.public.id));
    }
}
