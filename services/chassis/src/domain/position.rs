//! Positions in an event log, each with the history that leads to it.

use std::{fmt, str::FromStr};

use berth::eventlog::v1 as proto;

use crate::domain::{digest::LogDigest, event::Recorded};

/// A text or message is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a log")]
pub struct NotAPosition;

/// A position in a log, with the history that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// How often the log was recovered after a loss, plus one. A position of an earlier epoch may have a history that the
    /// recovery has replaced.
    pub epoch: i64,
    /// The sequence number of the event at this position; 0 before the first one.
    pub seq: i64,
    /// The digest of all events up to it.
    pub digest: LogDigest,
}

impl Position {
    /// The epoch of a log that was never recovered.
    pub const FIRST_EPOCH: i64 = 1;

    /// The position before the first event.
    pub const START: Self = Self {
        epoch: Self::FIRST_EPOCH,
        seq: 0,
        digest: LogDigest::EMPTY,
    };

    /// The position of an event that comes next. None if the event does not follow this history.
    pub fn follow(self, event: &Recorded) -> Option<Self> {
        let next = Self {
            seq: self.seq + 1,
            digest: event.digest_after(self.digest),
            ..self
        };
        (next.seq == event.seq && next.digest == event.digest).then_some(next)
    }
}

impl Default for Position {
    fn default() -> Self {
        Self::START
    }
}

/// `<epoch>/<seq>/<digest>`, as in headers and heartbeats.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.epoch, self.seq, self.digest)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut parts = text.split('/');
        let mut part = || parts.next().ok_or(NotAPosition);
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number: &i64| *number >= 0);
            number.ok_or(NotAPosition)
        };
        Ok(Self {
            epoch: number(part()?)?,
            seq: number(part()?)?,
            digest: part()?.parse().map_err(|_| NotAPosition)?,
        })
    }
}

impl From<Position> for proto::Position {
    fn from(position: Position) -> Self {
        Self {
            epoch: position.epoch,
            seq: position.seq,
            digest: position.digest.as_bytes().to_vec().into(),
        }
    }
}

impl TryFrom<proto::Position> for Position {
    type Error = NotAPosition;

    fn try_from(position: proto::Position) -> Result<Self, NotAPosition> {
        let proto::Position { epoch, seq, digest } = position;
        let digest = LogDigest::from_bytes(&digest).ok_or(NotAPosition)?;
        if epoch < Self::FIRST_EPOCH || seq < 0 {
            return Err(NotAPosition);
        }
        Ok(Self { epoch, seq, digest })
    }
}

/// How far a consumer has applied a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The position of the last event applied.
    pub at: Position,
    /// Events that come and were applied before a recovery gave them new sequence numbers.
    pub skip: Skip,
}

/// Events to skip: those after one sequence number up to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// The sequence number before the first of them.
    pub after: i64,
    /// The sequence number of the last of them.
    pub to: i64,
}

impl Skip {
    /// Whether an event is skipped.
    pub fn contains(self, seq: i64) -> bool {
        seq > self.after && seq <= self.to
    }
}

/// The answer of a log to the report of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Where the log ends.
    pub high_water_mark: Position,
    /// Where the consumer continues, if the log was recovered since.
    pub resume: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::time::from_micros, domain::event::Cause};

    fn event(seq: i64) -> Recorded {
        Recorded {
            producer: "room".into(),
            seq,
            digest: LogDigest::default(),
            id: format!("id{seq}"),
            event_type: "berth.room.v1.RoomReserved".into(),
            subject: "s".into(),
            version: 1,
            at: from_micros(7),
            data: vec![1, 2].into(),
            cause: Cause::default(),
        }
    }

    #[test]
    fn every_part_of_an_event_changes_the_digest() {
        type Change = fn(&mut Recorded);
        let alterations: [Change; 6] = [
            |event| event.id.push('x'),
            |event| event.event_type.push('x'),
            |event| event.subject.push('x'),
            |event| event.version += 1,
            |event| event.at = from_micros(8),
            |event| event.data = vec![1].into(),
        ];
        let start = LogDigest::default();
        let same = event(1).digest_after(start);
        assert_eq!(same, event(1).digest_after(start));
        for (number, change) in alterations.into_iter().enumerate() {
            let mut changed = event(1);
            change(&mut changed);
            assert_ne!(changed.digest_after(start), same, "{number}");
        }
        // What moves from one field to the next is another event.
        let (mut left, mut right) = (event(1), event(1));
        left.id.push('b');
        right.event_type.insert(0, 'b');
        assert_ne!(left.digest_after(start), right.digest_after(start));
        // Earlier events count, too.
        assert_ne!(event(2).digest_after(same), event(2).digest_after(start));
    }

    #[test]
    fn an_event_follows_only_its_own_history() {
        let mut first = event(1);
        first.digest = first.digest_after(LogDigest::default());
        let mut second = event(2);
        second.digest = second.digest_after(first.digest);
        let at = Position::START.follow(&first).unwrap();
        assert_eq!((at.seq, at.digest), (1, first.digest));
        assert_eq!(at.follow(&second).unwrap().digest, second.digest);
        // A gap, a repeat, and another history.
        assert_eq!(Position::START.follow(&second), None);
        assert_eq!(at.follow(&first), None);
        let other = Position {
            digest: LogDigest::default(),
            ..at
        };
        assert_eq!(other.follow(&second), None);
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let mut first = event(1);
        first.digest = first.digest_after(LogDigest::default());
        for position in [
            Position::START,
            Position::START.follow(&first).unwrap(),
            Position {
                epoch: 3,
                seq: i64::MAX,
                digest: first.digest,
            },
        ] {
            assert_eq!(position.to_string().parse(), Ok(position));
            assert_eq!(proto::Position::from(position).try_into(), Ok(position));
        }
        for text in [
            "", "1", "1/2", "1/2/x", "-1/2/0", "1/-2/0", "1/2/+0x", "a/b/c",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
        let short = proto::Position {
            epoch: 1,
            seq: 1,
            digest: vec![1].into(),
        };
        assert_eq!(Position::try_from(short), Err(NotAPosition));
        assert_eq!(
            Position::try_from(proto::Position::default()),
            Err(NotAPosition)
        );
    }
}
