//! Campaigns: the platform as separate processes on PostgreSQL and NATS, people who go on booking without ever trying
//! again, and something that goes wrong meanwhile. At the end the logs are read from the databases, and every invariant
//! must hold.
//!
//! Each campaign has a size: a small one is a test, a large one is `cargo xtask campaign <name>`.

pub mod broker;
pub mod crowd;
pub mod evidence;
pub mod outages;
pub mod rolling;
pub mod scale;
mod stage;

pub use self::{crowd::Tally, stage::Stage};
