//! A room: what its host offers, who has it, and what guests think of it.

use std::collections::BTreeSet;

use chassis::{Aggregate, Kind, MemberId, Now, Refused, ReservationId};
use serde::{Deserialize, Serialize};

use super::{
    By, RoomId,
    recent::Recent,
    review::Rating,
    terms::{Change, Terms},
};

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) host: MemberId,
    pub(crate) terms: Terms,
    /// Version of the terms. That guests come and go does not count, or it would make a host's modification fail.
    pub(crate) version: i64,
    pub(crate) withdrawn: bool,
    /// What happened to it last.
    pub(crate) last: Action,
    pub(crate) tally: Tally,
    /// The confirmed reservations that have it.
    open: BTreeSet<ReservationId>,
    /// The last reservations that gave it back, even if they had not taken it yet.
    over: Recent<ReservationId>,
    /// The terms as they were registered, if they are no longer. A repeat of the registration is known by them.
    registered: Option<Terms>,
    /// The last modification. A repeat of it is known by them.
    modified: Vec<Change>,
}

/// What can happen to a room, as a person reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Registered,
    Modified,
    Deleted,
    Reserved,
    Released,
    Reviewed,
}

/// Whether a room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Available,
    Reserved,
    Deleted,
}

/// The reviews of a room, counted. A change of one is a difference, so their order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    count: i32,
    sum: i32,
    /// The last changes that were counted: which review, and its version.
    counted: Recent<(ReservationId, i64)>,
}

/// A change of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) review: ReservationId,
    /// Version of the review after it.
    pub(crate) version: i64,
    /// The rating before it, if there was one.
    pub(crate) was: Option<Rating>,
    /// The rating after it, if there is one.
    pub(crate) is: Option<Rating>,
}

/// What a room can be told to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Register {
        host: MemberId,
        terms: Terms,
    },
    Modify {
        by: By,
        /// The version of the terms it was made from.
        from: i64,
        changes: Vec<Change>,
    },
    Delete {
        by: By,
    },
    Reserve(ReservationId),
    Release(ReservationId),
    Count(Opinion),
}

/// What can happen to a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Registered {
        host: MemberId,
        terms: Terms,
    },
    Modified(Vec<Change>),
    Deleted,
    Reserved(ReservationId),
    Released(ReservationId),
    /// A reservation gave up what it had not taken yet; should it come, it is too late.
    Forgone(ReservationId),
    Reviewed(Opinion),
}

/// Why a room may say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such room")]
    Unknown,
    #[error("the id is taken by a room with other content")]
    IdReused,
    #[error("the room has changed since that version")]
    Changed,
    #[error("the room has been deleted")]
    Deleted,
    #[error("the room has open reservations")]
    HasReservations,
    #[error("a room that is sold by the hour has no check-in or check-out time")]
    NoStay,
    #[error("the check-out time must not be after the check-in time")]
    StaysOverlap,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::IdReused => Kind::AlreadyExists,
            Self::Changed => Kind::Aborted,
            Self::Deleted | Self::HasReservations => Kind::Precondition,
            Self::NoStay | Self::StaysOverlap => Kind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Changed => "VERSION_MISMATCH",
            Self::Deleted => "ROOM_DELETED",
            Self::HasReservations => "ROOM_HAS_RESERVATIONS",
            Self::NoStay | Self::StaysOverlap => "INVALID_REQUEST",
        }
    }
}

impl Aggregate for Room {
    const KIND: &'static str = "room";
    type Id = RoomId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, _: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None, Command::Register { host, terms }) => Ok(vec![Event::Registered {
                host: *host,
                terms: terms.clone(),
            }]),
            (None, _) => Err(Refusal::Unknown),
            (Some(room), Command::Register { host, terms }) => room.register_again(*host, terms),
            (Some(room), Command::Modify { by, from, changes }) => room.modify(*by, *from, changes),
            (Some(room), Command::Delete { by }) => room.delete(*by),
            (Some(room), Command::Reserve(id)) => Ok(room.reserve(*id)),
            (Some(room), Command::Release(id)) => Ok(room.release(*id)),
            (Some(room), Command::Count(opinion)) => Ok(room.count(*opinion)),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (None, Event::Registered { host, terms }) => Some(Self::new(*host, terms.clone())),
            (None, _) | (Some(_), Event::Registered { .. }) => None,
            (Some(room), event) => room.after(event),
        }
    }
}

