//! The aggregate: its state, commands, events and decisions.

use chassis::{Aggregate, MemberId, Now, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{
    content::Content,
    refusal::Refusal,
    text::{Audience, Change},
};

chassis::id! {
    /// A message: derived from the event and the recipient, so a person gets one message for each event.
    MessageId,
}

/// The number of attempts to send an e-mail: about three hours.
pub(crate) const ATTEMPTS: u32 = 12;
/// The number of attempts to find an address: the event of a new member may arrive later.
pub(crate) const LOOK_UPS: u32 = 3;
/// Wait after the first attempt; doubled each time.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// Longest wait between two attempts.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// A message to one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) content: Content,
    pub(crate) email: Email,
    pub(crate) read: bool,
}

/// The state of the e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Email {
    Waiting {
        attempts: u32,
        next: Timestamp,
        /// Why the last attempt failed; empty before the first.
        reason: String,
    },
    Delivered,
    Failed {
        reason: String,
    },
    /// No mail server is set up, or no address is known.
    LeftOut,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Notify {
        recipient: MemberId,
        audience: Audience,
        change: Change,
        /// Whether there is a mail server.
        by_email: bool,
    },
    EmailDelivered,
    /// A permanent failure is not retried.
    EmailFailed {
        reason: String,
        permanent: bool,
    },
    AddressUnknown,
    LeaveEmailOut,
    MarkRead {
        by: MemberId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Written { content: Content, email: Timestamp },
    EmailDelivered,
    EmailPutOff { next: Timestamp, reason: String },
    EmailGivenUp { reason: String },
    EmailLeftOut,
    Read,
}

impl Aggregate for Message {
    const KIND: &'static str = "message";
    type Id = MessageId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        let Some(message) = this else {
            return match command {
                Command::Notify {
                    recipient,
                    audience,
                    change,
                    by_email,
                } => {
                    let content = change.content(*recipient, *audience);
                    let written = Event::Written {
                        content,
                        email: now.at,
                    };
                    Ok(if *by_email {
                        vec![written]
                    } else {
                        vec![written, Event::EmailLeftOut]
                    })
                }
                _ => Err(Refusal::Unknown),
            };
        };
        match (command, &message.email) {
            (Command::MarkRead { by }, _) => {
                match (*by == message.content.recipient, message.read) {
                    (false, _) => Err(Refusal::Unknown),
                    (true, false) => Ok(vec![Event::Read]),
                    (true, true) => Ok(vec![]),
                }
            }
            // Written already, or the e-mail is settled.
            (Command::Notify { .. }, _)
            | (_, Email::Delivered | Email::Failed { .. } | Email::LeftOut) => Ok(vec![]),
            (Command::EmailDelivered, Email::Waiting { .. }) => Ok(vec![Event::EmailDelivered]),
            (Command::LeaveEmailOut, Email::Waiting { .. }) => Ok(vec![Event::EmailLeftOut]),
            (Command::AddressUnknown, Email::Waiting { attempts, .. }) => {
                let tries = attempts.saturating_add(1);
                Ok(vec![if tries < LOOK_UPS {
                    put_off(now.at, tries, "NO_ADDRESS")
                } else {
                    Event::EmailLeftOut
                }])
            }
            (Command::EmailFailed { reason, permanent }, Email::Waiting { attempts, .. }) => {
                let tries = attempts.saturating_add(1);
                Ok(vec![if *permanent || tries >= ATTEMPTS {
                    Event::EmailGivenUp {
                        reason: reason.clone(),
                    }
                } else {
                    put_off(now.at, tries, reason)
                }])
            }
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        let mut message = match (this, event) {
            (None, Event::Written { content, email }) => {
                return Some(Self {
                    content: content.clone(),
                    email: Email::Waiting {
                        attempts: 0,
                        next: *email,
                        reason: String::new(),
                    },
                    read: false,
                });
            }
            (None, _) | (Some(_), Event::Written { .. }) => return None,
            (Some(message), _) => message,
        };
        match (event, &message.email) {
            (Event::Read, _) => message.read = true,
            (Event::EmailPutOff { next, reason }, Email::Waiting { attempts, .. }) => {
                message.email = Email::Waiting {
                    attempts: attempts.saturating_add(1),
                    next: *next,
                    reason: reason.clone(),
                };
            }
            (Event::EmailDelivered, Email::Waiting { .. }) => message.email = Email::Delivered,
            (Event::EmailLeftOut, Email::Waiting { .. }) => message.email = Email::LeftOut,
            (Event::EmailGivenUp { reason }, Email::Waiting { .. }) => {
                message.email = Email::Failed {
                    reason: reason.clone(),
                };
            }
            _ => return None,
        }
        Some(message)
    }

    fn due(&self) -> Option<Timestamp> {
        match &self.email {
            Email::Waiting { next, .. } => Some(*next),
            _ => None,
        }
    }
}

/// Tries again later: 5 seconds after the first attempt, twice as long after each further one, at most an hour.
fn put_off(at: Timestamp, tries: u32, reason: &str) -> Event {
    let doublings = tries.saturating_sub(1).min(16);
    let wait = FIRST_WAIT
        .saturating_mul(1_i32 << doublings)
        .min(LONGEST_WAIT);
    Event::EmailPutOff {
        next: at.saturating_add(wait).unwrap_or(Timestamp::MAX),
        reason: reason.to_owned(),
    }
}
