//! Does the service keep its promises?

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod hostile;
mod inn;
mod lists;
mod modifications;
mod policies;
mod reviews;
mod rooms;
