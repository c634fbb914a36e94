//! Campaigns: failure tests of the platform as separate processes on PostgreSQL and NATS. Users send requests without
//! retries while failures are injected. At the end the logs are read from the databases, and every invariant must hold.
//!
//! Each campaign has a size: the small size is a test, the large one is `cargo xtask campaign <name>`.

pub mod broker;
pub mod crowd;
pub mod evidence;
pub mod outages;
pub mod rolling;
pub mod scale;
mod stage;

pub use self::{crowd::Tally, stage::Stage};
