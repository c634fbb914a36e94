//! Member: who is on the platform, what they may do, and how they show it.
//!
//! ```text
//! commands    Join, SetRoles, SuspendMember, ChangePassword, SignIn, RefreshTokens, SignOut, RotateKeys   (rpc)
//! events out  MemberJoined, MemberModified
//! events in   none
//! views       none: accounts are found by the address they claim, revocations by the time they claim
//! at start    a signing key, and the first ADMIN if one is set
//! ```
//!
//! Access tokens are JWTs signed with Ed25519; every service checks them by itself with what `GetTrust` tells. Refresh
//! tokens and passwords are stored as hashes only, and neither is ever shown.

mod admission;
mod codec;
mod domain;
mod door;
mod grpc;
mod key_ring;
mod passwords;
mod settings;
mod start;
mod strangers;
mod tokens;

use chassis::Context;

/// The member context.
pub fn context() -> Context {
    Context::named("member")
        .routes(grpc::routes)
        .publishes(codec::EVENTS)
        .on_start(start::start)
        .settings::<settings::Settings>()
}
