//! Does the message service tell the right people, once, and by every channel?

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mail;
mod rpc;
mod smtp;
mod stage;
mod told;
