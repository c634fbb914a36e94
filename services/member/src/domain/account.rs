//! An account: e-mail address, password, roles, suspension.
//!
//! ```text
//! (none) ─Join→ active ⇄ suspended          Suspend(true), Suspend(false)
//!
//! SignIn, ChangePassword and a repeated Join check the password. Ten wrong passwords within 15 minutes lock the
//! account until the first of them is 15 minutes old.
//! ```

use std::collections::BTreeSet;

use chassis::{
    Aggregate, ClaimRange, Claims, MemberId, Now, Timestamp, base::time::SignedDuration,
};
use serde::{Deserialize, Serialize};

use super::{
    Refusal, revocation,
    values::{Email, FailedAttempts, PasswordCheck, PasswordHash, Role, SessionId},
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The member, which is also the id.
    pub(crate) member: MemberId,
    /// The e-mail address. It is claimed, so it is unique.
    pub(crate) email: Email,
    /// Display name.
    pub(crate) display_name: String,
    /// The roles of the member.
    pub(crate) roles: BTreeSet<Role>,
    /// The roles requested by the join. A repeated join is compared with them.
    joined_as: BTreeSet<Role>,
    /// Whether the member is suspended.
    pub(crate) suspended: bool,
    /// Hash of the password.
    pub(crate) password: PasswordHash,
    /// The recent wrong passwords.
    pub(crate) attempts: FailedAttempts,
    /// Access tokens issued before this time are revoked.
    pub(crate) tokens_valid_from: Option<Timestamp>,
    /// Number of times that all sessions were ended.
    pub(crate) epoch: u32,
    /// The session that was exempt when all sessions were last ended.
    kept: Option<SessionId>,
}

/// The commands of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Creates the account.
    Join(Join),
    /// Admits the member if the password matches.
    SignIn(PasswordCheck),
    /// Replaces the password.
    ChangePassword(NewPassword),
    /// Replaces the roles.
    SetRoles(BTreeSet<Role>),
    /// Suspends the member, or lifts the suspension.
    Suspend(bool),
}

/// The content of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    /// The member.
    pub(crate) member: MemberId,
    /// The e-mail address.
    pub(crate) email: Email,
    /// Display name.
    pub(crate) display_name: String,
    /// The requested roles.
    pub(crate) roles: BTreeSet<Role>,
    /// The password.
    pub(crate) password: JoinPassword,
}

/// The password of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JoinPassword {
    /// There was no account under the id: the hash of the password.
    New(PasswordHash),
    /// There was an account under the id: the result of a check against its password.
    Repeated(PasswordCheck),
}

/// A change of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewPassword {
    /// The check of the old password.
    pub(crate) old: PasswordCheck,
    /// Whether the new password is the current one already. Then the command is a repeat.
    pub(crate) is_current: bool,
    /// Hash of the new password.
    pub(crate) new: PasswordHash,
    /// The session that continues. All others end.
    pub(crate) keep: Option<SessionId>,
}

/// The events of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The account was created.
    Joined {
        /// The member.
        member: MemberId,
        /// The e-mail address.
        email: Email,
        /// Display name.
        display_name: String,
        /// The roles.
        roles: BTreeSet<Role>,
        /// Hash of the password.
        password: PasswordHash,
    },
    /// A sign-in with the right password reset the wrong ones.
    SignedIn,
    /// A wrong password was given.
    WrongPassword {
        /// The time of the attempt.
        at: Timestamp,
    },
    /// The password was replaced.
    PasswordChanged {
        /// Hash of the new password.
        password: PasswordHash,
        /// The session that continues.
        keep: Option<SessionId>,
        /// Access tokens issued before this time are revoked.
        tokens_valid_from: Timestamp,
    },
    /// The roles were replaced.
    RolesSet {
        /// The new roles.
        roles: BTreeSet<Role>,
        /// Access tokens issued before this time are revoked.
        tokens_valid_from: Timestamp,
    },
    /// The member was suspended.
    Suspended {
        /// Access tokens issued before this time are revoked.
        tokens_valid_from: Timestamp,
    },
    /// The suspension was lifted.
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
            (Some(account), Command::SignIn(check)) => account.sign_in(check, now),
            (Some(account), Command::ChangePassword(change)) => account.change(change, now),
            (Some(account), Command::SetRoles(roles)) if account.roles == *roles => Ok(vec![]),
            (Some(account), Command::SetRoles(roles)) => Ok(vec![Event::RolesSet {
                roles: roles.clone(),
                tokens_valid_from: account.next_valid_from(now),
            }]),
            (Some(account), Command::Suspend(on)) if account.suspended == *on => Ok(vec![]),
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
                attempts: FailedAttempts::default(),
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
            // The range holds this address only: no address contains a space.
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

