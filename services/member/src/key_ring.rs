//! The key ring in the store: made when it is first needed.

use chassis::{Cause, Deps, base::random};
use tonic::Status;

use crate::{
    domain::{
        keys::{Command, KeyRing, RING},
        values::KeyId,
    },
    tokens,
};

/// The key ring.
pub(crate) async fn open(deps: &Deps) -> Result<KeyRing, Status> {
    if let Some(ring) = deps.store.load::<KeyRing>(RING).await? {
        return Ok(ring.state);
    }
    let begin = Command::Begin(tokens::new_key(random::id()));
    let cause = Cause::by("service:member");
    Ok(deps.store.execute(RING, begin, &cause).await?.now.state)
}

/// The key ring after a new key was put on it.
pub(crate) async fn rotate(deps: &Deps, id: KeyId, cause: &Cause) -> Result<KeyRing, Status> {
    let rotate = Command::Rotate(tokens::new_key(id));
    Ok(deps.store.execute(RING, rotate, cause).await?.now.state)
}
