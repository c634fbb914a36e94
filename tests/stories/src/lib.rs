//! Does the platform keep its promises? Stories told through the public port, and the invariants that must hold after
//! every one of them, whatever went wrong in between.

pub mod history;
pub mod invariants;
