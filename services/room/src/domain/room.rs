//! A room: its terms, its open reservations, its rating.

use chassis::{Aggregate, MemberId, Now, ReservationId};
use serde::{Deserialize, Serialize};

use super::{
    issuer::By,
    recent::Recent,
    refusal::Refusal,
    review::Rating,
    room_id::RoomId,
    terms::{Change, Terms},
};

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) host: MemberId,
    pub(crate) terms: Terms,
    /// Version of the terms. Reservations and reviews do not change it, so they do not fail a host's modification.
    pub(crate) version: i64,
    pub(crate) withdrawn: bool,
    /// The last action.
    pub(crate) last: Action,
    pub(crate) tally: Tally,
    /// The latest confirmed reservations that are not over.
    open: Recent<ReservationId>,
    /// How many earlier ones are not over. They are only counted, so that the state does not grow with every booking.
    earlier: u32,
    /// Recent reservations that are over, including those released before they reserved the room.
    over: Recent<ReservationId>,
    /// The registered terms, once they have changed. A repeated registration is compared with them.
    registered: Option<Terms>,
    /// The last modification, to recognise a repeat.
    modified: Vec<Change>,
}

/// An action on a room, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Registered,
    Modified,
    Deleted,
    Reserved,
    Released,
    Reviewed,
}

/// The status of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Available,
    Reserved,
    Deleted,
}

/// Count and sum of the ratings of a room. Changes are added as differences, so their order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    count: i32,
    sum: i32,
    /// The recent changes that were counted: review and version.
    counted: Recent<(ReservationId, i64)>,
}

/// A change of the rating of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatingChange {
    pub(crate) review: ReservationId,
    /// Version of the review after the change.
    pub(crate) version: i64,
    /// None if the review was created.
    pub(crate) before: Option<Rating>,
    /// None if the review was deleted.
    pub(crate) after: Option<Rating>,
}

/// The commands of a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Register {
        host: MemberId,
        terms: Terms,
    },
    Modify {
        by: By,
        /// The version of the terms on which the changes are based.
        from: i64,
        changes: Vec<Change>,
    },
    Delete {
        by: By,
    },
    Reserve(ReservationId),
    /// A confirmed reservation is over.
    Release(ReservationId),
    /// A reservation is over that was never confirmed, or that was released before.
    Forgo(ReservationId),
    CountReview(RatingChange),
}

/// The events of a room.
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
    /// A reservation was released before it reserved the room. If it reserves the room later, nothing happens.
    Forgone(ReservationId),
    Reviewed(RatingChange),
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
            (Some(room), Command::Release(id)) => Ok(room.release(*id, room.earlier > 0)),
            (Some(room), Command::Forgo(id)) => Ok(room.release(*id, false)),
            (Some(room), Command::CountReview(change)) => Ok(room.count(*change)),
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
            open: Recent::default(),
            earlier: 0,
            over: Recent::default(),
            registered: None,
            modified: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        if self.withdrawn {
            Status::Deleted
        } else if self.has_open() {
            Status::Reserved
        } else {
            Status::Available
        }
    }

    fn has_open(&self) -> bool {
        self.earlier > 0 || !self.open.is_empty()
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
            return Err(Refusal::VersionMismatch);
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
        if self.has_open() {
            return Err(Refusal::HasReservations);
        }
        Ok(vec![Event::Deleted])
    }

    /// A confirmed reservation is recorded even if the room is deleted: it was sold before.
    fn reserve(&self, id: ReservationId) -> Vec<Event> {
        if self.open.contains(&id) || self.over.contains(&id) {
            return vec![];
        }
        vec![Event::Reserved(id)]
    }

    /// Releases a reservation: one of the latest, or an earlier one if it `may_be_earlier`.
    fn release(&self, id: ReservationId, may_be_earlier: bool) -> Vec<Event> {
        if self.open.contains(&id) {
            vec![Event::Released(id)]
        } else if self.over.contains(&id) {
            vec![]
        } else if may_be_earlier {
            vec![Event::Released(id)]
        } else {
            vec![Event::Forgone(id)]
        }
    }

    fn count(&self, change: RatingChange) -> Vec<Event> {
        if self.tally.has_counted(change) {
            return vec![];
        }
        vec![Event::Reviewed(change)]
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
                if self.open.push(*id) {
                    self.earlier = self.earlier.saturating_add(1);
                }
                self.last = Action::Reserved;
            }
            Event::Released(id) => {
                if !self.open.remove(id) {
                    self.earlier = self.earlier.saturating_sub(1);
                }
                self.over.push(*id);
                self.last = Action::Released;
            }
            Event::Forgone(id) => {
                self.over.push(*id);
            }
            Event::Reviewed(change) => {
                self.tally.count(*change);
                self.last = Action::Reviewed;
            }
        }
        Some(self)
    }
}

impl Tally {
    /// Number of reviews.
    pub(crate) fn reviews(&self) -> i32 {
        self.count.max(0)
    }

    /// Mean rating, 0 without reviews.
    pub(crate) fn average(&self) -> f64 {
        if self.count > 0 {
            f64::from(self.sum) / f64::from(self.count)
        } else {
            0.0
        }
    }

    fn has_counted(&self, change: RatingChange) -> bool {
        self.counted.contains(&(change.review, change.version))
    }

    fn count(&mut self, change: RatingChange) {
        for (rating, sign) in [(change.before, -1), (change.after, 1)] {
            if let Some(rating) = rating {
                self.count = self.count.saturating_add(sign);
                self.sum = self.sum.saturating_add(sign * rating.get());
            }
        }
        self.counted.push((change.review, change.version));
    }
}
