//! A session, from sign-in to sign-out. It continues as long as its refresh token is exchanged for a new one in time.
//!
//! ```text
//! (none) ─Begin→ open ─Refresh→ open (next token)
//!                  ├─Refresh with a former token→ ended
//!                  └─End→ ended
//! ```
//!
//! A refresh token holds two secrets: `family` is the same in every token of a session, `current` is new in every
//! token. A token with the right `family` and another `current` is therefore a former token, and its use ends the
//! session: either the token or its successor was stolen. Knowing the id of a session is not enough to end it.

use chassis::{Aggregate, Claims, MemberId, Now, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Refusal, revocation,
    values::{SessionId, TokenHash},
};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    id: SessionId,
    /// The member.
    pub(crate) member: MemberId,
    /// Epoch of the account when the session began.
    pub(crate) epoch: u32,
    /// Hashes of the current refresh token.
    token: TokenHashes,
    /// How often the refresh token was exchanged.
    generation: u32,
    /// When the current refresh token expires.
    expires: Timestamp,
    /// When the session ended, if it has.
    ended: Option<Timestamp>,
}

/// A refresh token as it is stored: hashes of its two secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenHashes {
    /// Hash of the secret that all tokens of the session share.
    pub(crate) family: TokenHash,
    /// Hash of the secret that is new in every token.
    pub(crate) current: TokenHash,
}

/// The commands of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Begins the session.
    Begin(Begin),
    /// Exchanges the refresh token.
    Refresh(Refresh),
    /// Ends the session, if the token is one of its tokens.
    End(TokenHashes),
}

/// The content of a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The id of the session.
    pub(crate) session: SessionId,
    /// The member.
    pub(crate) member: MemberId,
    /// Epoch of the account.
    pub(crate) epoch: u32,
    /// Hashes of its first refresh token.
    pub(crate) token: TokenHashes,
    /// When the current refresh token expires.
    pub(crate) expires: Timestamp,
}

/// An exchange of the refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    /// Hashes of the presented token.
    pub(crate) presented: TokenHashes,
    /// Hash of the new secret of the next token.
    pub(crate) next: TokenHash,
    /// When the next token expires.
    pub(crate) expires: Timestamp,
    /// Whether the account allows the session to continue.
    pub(crate) admitted: Result<(), Refusal>,
}

/// The events of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The session began.
    Begun(Begin),
    /// The refresh token was exchanged.
    Refreshed {
        /// Hash of the new secret.
        next: TokenHash,
        /// When the new token expires.
        expires: Timestamp,
    },
    /// The session ended.
    Ended {
        /// When.
        at: Timestamp,
    },
}

impl Aggregate for Session {
    const KIND: &'static str = "session";
    type Id = SessionId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None, Command::Begin(begin)) => Ok(vec![Event::Begun(begin.clone())]),
            (Some(session), Command::Begin(begin)) if session.began_as(begin) => Ok(vec![]),
            (Some(_), Command::Begin(_)) => Err(Refusal::IdReused),
            (Some(session), Command::Refresh(refresh)) => session.refresh(refresh, now),
            (Some(session), Command::End(presented)) => session.end(presented, now),
            (None, Command::Refresh(_) | Command::End(_)) => Err(Refusal::SessionEnded),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (None, Event::Begun(begin)) => Some(Self {
                id: begin.session,
                member: begin.member,
                epoch: begin.epoch,
                token: begin.token.clone(),
                generation: 0,
                expires: begin.expires,
                ended: None,
            }),
            (Some(mut session), Event::Refreshed { next, expires }) => {
                session.token.current = next.clone();
                session.generation = session.generation.saturating_add(1);
                session.expires = *expires;
                Some(session)
            }
            (Some(mut session), Event::Ended { at }) => {
                session.ended = Some(*at);
                Some(session)
            }
            _ => None,
        }
    }

    fn claims(&self) -> Claims {
        self.ended.map_or_else(Claims::none, |at| {
            Claims::none().and(revocation::SESSIONS, revocation::key(at, self.id))
        })
    }
}

impl Session {
    fn began_as(&self, begin: &Begin) -> bool {
        self.member == begin.member && self.token == begin.token
    }

    fn refresh(&self, refresh: &Refresh, now: &Now) -> Result<Vec<Event>, Refusal> {
        if refresh.presented.family != self.token.family {
            return Err(Refusal::SessionEnded);
        }
        if refresh.presented.current != self.token.current {
            return match self.ended {
                None => Ok(vec![Event::Ended { at: now.at }]),
                Some(_) => Err(Refusal::TokenReused),
            };
        }
        if self.ended.is_some() || now.at >= self.expires {
            return Err(Refusal::SessionEnded);
        }
        refresh.admitted?;
        Ok(vec![Event::Refreshed {
            next: refresh.next.clone(),
            expires: refresh.expires,
        }])
    }

    fn end(&self, presented: &TokenHashes, now: &Now) -> Result<Vec<Event>, Refusal> {
        if presented.family != self.token.family {
            return Err(Refusal::SessionEnded);
        }
        if self.ended.is_some() {
            return Ok(vec![]);
        }
        Ok(vec![Event::Ended { at: now.at }])
    }
}

#[cfg(test)]
mod tests;
