//! The events that this context publishes.

use berth::message::v1::{MessageRead, MessageSent, MessageWritten};
use chassis::{EventType, Fact, Publish, Versioned};

use super::message::to_proto;
use crate::domain::{Event, Message, MessageId};

/// The types of the published events.
pub(crate) const EVENTS: &[EventType] = &[
    EventType::of::<MessageWritten>(),
    EventType::of::<MessageRead>(),
    EventType::of::<MessageSent>(),
];

impl Publish for Message {
    fn facts(id: MessageId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let message = Some(to_proto(id, after));
        let fact = match event {
            Event::Written { .. } => Fact::of(&MessageWritten { message }),
            Event::Read => Fact::of(&MessageRead { message }),
            Event::EmailPutOff { .. } => return Vec::new(),
            Event::EmailDelivered | Event::EmailGivenUp { .. } | Event::EmailLeftOut => {
                Fact::of(&MessageSent { message })
            }
        };
        vec![fact.about(after.state.content.reservation)]
    }
}
