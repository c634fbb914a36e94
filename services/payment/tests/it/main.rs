//! Does the service keep its promises?

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod events;
mod lists;
mod notifications;
mod properties;
mod rpc;
mod stories;
