//! Conversion between the contract and the domain. Every field of a request or an event is validated here, once.

mod events;

use berth::{
    message::v1::{
        self as proto, Channel, Delivery, DeliveryStatus, ListMessagesRequest,
        MarkMessageReadRequest,
    },
    offer::v1::{Period as ProtoPeriod, period::Kind as ProtoPeriodKind},
    reservation::v1::Reservation,
};
use chassis::{
    Aggregate, Malformed, MemberId, Money, Timestamp, Versioned, Violations,
    base::{page, time},
};
use tonic::Status;
use uuid::Uuid;

pub(crate) use self::events::EVENTS;
use crate::{
    domain::{Change, Command, Email, Happened, Message, MessageId, Period},
    views::Inbox,
};

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

/// The change of a reservation, with its customer and its host.
pub(crate) fn change(
    happened: Happened,
    event_type: String,
    reservation: &Reservation,
) -> Result<(Change, MemberId, MemberId), Malformed> {
    let price = reservation.price.as_ref();
    let change = Change {
        happened,
        event_type,
        reservation: reservation.reservation_id.parse()?,
        title: reservation.title.clone(),
        period: period(reservation.period.as_ref())
            .ok_or_else(|| Malformed::because("no period"))?,
        quantity: reservation.quantity,
        price: Money::try_from(price.ok_or_else(|| Malformed::because("no price"))?)?,
        refund: reservation
            .refund
            .as_ref()
            .map(Money::try_from)
            .transpose()?,
        reason: reservation.reason.clone(),
        hold_until: reservation
            .hold_expire_time
            .as_ref()
            .and_then(time::from_proto),
    };
    Ok((
        change,
        reservation.customer_id.parse()?,
        reservation.host_id.parse()?,
    ))
}

fn period(period: Option<&ProtoPeriod>) -> Option<Period> {
    match period?.kind.as_ref()? {
        ProtoPeriodKind::Dates(dates) => Some(Period::Dates {
            start: time::date_from_proto(dates.start_date.as_ref()?)?,
            end: time::date_from_proto(dates.end_date.as_ref()?)?,
        }),
        ProtoPeriodKind::Times(times) => Some(Period::Times {
            start: time::from_proto(times.start_time.as_ref()?)?,
            end: time::from_proto(times.end_time.as_ref()?)?,
        }),
    }
}

/// The messages that a member lists; one more than the page size, to know whether there is a next page.
pub(crate) fn list(recipient: MemberId, request: &ListMessagesRequest) -> Result<Inbox, Status> {
    let mut violations = Violations::new();
    let reservation = (!request.reservation_id.is_empty())
        .then(|| violations.parse("reservation_id", &request.reservation_id))
        .flatten();
    let size = violations.page_size(request.page_size);
    let before = match violations.page_token(&request.page_token) {
        None => None,
        Some([at, id]) => violations
            .parse("page_token", &at)
            .zip(violations.parse("page_token", &id)),
    };
    let inbox = size.map(|size| Inbox {
        recipient,
        reservation,
        unread_only: request.unread_only,
        before,
        limit: size + 1,
    });
    violations.check(inbox)
}

/// The token of the page after a message.
pub(crate) fn page_token((id, message): &(MessageId, Versioned<Message>)) -> String {
    let at = time::to_micros(message.created).to_string();
    page::token([&at, &id.to_string()])
}

pub(crate) fn mark_read(
    by: MemberId,
    request: &MarkMessageReadRequest,
) -> Result<(MessageId, Command), Status> {
    let mut violations = Violations::new();
    let id = violations.parse("message_id", &request.message_id);
    let id = violations.check(id)?;
    Ok((id, Command::MarkRead { by }))
}
