//! Member keeps accounts and their roles, and authenticates members. Access tokens are JWTs signed with Ed25519; every
//! service verifies them on its own with the keys and revocations that `GetTrust` returns. Passwords and refresh tokens
//! are stored as hashes only; the private parts of signing keys are not stored at all.
//!
//! ```text
//! commands    rpc: Join, SetRoles, SuspendMember, ChangePassword, SignIn, RefreshTokens, SignOut, RotateKeys
//! asks        none
//! events out  MemberJoined, MemberModified
//! events in   none
//! views       none (accounts are found by the e-mail address they claim, revocations by the time they claim)
//! jobs        none
//! ```

mod authentication;
mod codec;
mod domain;
mod grpc;
mod settings;
mod startup;

use authentication::signing_keys::Signer;
use chassis::Context;

/// The member context.
pub fn context() -> Context {
    // The key of this process, which the services and the start share.
    let signer = Signer::default();
    let of_start = signer.clone();
    Context::named("member")
        .routes(move |deps| grpc::routes(deps, &signer))
        .publishes(codec::EVENTS)
        .claims::<domain::account::Account>()
        .claims::<domain::session::Session>()
        .on_start(move |deps| startup::run(deps, of_start.clone()))
        .settings::<settings::Settings>()
}
