//! A message to one person about one event. It is in the inbox when it is written; then it is sent by e-mail.
//!
//! ```text
//! (none) ─Notify→ Waiting ─EmailDelivered────────────→ Delivered
//!                  ↑ └─EmailFailed, AddressUnknown─┐
//!                  └──────── put off, longer each time ─→ Failed (given up) │ LeftOut (nowhere to send it)
//! ```

pub(crate) mod content;
mod message;
#[cfg(test)]
mod properties;
mod refusal;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use self::{
    message::{Command, Email, Event, Message, MessageId},
    text::{Audience, Change, Happened, Period},
};
