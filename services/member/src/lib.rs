//! Member keeps accounts and their roles, and authenticates members. Access tokens are JWTs signed with Ed25519; every
//! service verifies them on its own with the keys and revocations that `GetTrust` returns. Passwords and refresh tokens
//! are stored as hashes only.
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

use chassis::Context;

/// The member context.
pub fn context() -> Context {
    Context::named("member")
        .routes(grpc::routes)
        .publishes(codec::EVENTS)
        .claims::<domain::account::Account>()
        .claims::<domain::session::Session>()
        .on_start(startup::run)
        .settings::<settings::Settings>()
}
