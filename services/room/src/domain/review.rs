//! A review of a completed stay, at most one for each stay.

use chassis::{Aggregate, Kind, MemberId, Now, Refused, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{issuer::By, room_id::RoomId};

/// The review of a stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Review {
    /// The stay is completed and can be reviewed.
    Invited(Stay),
    Written(Written),
    /// Deleted for good. The stay cannot be reviewed again.
    Deleted(Stay),
}

/// A completed stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stay {
    pub(crate) room: RoomId,
    pub(crate) guest: MemberId,
}

/// A written review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) stay: Stay,
    pub(crate) content: Content,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    /// The first content, once it has changed. A repeated creation is compared with it.
    first: Option<Content>,
    /// The last modification, to recognise a repeat.
    modified: Vec<Edit>,
}

/// The content of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) rating: Rating,
    pub(crate) text: String,
}

/// A rating from 1 (poor) to 5 (excellent).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rating(i32);

/// A change of one field of the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Edit {
    Rating(Rating),
    Text(String),
}

/// The commands of a review.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Invite(Stay),
    Create {
        author: MemberId,
        content: Content,
    },
    Modify {
        by: By,
        /// The version on which the edits are based.
        from: i64,
        edits: Vec<Edit>,
    },
    Delete {
        by: By,
    },
}

/// The events of a review.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Invited(Stay),
    Created { content: Content, at: Timestamp },
    Modified { edits: Vec<Edit>, before: Rating },
    Deleted { before: Rating },
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such review")]
    Unknown,
    #[error("the caller has no completed stay with that id")]
    StayNotCompleted,
    #[error("the stay already has a review with other content")]
    IdReused,
    #[error("the review of the stay has been deleted")]
    Deleted,
    #[error("the review has changed since that version")]
    VersionMismatch,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::StayNotCompleted => Kind::Precondition,
            Self::IdReused | Self::Deleted => Kind::AlreadyExists,
            Self::VersionMismatch => Kind::Aborted,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::StayNotCompleted => "STAY_NOT_COMPLETED",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Deleted => "REVIEW_DELETED",
            Self::VersionMismatch => "VERSION_MISMATCH",
        }
    }
}

impl Aggregate for Review {
    const KIND: &'static str = "review";
    type Id = ReservationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None, Command::Invite(stay)) => Ok(vec![Event::Invited(*stay)]),
            (Some(_), Command::Invite(_)) => Ok(vec![]),
            (None, Command::Create { .. }) => Err(Refusal::StayNotCompleted),
            (Some(review), Command::Create { author, .. }) if review.stay().guest != *author => {
                Err(Refusal::StayNotCompleted)
            }
            (Some(Self::Invited(_)), Command::Create { content, .. }) => Ok(vec![Event::Created {
                content: content.clone(),
                at: now.at,
            }]),
            (Some(Self::Written(written)), Command::Create { content, .. }) => {
                written.create_again(content)
            }
            (Some(Self::Deleted(_)), Command::Create { .. }) => Err(Refusal::Deleted),
            (Some(Self::Written(written)), Command::Modify { by, from, edits }) => {
                written.modify(*by, *from, edits)
            }
            (Some(Self::Written(written)), Command::Delete { by }) => written.delete(*by),
            (Some(Self::Deleted(stay)), Command::Delete { by }) if by.may_act_for(stay.guest) => {
                Ok(vec![])
            }
            (_, Command::Modify { .. } | Command::Delete { .. }) => Err(Refusal::Unknown),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (None, Event::Invited(stay)) => Some(Self::Invited(*stay)),
            (Some(Self::Invited(stay)), Event::Created { content, at }) => {
                Some(Self::Written(Written {
                    stay,
                    content: content.clone(),
                    version: 1,
                    at: *at,
                    first: None,
                    modified: Vec::new(),
                }))
            }
            (Some(Self::Written(mut written)), Event::Modified { edits, .. }) => {
                let content = written.content.with(edits);
                let before = std::mem::replace(&mut written.content, content);
                written.first.get_or_insert(before);
                written.modified.clone_from(edits);
                written.version += 1;
                Some(Self::Written(written))
            }
            (Some(Self::Written(written)), Event::Deleted { .. }) => {
                Some(Self::Deleted(written.stay))
            }
            _ => None,
        }
    }
}

impl Review {
    pub(crate) fn stay(&self) -> &Stay {
        match self {
            Self::Invited(stay) | Self::Deleted(stay) => stay,
            Self::Written(written) => &written.stay,
        }
    }
}

impl Written {
    fn create_again(&self, content: &Content) -> Result<Vec<Event>, Refusal> {
        if content == self.first.as_ref().unwrap_or(&self.content) {
            Ok(vec![])
        } else {
            Err(Refusal::IdReused)
        }
    }

    fn modify(&self, by: By, from: i64, edits: &[Edit]) -> Result<Vec<Event>, Refusal> {
        if !by.may_act_for(self.stay.guest) {
            return Err(Refusal::Unknown);
        }
        if from == self.version - 1 && edits == self.modified {
            return Ok(vec![]);
        }
        if from != self.version {
            return Err(Refusal::VersionMismatch);
        }
        if self.content.with(edits) == self.content {
            return Ok(vec![]);
        }
        Ok(vec![Event::Modified {
            edits: edits.to_vec(),
            before: self.content.rating,
        }])
    }

    fn delete(&self, by: By) -> Result<Vec<Event>, Refusal> {
        if by.may_act_for(self.stay.guest) {
            Ok(vec![Event::Deleted {
                before: self.content.rating,
            }])
        } else {
            Err(Refusal::Unknown)
        }
    }
}

impl Content {
    fn with(&self, edits: &[Edit]) -> Self {
        let mut content = self.clone();
        for edit in edits.iter().cloned() {
            match edit {
                Edit::Rating(rating) => content.rating = rating,
                Edit::Text(text) => content.text = text,
            }
        }
        content
    }
}

impl Rating {
    /// None unless 1 to 5.
    pub(crate) fn new(rating: i32) -> Option<Self> {
        (1..=5).contains(&rating).then_some(Self(rating))
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}
