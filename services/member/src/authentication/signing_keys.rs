//! The Ed25519 keys that sign access tokens: generation, storage in the key ring, rotation.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::{Cause, Deps, base::random};
use tonic::Status;

use crate::domain::{
    key_ring::{Command, KeyRing, RING, SigningKey},
    values::{KeyId, Seed},
};

/// Returns the key ring. Creates it with a first key if there is none.
pub(crate) async fn load_or_create(deps: &Deps) -> Result<KeyRing, Status> {
    if let Some(ring) = deps.store.load::<KeyRing>(RING).await? {
        return Ok(ring.state);
    }
    let begin = Command::Begin(generate(random::id()));
    let cause = Cause::by("service:member");
    Ok(deps.store.execute(RING, begin, &cause).await?.now.state)
}

/// Makes a new key the current one. Returns the key ring after it.
pub(crate) async fn rotate(deps: &Deps, id: KeyId, cause: &Cause) -> Result<KeyRing, Status> {
    let rotate = Command::Rotate(generate(id));
    Ok(deps.store.execute(RING, rotate, cause).await?.now.state)
}

fn generate(id: KeyId) -> SigningKey {
    let pair = ed25519_dalek::SigningKey::from_bytes(&random::secret());
    SigningKey {
        id,
        seed: Seed(BASE64.encode(pair.to_bytes())),
        public: BASE64.encode(pair.verifying_key().to_bytes()),
    }
}

/// The key pair of a stored seed. None if the seed is invalid.
pub(super) fn key_pair(seed: &Seed) -> Option<ed25519_dalek::SigningKey> {
    let seed: [u8; 32] = BASE64.decode(&seed.0).ok()?.try_into().ok()?;
    Some(ed25519_dalek::SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_seed_of_a_signing_key() {
        let key = generate(KeyId::from_u128(1));
        assert!(!format!("{key:?}").contains(&key.seed.0));
    }
}
