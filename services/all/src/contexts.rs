//! The list of contexts.

use chassis::Context;

/// Every bounded context of the platform.
pub fn contexts() -> Vec<Context> {
    vec![
        member::context(),
        message::context(),
        payment::context(),
        reservation::context(),
        room::context(),
        view::context(),
    ]
}
