//! Parses requests and page tokens.

use berth::message::v1::{ListMessagesRequest, MarkMessageReadRequest};
use chassis::{
    MemberId, Versioned, Violations,
    base::{page, time},
};
use tonic::Status;

use crate::{
    domain::{Command, Message, MessageId},
    views::Inbox,
};

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