/// Claim scope of e-mail addresses.
pub(crate) const EMAIL: &str = "email";

impl Join {
    fn first(&self, now: &Now) -> Result<Vec<Event>, Refusal> {
        if now.is_held(EMAIL, self.email.as_str()) {
            return Err(Refusal::EmailTaken);
        }
        let JoinPassword::New(password) = &self.password else {
            return Err(Refusal::Conflict);
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
    /// Refuses unless a session that began in `epoch` may continue.
    pub(crate) fn admits(&self, session: SessionId, epoch: u32) -> Result<(), Refusal> {
        if self.suspended {
            Err(Refusal::Suspended)
        } else if epoch == self.epoch || self.kept == Some(session) {
            Ok(())
        } else {
            Err(Refusal::SessionEnded)
        }
    }

    /// The issue time of a token issued now. Never before the last revocation, even if the clock was set back.
    pub(crate) fn issue_time(&self, now: Timestamp) -> Timestamp {
        self.tokens_valid_from.map_or(now, |from| from.max(now))
    }

    /// A repeated join checks the password, so a wrong one is counted.
    fn join_again(&self, join: &Join, now: &Now) -> Result<Vec<Event>, Refusal> {
        let same = self.email == join.email
            && self.display_name == join.display_name
            && self.joined_as == join.roles;
        match &join.password {
            _ if !same => Err(Refusal::IdReused),
            JoinPassword::New(_) => Err(Refusal::Conflict),
            JoinPassword::Repeated(check) if self.check(check, now)? => Ok(vec![]),
            JoinPassword::Repeated(_) => Ok(vec![Event::WrongPassword { at: now.at }]),
        }
    }

    fn sign_in(&self, check: &PasswordCheck, now: &Now) -> Result<Vec<Event>, Refusal> {
        if !self.check(check, now)? {
            return Ok(vec![Event::WrongPassword { at: now.at }]);
        }
        if self.suspended {
            return Err(Refusal::Suspended);
        }
        if self.attempts.is_empty() {
            return Ok(vec![]);
        }
        Ok(vec![Event::SignedIn])
    }

    fn change(&self, change: &NewPassword, now: &Now) -> Result<Vec<Event>, Refusal> {
        if self.check(&change.old, now)? {
            Ok(vec![Event::PasswordChanged {
                password: change.new.clone(),
                keep: change.keep,
                tokens_valid_from: self.next_valid_from(now),
            }])
        } else if change.is_current {
            Ok(vec![])
        } else {
            Ok(vec![Event::WrongPassword { at: now.at }])
        }
    }

    /// Whether the password matches. Refuses while the account is locked, so that concurrent guesses do not get more
    /// attempts than sequential ones.
    fn check(&self, check: &PasswordCheck, now: &Now) -> Result<bool, Refusal> {
        self.attempts.check(now.at)?;
        if check.against != self.password {
            return Err(Refusal::Conflict);
        }
        Ok(check.matches)
    }

    /// The first instant after the issue time of every token so far.
    fn next_valid_from(&self, now: &Now) -> Timestamp {
        let last = self.issue_time(now.at);
        last.saturating_add(SignedDuration::from_micros(1))
            .unwrap_or(last)
    }

    fn after(mut self, event: &Event) -> Option<Self> {
        match event {
            Event::Joined { .. } => return None,
            Event::SignedIn => self.attempts = FailedAttempts::default(),
            Event::WrongPassword { at } => self.attempts = self.attempts.and(*at),
            Event::PasswordChanged {
                password,
                keep,
                tokens_valid_from,
            } => {
                self.password = password.clone();
                self.attempts = FailedAttempts::default();
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
