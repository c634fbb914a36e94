//! A session: what lies between a sign-in and a sign-out. It goes on by exchanging its refresh token for a new one.
//!
//! ```text
//! (none) ─Begin→ open ─Refresh→ open (next token)
//!                  ├──Refresh with a former token→ ended
//!                  └──End→ ended
//! ```
//!
//! A refresh token has two secret halves: one names the session and stays, the other is new with every exchange. So a
//! token with the right first half and another second half is a former token, and nobody can end a session by its id.

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
    /// Whose it is.
    pub(crate) member: MemberId,
    /// The account's epoch in which it began.
    pub(crate) epoch: u32,
    /// What its current refresh token is known by.
    token: Ticket,
    /// How often the token was exchanged.
    generation: u32,
    /// When the token ends.
    expires: Timestamp,
    /// Since when it is over.
    ended: Option<Timestamp>,
}

/// A refresh token as it is stored: both halves hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// The half that stays.
    pub(crate) family: TokenHash,
    /// The half that is new with every exchange.
    pub(crate) current: TokenHash,
}

/// What a session can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Begins it.
    Begin(Begin),
    /// Exchanges the refresh token.
    Refresh(Refresh),
    /// Ends it, if the token is one of its tokens.
    End(Ticket),
}

/// A session that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Its id.
    pub(crate) session: SessionId,
    /// Whose it is.
    pub(crate) member: MemberId,
    /// The account's epoch.
    pub(crate) epoch: u32,
    /// Its first token.
    pub(crate) token: Ticket,
    /// When the token ends.
    pub(crate) expires: Timestamp,
}

/// An exchange of the refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    /// The token shown.
    pub(crate) shown: Ticket,
    /// The new half of the next token.
    pub(crate) next: TokenHash,
    /// When the next token ends.
    pub(crate) expires: Timestamp,
    /// Whether the account lets the session go on.
    pub(crate) admitted: Result<(), Refusal>,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It began.
    Begun(Begin),
    /// Its token is another one.
    Refreshed {
        /// The new half.
        next: TokenHash,
        /// When it ends.
        expires: Timestamp,
    },
    /// It is over.
    Ended {
        /// Since when.
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
            (Some(session), Command::End(shown)) => session.end(shown, now),
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
        if refresh.shown.family != self.token.family {
            return Err(Refusal::SessionEnded);
        }
        if refresh.shown.current != self.token.current {
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

    fn end(&self, shown: &Ticket, now: &Now) -> Result<Vec<Event>, Refusal> {
        if shown.family != self.token.family {
            return Err(Refusal::SessionEnded);
        }
        let open = self.ended.is_none();
        Ok(open
            .then_some(Event::Ended { at: now.at })
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests;
