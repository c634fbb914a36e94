//! A session, from sign-in to sign-out. It continues as long as its refresh token is exchanged for a new one in time.
//!
//! ```text
//! (none) ─Begin→ open ─Refresh with an unused token→ open (the token is exchanged; one unused successor)
//!                  ├─Refresh with the token exchanged last, repeated in time→ open (one more unused successor)
//!                  ├─Refresh with any other former token→ ended
//!                  └─End→ ended
//! ```
//!
//! A refresh token holds two secrets: `family` is the same in every token of a session, `current` is new in every
//! token. A token with the right `family` and another `current` is therefore a former token. Knowing the id of a session is
//! not enough to end it.
//!
//! The answer to an exchange may be lost, and two tabs may exchange the same token at once. So a token may be exchanged
//! again while none of its successors was used, within [`REPEAT`] of its first exchange. The first successor that is used
//! becomes the only branch; its siblings are former tokens then. The use of a former token ends the session: it or the
//! branch was stolen. So of two holders of a token only one gets further than its successor.

use chassis::{Aggregate, Claims, MemberId, Now, Timestamp, base::time::SignedDuration};
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
    /// Hash of the secret that all its tokens share.
    family: TokenHash,
    /// The tokens that were not used yet, oldest first.
    unused: Vec<TokenHash>,
    /// The token that they were issued for; none if that was the sign-in.
    exchanged: Option<Exchanged>,
    /// When the unused tokens expire.
    expires: Timestamp,
    /// When the session ended, if it has.
    ended: Option<Timestamp>,
}

/// The token that was exchanged last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Exchanged {
    token: TokenHash,
    /// When it was exchanged first.
    at: Timestamp,
}

/// How long after its first exchange a token may be exchanged again.
pub(crate) const REPEAT: SignedDuration = SignedDuration::from_secs(60);

/// The most unused tokens. With more repeats the oldest becomes a former token.
const MOST_UNUSED: usize = 8;

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
    /// A refresh token was exchanged.
    Refreshed {
        /// Hash of its secret.
        token: TokenHash,
        /// When.
        at: Timestamp,
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
                family: begin.token.family.clone(),
                unused: vec![begin.token.current.clone()],
                exchanged: None,
                expires: begin.expires,
                ended: None,
            }),
            (
                Some(mut session),
                Event::Refreshed {
                    token,
                    at,
                    next,
                    expires,
                },
            ) => {
                let last = session.exchanged.as_ref();
                if last.is_none_or(|last| last.token != *token) {
                    let (token, at) = (token.clone(), *at);
                    session.exchanged = Some(Exchanged { token, at });
                    session.unused.clear();
                } else if session.unused.len() >= MOST_UNUSED {
                    session.unused.remove(0);
                }
                session.unused.push(next.clone());
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
        self.member == begin.member
            && self.family == begin.token.family
            && self.exchanged.is_none()
            && self.unused.contains(&begin.token.current)
    }

    fn refresh(&self, refresh: &Refresh, now: &Now) -> Result<Vec<Event>, Refusal> {
        let TokenHashes { family, current } = &refresh.presented;
        if *family != self.family {
            return Err(Refusal::SessionEnded);
        }
        if !self.unused.contains(current) && !self.is_repeat(current, now) {
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
            token: current.clone(),
            at: now.at,
            next: refresh.next.clone(),
            expires: refresh.expires,
        }])
    }

    /// Whether a token was exchanged last, and only just, so that the exchange may be repeated.
    fn is_repeat(&self, token: &TokenHash, now: &Now) -> bool {
        self.exchanged
            .as_ref()
            .is_some_and(|last| last.token == *token && now.at.duration_since(last.at) < REPEAT)
    }

    fn end(&self, presented: &TokenHashes, now: &Now) -> Result<Vec<Event>, Refusal> {
        if presented.family != self.family {
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
