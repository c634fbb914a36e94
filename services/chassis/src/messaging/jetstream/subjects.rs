//! Names of streams, subjects and consumers at the broker, and the permissions of a context there.

use crate::domain::{consumer_name::ConsumerName, log_id::LogId};

/// The names under a prefix, `berth` by default.
#[derive(Clone, Debug)]
pub(super) struct Names(pub(super) String);

/// The minimal permissions of a user of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects it publishes to.
    pub publish: Vec<String>,
    /// Subjects it subscribes to.
    pub subscribe: Vec<String>,
}

impl Names {
    /// The stream that carries the events of a context.
    pub(super) fn stream(&self, context: &str) -> String {
        format!("{}-{}", self.0, legal(context))
    }

    /// The pattern of the subjects of a context's events.
    pub(super) fn events(&self, context: &str) -> String {
        format!("{}.events.{}.>", self.0, legal(context))
    }

    /// The subject of an event.
    pub(super) fn event(&self, log: &LogId, event_type: &str) -> String {
        format!("{}.events.{}.{event_type}", self.0, legal(log.context()))
    }

    /// The event type in a subject, if the subject belongs to this log.
    pub(super) fn event_type<'s>(&self, log: &LogId, subject: &'s str) -> Option<&'s str> {
        let all = self.events(log.context());
        subject.strip_prefix(all.trim_end_matches('>'))
    }

    /// The subject of the heartbeats of a log.
    pub(super) fn heads(&self, log: &LogId) -> String {
        format!("{}.heads.{}", self.0, legal(log.context()))
    }

    /// The subject on which the leader of a context is notified of work.
    pub(super) fn wake(&self, context: &str) -> String {
        format!("{}.wake.{}", self.0, legal(context))
    }

    /// The durable consumer, on the stream of the producer.
    pub(super) fn durable(consumer: &ConsumerName) -> String {
        legal(consumer.as_str())
    }

    /// The prefix of the reply subjects of a process.
    pub(super) fn inbox(process: &str) -> String {
        format!("_INBOX.{}", legal(process))
    }

    /// The permissions of a process with one context. `consumers` are its consumers: name and log.
    pub(super) fn permissions(
        &self,
        context: &str,
        consumers: &[(ConsumerName, LogId)],
    ) -> Permissions {
        let own = self.stream(context);
        let mut publish = vec![
            self.events(context),
            self.heads(&LogId::of(context)),
            self.wake(context),
        ];
        let calls = ["INFO", "CREATE", "UPDATE", "MSG.GET"];
        publish.extend(calls.map(|call| format!("$JS.API.STREAM.{call}.{own}")));
        let mut subscribe = vec![format!("{}.>", Self::inbox(context)), self.wake(context)];
        for (consumer, log) in consumers {
            let stream = self.stream(log.context());
            let durable = Self::durable(consumer);
            publish.extend([
                format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"),
                format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}.>"),
                format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"),
                format!("$JS.ACK.{stream}.{durable}.>"),
            ]);
            subscribe.push(self.heads(log));
        }
        for subjects in [&mut publish, &mut subscribe] {
            subjects.sort();
            subjects.dedup();
        }
        Permissions { publish, subscribe }
    }
}

/// A legal name at the broker. Names of contexts are legal; the dot of `view.views` is not.
fn legal(name: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_contain_the_log() {
        let names = Names("berth".into());
        let log = LogId::of("room");
        let subject = names.event(&log, "berth.room.v1.RoomReserved");
        assert_eq!(subject, "berth.events.room.berth.room.v1.RoomReserved");
        assert_eq!(
            names.event_type(&log, &subject),
            Some("berth.room.v1.RoomReserved")
        );
        assert_eq!(names.event_type(&LogId::of("roo"), &subject), None);
        assert_eq!(
            Names::durable(&ConsumerName::of_views("view")),
            "view_views"
        );
        assert_eq!(names.stream("room"), "berth-room");
        assert_eq!(names.wake("a.b *>"), "berth.wake.a_b___");
    }
}
