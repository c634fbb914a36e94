//! An account: e-mail address, password, roles, suspension.
//!
//! ```text
//! (none) ─Join→ active ⇄ suspended          Suspend(true), Suspend(false)
//!
//! SignIn, ChangePassword and a repeated Join check the password; `attempts` limits how often. From a source from which
//! the member has signed in before, only their own wrong passwords count.
//! ```

use std::collections::BTreeSet;

use chassis::{
    Aggregate, ClaimRange, Claims, MemberId, Now, Timestamp, base::time::SignedDuration,
};
use serde::{Deserialize, Serialize};

use super::{
    Refusal, revocation,
    source::Source,
    values::{Email, PasswordCheck, PasswordHash, Role, SessionId},
};

/// Number of sources that are known to a member. A further one replaces the oldest.
const KNOWN_SOURCES: usize = 8;

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
    /// The sources from which the member has joined or signed in, oldest first.
    known_sources: Vec<Source>,
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
    SignIn(GivenPassword),
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
    /// Where the join comes from.
    pub(crate) source: Source,
}

/// The password of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JoinPassword {
    /// There was no account under the id: the hash of the password.
    New(PasswordHash),
    /// There was an account under the id: the result of a check against its password.
    Repeated(GivenPassword),
}

/// A password that somebody gave, and the circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenPassword {
    /// Its check.
    pub(crate) check: PasswordCheck,
    /// Where it comes from.
    pub(crate) source: Source,
    /// Until when only known sources are admitted, if so.
    pub(crate) limited_until: Option<Timestamp>,
}

/// A change of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewPassword {
    /// The check of the old password.
    pub(crate) old: PasswordCheck,
    /// Where the change comes from.
    pub(crate) source: Source,
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
        /// Where the join came from.
        source: Source,
    },
    /// The member signed in from a new source.
    SignedIn {
        /// The source.
        source: Source,
    },
    /// The password was replaced.
    PasswordChanged {
        /// Hash of the new password.
        password: PasswordHash,
        /// Where the change came from.
        source: Source,
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

impl Command {
    /// The command with the limit for the password that it has.
    pub(crate) fn limited(mut self, limited_until: Option<Timestamp>) -> Self {
        if let Self::SignIn(given)
        | Self::Join(Join {
            password: JoinPassword::Repeated(given),
            ..
        }) = &mut self
        {
            given.limited_until = limited_until;
        }
        self
    }
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
            (Some(account), Command::Join(join)) => account.join_again(join),
            (None, _) => Err(Refusal::Unknown),
            (Some(account), Command::SignIn(given)) => account.sign_in(given),
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
                    source,
                },
            ) => Some(Self {
                member: *member,
                email: email.clone(),
                display_name: display_name.clone(),
                roles: roles.clone(),
                joined_as: roles.clone(),
                suspended: false,
                password: password.clone(),
                known_sources: vec![*source],
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
            source: self.source,
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

    fn join_again(&self, join: &Join) -> Result<Vec<Event>, Refusal> {
        let same = self.email == join.email
            && self.display_name == join.display_name
            && self.joined_as == join.roles;
        match &join.password {
            _ if !same => Err(Refusal::IdReused),
            JoinPassword::New(_) => Err(Refusal::Conflict),
            JoinPassword::Repeated(given) => self.admit(given).map(|()| vec![]),
        }
    }

    fn sign_in(&self, given: &GivenPassword) -> Result<Vec<Event>, Refusal> {
        self.admit(given)?;
        if self.suspended {
            return Err(Refusal::Suspended);
        }
        if self.is_known(given.source) {
            return Ok(vec![]);
        }
        Ok(vec![Event::SignedIn {
            source: given.source,
        }])
    }

    /// The caller has a session, so failed attempts of others do not matter.
    fn change(&self, change: &NewPassword, now: &Now) -> Result<Vec<Event>, Refusal> {
        if !self.matches(&change.old)? {
            return Err(Refusal::BadCredentials);
        }
        Ok(vec![Event::PasswordChanged {
            password: change.new.clone(),
            source: change.source,
            keep: change.keep,
            tokens_valid_from: self.next_valid_from(now),
        }])
    }

    /// Refuses unless the password matches. While only known sources are admitted, a right password from another one
    /// gets the same refusal as a wrong one.
    fn admit(&self, given: &GivenPassword) -> Result<(), Refusal> {
        let is_right = self.matches(&given.check)?;
        let is_open = given.limited_until.is_none() || self.is_known(given.source);
        if is_right && is_open {
            Ok(())
        } else {
            Err(Refusal::wrong_password(given.limited_until))
        }
    }

    fn matches(&self, check: &PasswordCheck) -> Result<bool, Refusal> {
        if check.against != self.password {
            return Err(Refusal::Conflict);
        }
        Ok(check.matches)
    }

    fn is_known(&self, source: Source) -> bool {
        self.known_sources.contains(&source)
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
            Event::SignedIn { source } => {
                self.known_sources.push(*source);
                let excess = self.known_sources.len().saturating_sub(KNOWN_SOURCES);
                self.known_sources.drain(..excess);
            }
            Event::PasswordChanged {
                password,
                source,
                keep,
                tokens_valid_from,
            } => {
                self.password = password.clone();
                // A person who knew the former password may have signed in from the other sources.
                self.known_sources = vec![*source];
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
