//! A review: what a guest says about a completed stay. There is one for each stay.

use chassis::{Aggregate, Kind, MemberId, Now, Refused, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{By, RoomId};

/// A review of a stay, or the place for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Review {
    /// The stay is over and may be reviewed.
    Invited(Stay),
    Written(Written),
    /// Removed for good: there will not be another one.
    Deleted(Stay),
}

/// Who stayed where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stay {
    pub(crate) room: RoomId,
    pub(crate) guest: MemberId,
}

/// A review that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) stay: Stay,
    pub(crate) words: Words,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    /// The words as they were first, if they are no longer. A repeat of the creation is known by them.
    first: Option<Words>,
    /// The last modification. A repeat of it is known by them.
    modified: Vec<Edit>,
}

/// What a guest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    pub(crate) rating: Rating,
    pub(crate) text: String,
}

/// From 1 (poor) to 5 (excellent).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rating(i32);

/// A change of what a guest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Edit {
    Rating(Rating),
    Text(String),
}

/// What a review can be told to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Invite(Stay),
    Create {
        author: MemberId,
        words: Words,
    },
    Modify {
        by: By,
        /// The version it was made from.
        from: i64,
        edits: Vec<Edit>,
    },
    Delete {
        by: By,
    },
}

/// What can happen to a review.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Invited(Stay),
    Created { words: Words, at: Timestamp },
    Modified { edits: Vec<Edit>, was: Rating },
    Deleted { was: Rating },
}

/// Why a review may say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such review")]
    Unknown,
    #[error("there is no completed stay of yours under that id")]
    StayNotCompleted,
    #[error("the stay has a review with other content")]
    IdReused,
    #[error("the review of the stay has been deleted")]
    Deleted,
    #[error("the review has changed since that version")]
    Changed,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::StayNotCompleted => Kind::Precondition,
            Self::IdReused | Self::Deleted => Kind::AlreadyExists,
            Self::Changed => Kind::Aborted,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::StayNotCompleted => "STAY_NOT_COMPLETED",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Deleted => "REVIEW_DELETED",
            Self::Changed => "VERSION_MISMATCH",
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
            (Some(Self::Invited(_)), Command::Create { words, .. }) => Ok(vec![Event::Created {
                words: words.clone(),
                at: now.at,
            }]),
            (Some(Self::Written(written)), Command::Create { words, .. }) => {
                written.create_again(words)
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
            (Some(Self::Invited(stay)), Event::Created { words, at }) => {
                Some(Self::Written(Written {
                    stay,
                    words: words.clone(),
                    version: 1,
                    at: *at,
                    first: None,
                    modified: Vec::new(),
                }))
            }
            (Some(Self::Written(mut written)), Event::Modified { edits, .. }) => {
                let words = written.words.with(edits);
                let before = std::mem::replace(&mut written.words, words);
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
    /// Who stayed where.
    pub(crate) fn stay(&self) -> &Stay {
        match self {
            Self::Invited(stay) | Self::Deleted(stay) => stay,
            Self::Written(written) => &written.stay,
        }
    }
}

impl Written {
    fn create_again(&self, words: &Words) -> Result<Vec<Event>, Refusal> {
        if words == self.first.as_ref().unwrap_or(&self.words) {
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
            return Err(Refusal::Changed);
        }
        if self.words.with(edits) == self.words {
            return Ok(vec![]);
        }
        Ok(vec![Event::Modified {
            edits: edits.to_vec(),
            was: self.words.rating,
        }])
    }

    fn delete(&self, by: By) -> Result<Vec<Event>, Refusal> {
        if by.may_act_for(self.stay.guest) {
            Ok(vec![Event::Deleted {
                was: self.words.rating,
            }])
        } else {
            Err(Refusal::Unknown)
        }
    }
}

impl Words {
    fn with(&self, edits: &[Edit]) -> Self {
        let mut words = self.clone();
        for edit in edits.iter().cloned() {
            match edit {
                Edit::Rating(rating) => words.rating = rating,
                Edit::Text(text) => words.text = text,
            }
        }
        words
    }
}

impl Rating {
    /// A rating, if it is one.
    pub(crate) fn new(rating: i32) -> Option<Self> {
        (1..=5).contains(&rating).then_some(Self(rating))
    }

    /// How many stars.
    pub(crate) fn get(self) -> i32 {
        self.0
    }
}
