//! Why a command to a room is refused.

use chassis::{Kind, Refused};

/// Why a command to a room is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such room")]
    Unknown,
    #[error("a room with this id and other content exists")]
    IdReused,
    #[error("the room has changed since that version")]
    VersionMismatch,
    #[error("the room has been deleted")]
    Deleted,
    #[error("the room has open reservations")]
    HasReservations,
    #[error("a room that is sold by the hour has no check-in or check-out time")]
    NotSoldByNight,
    #[error("the check-out time must not be later than the check-in time")]
    CheckOutAfterCheckIn,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::IdReused => Kind::AlreadyExists,
            Self::VersionMismatch => Kind::Aborted,
            Self::Deleted | Self::HasReservations => Kind::Precondition,
            Self::NotSoldByNight | Self::CheckOutAfterCheckIn => Kind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::Deleted => "ROOM_DELETED",
            Self::HasReservations => "ROOM_HAS_RESERVATIONS",
            Self::NotSoldByNight | Self::CheckOutAfterCheckIn => "INVALID_REQUEST",
        }
    }
}