impl Room {
    fn new(host: MemberId, terms: Terms) -> Self {
        Self {
            host,
            terms,
            version: 1,
            withdrawn: false,
            last: Action::Registered,
            tally: Tally::default(),
            open: BTreeSet::new(),
            over: Recent::default(),
            registered: None,
            modified: Vec::new(),
        }
    }

    /// Whether it is taken.
    pub(crate) fn status(&self) -> Status {
        if self.withdrawn {
            Status::Deleted
        } else if self.open.is_empty() {
            Status::Available
        } else {
            Status::Reserved
        }
    }

    fn register_again(&self, host: MemberId, terms: &Terms) -> Result<Vec<Event>, Refusal> {
        let registered = self.registered.as_ref().unwrap_or(&self.terms);
        if host == self.host && terms == registered {
            Ok(vec![])
        } else {
            Err(Refusal::IdReused)
        }
    }

    fn modify(&self, by: By, from: i64, changes: &[Change]) -> Result<Vec<Event>, Refusal> {
        if !by.may_act_for(self.host) {
            return Err(Refusal::Unknown);
        }
        if self.withdrawn {
            return Err(Refusal::Deleted);
        }
        if from == self.version - 1 && changes == self.modified {
            return Ok(vec![]);
        }
        if from != self.version {
            return Err(Refusal::Changed);
        }
        if self.terms.with(changes)? == self.terms {
            return Ok(vec![]);
        }
        Ok(vec![Event::Modified(changes.to_vec())])
    }

    fn delete(&self, by: By) -> Result<Vec<Event>, Refusal> {
        if !by.may_act_for(self.host) {
            return Err(Refusal::Unknown);
        }
        if self.withdrawn {
            return Ok(vec![]);
        }
        if !self.open.is_empty() {
            return Err(Refusal::HasReservations);
        }
        Ok(vec![Event::Deleted])
    }

    /// A reservation that was confirmed takes the room, deleted or not.
    fn reserve(&self, id: ReservationId) -> Vec<Event> {
        if self.open.contains(&id) || self.over.has(&id) {
            return vec![];
        }
        vec![Event::Reserved(id)]
    }

    fn release(&self, id: ReservationId) -> Vec<Event> {
        if self.open.contains(&id) {
            vec![Event::Released(id)]
        } else if self.over.has(&id) {
            vec![]
        } else {
            vec![Event::Forgone(id)]
        }
    }

    fn count(&self, opinion: Opinion) -> Vec<Event> {
        if self.tally.has_counted(opinion) {
            return vec![];
        }
        vec![Event::Reviewed(opinion)]
    }

    fn after(mut self, event: &Event) -> Option<Self> {
        match event {
            Event::Registered { .. } => return None,
            Event::Modified(changes) => {
                let terms = self.terms.with(changes).ok()?;
                let before = std::mem::replace(&mut self.terms, terms);
                self.registered.get_or_insert(before);
                self.modified.clone_from(changes);
                self.version += 1;
                self.last = Action::Modified;
            }
            Event::Deleted => {
                self.withdrawn = true;
                self.version += 1;
                self.last = Action::Deleted;
            }
            Event::Reserved(id) => {
                self.open.insert(*id);
                self.last = Action::Reserved;
            }
            Event::Released(id) => {
                self.open.remove(id);
                self.over.note(*id);
                self.last = Action::Released;
            }
            Event::Forgone(id) => self.over.note(*id),
            Event::Reviewed(opinion) => {
                self.tally.count(*opinion);
                self.last = Action::Reviewed;
            }
        }
        Some(self)
    }
}

impl Tally {
    /// How many reviews there are.
    pub(crate) fn reviews(&self) -> i32 {
        self.count.max(0)
    }

    /// The mean of their ratings, 0 if there are none.
    pub(crate) fn average(&self) -> f64 {
        if self.count > 0 {
            f64::from(self.sum) / f64::from(self.count)
        } else {
            0.0
        }
    }

    fn has_counted(&self, opinion: Opinion) -> bool {
        self.counted.has(&(opinion.review, opinion.version))
    }

    fn count(&mut self, opinion: Opinion) {
        for (rating, sign) in [(opinion.was, -1), (opinion.is, 1)] {
            if let Some(rating) = rating {
                self.count = self.count.saturating_add(sign);
                self.sum = self.sum.saturating_add(sign * rating.get());
            }
        }
        self.counted.note((opinion.review, opinion.version));
    }
}
