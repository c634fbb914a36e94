//! An account: who somebody is, how they prove it, and what they may do.
//!
//! ```text
//! (none) ─Join→ in ⇄ Suspend → shut out
//!               in ─SignIn→ in | wrong password: the tenth within 15 minutes shuts the door for a while
//! ```

use std::collections::BTreeSet;

use chassis::{
    Aggregate, ClaimRange, Claims, MemberId, Now, Timestamp, base::time::SignedDuration,
};
use serde::{Deserialize, Serialize};

use super::{
    Refusal, revocation,
    values::{Attempts, Email, PasswordHash, Proof, Role, SessionId},
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Whose it is.
    pub(crate) member: MemberId,
    /// The address; nobody else has it.
    pub(crate) email: Email,
    /// Name to show.
    pub(crate) display_name: String,
    /// What the member may do.
    pub(crate) roles: BTreeSet<Role>,
    /// What the member asked for when joining; a repeat asks for the same.
    joined_as: BTreeSet<Role>,
    /// Whether the member is shut out.
    pub(crate) suspended: bool,
    /// The password's hash.
    pub(crate) password: PasswordHash,
    /// Wrong passwords of late.
    pub(crate) attempts: Attempts,
    /// Access tokens issued before it are not good any more.
    pub(crate) tokens_valid_from: Option<Timestamp>,
    /// Grows when all sessions end.
    pub(crate) epoch: u32,
    /// The session that outlived the last end of all sessions.
    kept: Option<SessionId>,
}

/// What an account can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Makes it.
    Join(Join),
    /// Lets the member in if the password was right.
    SignIn(Proof),
    /// Takes another password.
    ChangePassword(NewPassword),
    /// Sets what the member may do.
    SetRoles(BTreeSet<Role>),
    /// Shuts the member out, or lets them in again.
    Suspend(bool),
}

/// Who joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    /// The member.
    pub(crate) member: MemberId,
    /// The address.
    pub(crate) email: Email,
    /// Name to show.
    pub(crate) display_name: String,
    /// What the member wants to do.
    pub(crate) roles: BTreeSet<Role>,
    /// How the password is known from now on.
    pub(crate) password: Password,
}

/// The password of somebody who joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    /// Of somebody new: its hash.
    New(PasswordHash),
    /// Of somebody who seems to be here already: whether it is theirs.
    Again(Proof),
}

/// A change of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewPassword {
    /// Whether the old one was right.
    pub(crate) old: Proof,
    /// Whether the new one is the member's already: then this is a repeat.
    pub(crate) is_set: bool,
    /// The new one's hash.
    pub(crate) new: PasswordHash,
    /// The session that goes on; all others end.
    pub(crate) keep: Option<SessionId>,
}

/// What can happen to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody joined.
    Joined {
        /// The member.
        member: MemberId,
        /// The address.
        email: Email,
        /// Name to show.
        display_name: String,
        /// What the member may do.
        roles: BTreeSet<Role>,
        /// The password's hash.
        password: PasswordHash,
    },
    /// The right password was given after wrong ones.
    SignedIn,
    /// A wrong password was given.
    WrongPassword {
        /// When.
        at: Timestamp,
    },
    /// The password is another one.
    PasswordChanged {
        /// Its hash.
        password: PasswordHash,
        /// The session that goes on.
        keep: Option<SessionId>,
        /// Tokens issued before it end.
        tokens_valid_from: Timestamp,
    },
    /// The member may do something else.
    RolesSet {
        /// What.
        roles: BTreeSet<Role>,
        /// Tokens issued before it end.
        tokens_valid_from: Timestamp,
    },
    /// The member was shut out.
    Suspended {
        /// Tokens issued before it end.
        tokens_valid_from: Timestamp,
    },
    /// The member was let in again.
    Readmitted,
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Id = MemberId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None, Command::Join(join)) => join.first(now),
            (Some(account), Command::Join(join)) => account.join_again(join, now),
            (None, _) => Err(Refusal::Unknown),
            (Some(account), Command::SignIn(proof)) => account.sign_in(proof, now),
            (Some(account), Command::ChangePassword(change)) => account.change(change, now),
            (Some(account), Command::SetRoles(roles)) if account.roles == *roles => Ok(vec![]),
            (Some(account), Command::SetRoles(roles)) => Ok(vec![Event::RolesSet {
                roles: roles.clone(),
                tokens_valid_from: account.next_valid_from(now),
            }]),
            (Some(account), Command::Suspend(so)) if account.suspended == *so => Ok(vec![]),
            (Some(account), Command::Suspend(true)) => Ok(vec![Event::Suspended {
                tokens_valid_from: account.next_valid_from(now),
            }]),
            (Some(_), Command::Suspend(false)) => Ok(vec![Event::Readmitted]),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (
                None,
                Event::Joined {
                    member,
                    email,
                    display_name,
                    roles,
                    password,
                },
            ) => Some(Self {
                member: *member,
                email: email.clone(),
                display_name: display_name.clone(),
                roles: roles.clone(),
                joined_as: roles.clone(),
                suspended: false,
                password: password.clone(),
                attempts: Attempts::default(),
                tokens_valid_from: None,
                epoch: 0,
                kept: None,
            }),
            (Some(account), event) => account.after(event),
            (None, _) => None,
        }
    }

    fn claim_ranges(this: Option<&Self>, command: &Command) -> Vec<ClaimRange> {
        match (this, command) {
            // No address has a space, so no other address lies in between.
            (None, Command::Join(Join { email, .. })) => {
                vec![ClaimRange::range(
                    EMAIL,
                    email.as_str(),
                    format!("{} ", email.as_str()),
                )]
            }
            _ => vec![],
        }
    }

    fn claims(&self) -> Claims {
        let claims = Claims::none().and(EMAIL, self.email.as_str());
        match self.tokens_valid_from {
            Some(from) => claims.and(revocation::MEMBERS, revocation::key(from, self.member)),
            None => claims,
        }
    }
}

