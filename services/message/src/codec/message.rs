//! A message: its id, and its form in the contract.

use berth::message::v1::{self as proto, Channel, Delivery, DeliveryStatus};
use chassis::{Aggregate, MemberId, Timestamp, Versioned, base::time};
use uuid::Uuid;

use crate::domain::{Email, Message, MessageId};

/// The id of the message to a person about an event: a repeated event leads to the same id. It begins with the time of
/// the event, as a UUID of version 7 does, so that messages of the same time are neighbours in the store.
pub(crate) fn message_id(event_id: &str, at: Timestamp, recipient: MemberId) -> MessageId {
    let name = format!("{}/{event_id}/{recipient}", Message::KIND);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).as_u128();
    let millis = u128::try_from(at.as_millisecond()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let rest = (1_u128 << 80) - 1;
    let mut bytes = ((millis << 80) | (hash & rest)).to_be_bytes();
    // Version 8: a vendor-specific layout.
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    Uuid::from_bytes(bytes).into()
}

pub(crate) fn to_proto(id: MessageId, message: &Versioned<Message>) -> proto::Message {
    let Message {
        content,
        email,
        read,
    } = &message.state;
    let delivery = |channel: Channel, status: DeliveryStatus, reason: &str| Delivery {
        channel: channel.into(),
        status: status.into(),
        reason: reason.to_owned(),
    };
    let inbox = delivery(Channel::Inbox, DeliveryStatus::Delivered, "");
    let email = match email {
        Email::Waiting { reason, .. } => Some((DeliveryStatus::Pending, reason.as_str())),
        Email::Delivered => Some((DeliveryStatus::Delivered, "")),
        Email::Failed { reason } => Some((DeliveryStatus::Failed, reason.as_str())),
        Email::LeftOut => None,
    };
    let email = email.map(|(status, reason)| delivery(Channel::Email, status, reason));
    proto::Message {
        message_id: id.to_string(),
        recipient_id: content.recipient.to_string(),
        reservation_id: content.reservation.to_string(),
        event_type: content.event_type.clone(),
        subject: content.subject.clone(),
        text: content.text.clone(),
        deliveries: std::iter::once(inbox).chain(email).collect(),
        read: *read,
        create_time: Some(time::to_proto(message.created)),
    }
}
