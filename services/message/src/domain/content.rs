//! The content of a message.

use chassis::{MemberId, ReservationId};
use serde::{Deserialize, Serialize};

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) recipient: MemberId,
    pub(crate) reservation: ReservationId,
    /// Full name of the event.
    pub(crate) event_type: String,
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
}
