//! Signing keys.

use berth::member::v1 as proto;
use chassis::{Fact, Publish, Versioned, Violations};
use tonic::Status;

use crate::domain::{
    key_ring::{Event, KeyRing, KeyRingId},
    values::KeyId,
};

/// The key ring publishes no events. `GetTrust` returns its keys.
impl Publish for KeyRing {
    fn facts(_: KeyRingId, _: &Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

pub(crate) fn key_id(request: &proto::RotateKeysRequest) -> Result<KeyId, Status> {
    let mut v = Violations::new();
    let id = v.parse("key_id", &request.key_id);
    v.check(id)
}

pub(crate) fn to_proto<'a>(keys: impl Iterator<Item = (KeyId, &'a str)>) -> Vec<proto::JsonWebKey> {
    keys.map(|(id, public)| proto::JsonWebKey {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        r#use: "sig".into(),
        alg: "EdDSA".into(),
        kid: id.to_string(),
        x: public.into(),
    })
    .collect()
}
