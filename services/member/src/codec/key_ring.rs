//! Signing keys.

use berth::member::v1 as proto;
use chassis::{Fact, Publish, Versioned, Violations, base::time};
use tonic::Status;

use crate::domain::{
    key_ring::{Event, KeyRing, KeyRingId, PublishedKey},
    values::KeyId,
};

/// The key ring publishes no events. `GetTrust` returns its keys.
impl Publish for KeyRing {
    fn facts(_: KeyRingId, _: &Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

/// The id of the new key, and whether the others are refused at once.
pub(crate) fn rotate(request: &proto::RotateKeysRequest) -> Result<(KeyId, bool), Status> {
    let mut v = Violations::new();
    let id = v.parse("key_id", &request.key_id);
    Ok((v.check(id)?, request.at_once))
}

pub(crate) fn to_proto<'a>(keys: impl Iterator<Item = &'a PublishedKey>) -> Vec<proto::JsonWebKey> {
    keys.map(|PublishedKey { key, retires }| proto::JsonWebKey {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        r#use: "sig".into(),
        alg: "EdDSA".into(),
        kid: key.id.to_string(),
        x: key.public.clone(),
        retire_time: Some(time::to_proto(*retires)),
    })
    .collect()
}