/// Scope of the addresses.
pub(crate) const EMAIL: &str = "email";

impl Join {
    fn first(&self, now: &Now) -> Result<Vec<Event>, Refusal> {
        if now.is_held(EMAIL, self.email.as_str()) {
            return Err(Refusal::EmailTaken);
        }
        let Password::New(password) = &self.password else {
            return Err(Refusal::Raced);
        };
        Ok(vec![Event::Joined {
            member: self.member,
            email: self.email.clone(),
            display_name: self.display_name.clone(),
            roles: self.roles.clone(),
            password: password.clone(),
        }])
    }
}

impl Account {
    /// Whether a session that began in some epoch goes on.
    pub(crate) fn admits(&self, session: SessionId, epoch: u32) -> Result<(), Refusal> {
        if self.suspended {
            Err(Refusal::Suspended)
        } else if epoch == self.epoch || self.kept == Some(session) {
            Ok(())
        } else {
            Err(Refusal::SessionEnded)
        }
    }

    /// When a token issued now says it was issued: never before the last revocation, whatever the clock does.
    pub(crate) fn issue_time(&self, now: Timestamp) -> Timestamp {
        self.tokens_valid_from.map_or(now, |from| from.max(now))
    }

    /// A repeat of a join is a check of the password, and counted as one.
    fn join_again(&self, join: &Join, now: &Now) -> Result<Vec<Event>, Refusal> {
        let same = self.email == join.email
            && self.display_name == join.display_name
            && self.joined_as == join.roles;
        match &join.password {
            _ if !same => Err(Refusal::IdReused),
            Password::New(_) => Err(Refusal::Raced),
            Password::Again(proof) if self.check(proof, now)? => Ok(vec![]),
            Password::Again(_) => Ok(vec![Event::WrongPassword { at: now.at }]),
        }
    }

    fn sign_in(&self, proof: &Proof, now: &Now) -> Result<Vec<Event>, Refusal> {
        if !self.check(proof, now)? {
            return Ok(vec![Event::WrongPassword { at: now.at }]);
        }
        if self.suspended {
            return Err(Refusal::Suspended);
        }
        let had_wrong_ones = !self.attempts.is_empty();
        Ok(had_wrong_ones
            .then_some(Event::SignedIn)
            .into_iter()
            .collect())
    }

    fn change(&self, change: &NewPassword, now: &Now) -> Result<Vec<Event>, Refusal> {
        if self.check(&change.old, now)? {
            Ok(vec![Event::PasswordChanged {
                password: change.new.clone(),
                keep: change.keep,
                tokens_valid_from: self.next_valid_from(now),
            }])
        } else if change.is_set {
            Ok(vec![])
        } else {
            Ok(vec![Event::WrongPassword { at: now.at }])
        }
    }

    /// Whether a password was right; nobody is told after too many wrong ones, however many were checked at once.
    fn check(&self, proof: &Proof, now: &Now) -> Result<bool, Refusal> {
        self.attempts.check(now.at)?;
        if proof.against != self.password {
            return Err(Refusal::Raced);
        }
        Ok(proof.good)
    }

    /// The first instant at which no token has been issued yet.
    fn next_valid_from(&self, now: &Now) -> Timestamp {
        let last = self.issue_time(now.at);
        last.saturating_add(SignedDuration::from_micros(1))
            .unwrap_or(last)
    }

    fn after(mut self, event: &Event) -> Option<Self> {
        match event {
            Event::Joined { .. } => return None,
            Event::SignedIn => self.attempts = Attempts::default(),
            Event::WrongPassword { at } => self.attempts = self.attempts.and(*at),
            Event::PasswordChanged {
                password,
                keep,
                tokens_valid_from,
            } => {
                self.password = password.clone();
                self.attempts = Attempts::default();
                self.tokens_valid_from = Some(*tokens_valid_from);
                self.end_sessions(*keep);
            }
            Event::RolesSet {
                roles,
                tokens_valid_from,
            } => {
                self.roles.clone_from(roles);
                self.tokens_valid_from = Some(*tokens_valid_from);
            }
            Event::Suspended { tokens_valid_from } => {
                self.suspended = true;
                self.tokens_valid_from = Some(*tokens_valid_from);
                self.end_sessions(None);
            }
            Event::Readmitted => self.suspended = false,
        }
        Some(self)
    }

    fn end_sessions(&mut self, keep: Option<SessionId>) {
        self.epoch = self.epoch.saturating_add(1);
        self.kept = keep;
    }
}

#[cfg(test)]
mod tests;
