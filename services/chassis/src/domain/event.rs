//! Events: as an aggregate publishes them, as they stand on a log, and as consumers receive them.

use std::fmt;

use berth::eventlog::v1 as proto;
use bytes::Bytes;
use prost::{Message, Name};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    base::{
        id::NotAnId,
        money::MoneyError,
        time::{self, Timestamp},
    },
    domain::{
        aggregate::{Aggregate, Versioned},
        digest::LogDigest,
    },
};

/// Full name of an event's message, for example `berth.reservation.v1.ReservationConfirmed`.
#[derive(Clone, Copy, Debug)]
pub struct EventType(pub fn() -> String);

impl EventType {
    /// The type of a message.
    pub const fn of<E: Name>() -> Self {
        Self(E::full_name)
    }

    /// Its full name.
    pub fn name(self) -> String {
        (self.0)()
    }
}

/// The public message of an aggregate's event.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Full name of the message.
    pub event_type: String,
    /// The message, encoded.
    pub data: Bytes,
    /// Correlation id: the reservation's id, if there is one. Empty: that of the command.
    pub correlation: String,
}

impl Fact {
    /// A fact with a message.
    pub fn of<E: Message + Name>(event: &E) -> Self {
        Self {
            event_type: E::full_name(),
            data: event.encode_to_vec().into(),
            correlation: String::new(),
        }
    }

    /// Sets the correlation id.
    #[must_use]
    pub fn about(mut self, correlation: impl fmt::Display) -> Self {
        self.correlation = correlation.to_string();
        self
    }
}

/// Translates an aggregate's own events into those of the contract.
pub trait Publish: Aggregate {
    /// The facts that `event` publishes; `after` is the aggregate after it. Most events publish one fact, some none.
    fn facts(id: Self::Id, event: &Self::Event, after: &Versioned<Self>) -> Vec<Fact>;
}

/// The cause of a command. It is recorded with every event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// A member's id, or the name of a service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// Causation id: of the request or event that caused it.
    #[serde(rename = "causationid", skip_serializing_if = "String::is_empty")]
    pub causation: String,
    /// Correlation id.
    #[serde(rename = "correlationid", skip_serializing_if = "String::is_empty")]
    pub correlation: String,
    /// W3C trace context.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
}

impl Cause {
    /// Caused by a member or service.
    pub fn by(actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            ..Self::default()
        }
    }
}

/// An event on a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The context that recorded it.
    pub producer: String,
    /// Sequence number in the log: 1, 2, 3, …; 0 if it has none yet.
    pub seq: i64,
    /// Digest of the log up to and including it, if it has a sequence number.
    pub digest: LogDigest,
    /// Unique id.
    pub id: String,
    /// Full name of the message.
    pub event_type: String,
    /// The aggregate it is about.
    pub subject: String,
    /// Version of the aggregate after it.
    pub version: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The message, encoded.
    pub data: Bytes,
    /// What caused it.
    pub cause: Cause,
}

impl Recorded {
    /// The digest of a log after this event, given the one before.
    pub fn digest_after(&self, before: LogDigest) -> LogDigest {
        let texts = [&*self.id, &*self.event_type, &*self.subject];
        before.then(texts, [self.version, time::to_micros(self.at)], &self.data)
    }

    /// The event as a policy or view receives it.
    pub fn receive<E: Message + Name + Default>(&self) -> Result<Received<E>, prost::DecodeError> {
        Ok(Received {
            event: E::decode(self.data.clone())?,
            id: self.id.clone(),
            subject: self.subject.clone(),
            version: self.version,
            at: self.at,
            actor: self.cause.actor.clone(),
        })
    }
}

/// Derives the id of an event from its aggregate and version, so that it is the same wherever the event is read.
pub fn event_id(producer: &str, kind: &str, subject: &str, version: i64, index: usize) -> String {
    Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{producer}/{kind}/{subject}/{version}/{index}").as_bytes(),
    )
    .to_string()
}

/// An event as a policy or view receives it.
#[derive(Clone, Debug)]
pub struct Received<E> {
    /// The message.
    pub event: E,
    /// Unique id of the event.
    pub id: String,
    /// The aggregate it is about.
    pub subject: String,
    /// Version of that aggregate after it.
    pub version: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The member or service that caused it.
    pub actor: String,
}

impl From<Recorded> for proto::Event {
    fn from(event: Recorded) -> Self {
        Self {
            seq: event.seq,
            id: event.id,
            r#type: event.event_type,
            source: event.producer,
            subject: event.subject,
            version: event.version,
            time: Some(time::to_proto(event.at)),
            data: event.data,
            correlation_id: event.cause.correlation,
            causation_id: event.cause.causation,
            actor: event.cause.actor,
            traceparent: event.cause.traceparent,
            digest: event.digest.as_bytes().to_vec().into(),
        }
    }
}

impl Recorded {
    /// An event read from the log of another process.
    pub fn from_proto(event: proto::Event) -> Self {
        Self {
            producer: event.source,
            seq: event.seq,
            digest: LogDigest::from_bytes(&event.digest).unwrap_or_default(),
            id: event.id,
            event_type: event.r#type,
            subject: event.subject,
            version: event.version,
            at: event
                .time
                .as_ref()
                .and_then(time::from_proto)
                .unwrap_or(Timestamp::UNIX_EPOCH),
            data: event.data,
            cause: Cause {
                actor: event.actor,
                causation: event.causation_id,
                correlation: event.correlation_id,
                traceparent: event.traceparent,
            },
        }
    }
}

/// An event that violates its contract, for example with a malformed id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed event: {0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// A malformed event with the reason.
    pub fn because(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl From<NotAnId> for Malformed {
    fn from(error: NotAnId) -> Self {
        Self::because(error)
    }
}

impl From<MoneyError> for Malformed {
    fn from(error: MoneyError) -> Self {
        Self::because(error)
    }
}
