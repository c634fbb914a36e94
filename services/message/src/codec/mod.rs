//! Conversion between the contract and the domain. Every field of a request or an event is validated here, once.

mod change;
mod events;
mod message;
mod requests;

pub(crate) use self::{
    change::change,
    events::EVENTS,
    message::{message_id, to_proto},
    requests::{list, mark_read, page_token},
};
