//! Does the message service tell the right people, once, and by every channel?

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mail;
mod notified;
mod rpc;
mod smtp;
mod stage;
