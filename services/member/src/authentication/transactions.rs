//! The two transactions that decide on an account and a session together: sign-in and token refresh.

use std::sync::Arc;

use chassis::{
    Cause, MemberId, Timestamp, Versioned,
    store::{Done, ExecuteError, UnitOfWork},
};

use super::refresh_token::RefreshToken;
use crate::{
    domain::{
        Refusal,
        account::{Account, Command, Event},
        session::{self, Session},
        values::PasswordCheck,
    },
    settings::Settings,
};

/// The account that was admitted, and the time of the decision.
pub(super) type Admitted = (Versioned<Account>, Timestamp);

type Decided = Result<Option<Admitted>, ExecuteError<Refusal>>;

/// A sign-in.
#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub(super) member: MemberId,
    pub(super) password: PasswordCheck,
    /// The first token of the new session.
    pub(super) token: RefreshToken,
    pub(super) settings: Arc<Settings>,
    pub(super) cause: Cause,
}

impl SignIn {
    /// Begins a session. Returns `None` if the password was wrong, which the account has counted.
    pub(super) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Decided {
        let sign_in = Command::SignIn(self.password);
        let done = unit
            .execute::<Account>(self.member, &sign_in, &self.cause)
            .await?;
        if is_wrong_password(&done) {
            return Ok(None);
        }
        let session = self.token.session;
        let begin = session::Command::Begin(session::Begin {
            session,
            member: self.member,
            epoch: done.now.state.epoch,
            token: self.token.hashes(),
            expires: self.settings.refresh_token_expiry(unit.at()),
        });
        unit.execute::<Session>(session, &begin, &self.cause)
            .await?;
        Ok(Some((done.now, unit.at())))
    }
}

/// An exchange of a refresh token.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub(super) presented: RefreshToken,
    pub(super) next: RefreshToken,
    pub(super) settings: Arc<Settings>,
    pub(super) cause: Cause,
}

impl Refresh {
    /// Continues the session with the next token. Returns `None` if the presented token was exchanged before, which
    /// ends the session.
    pub(super) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Decided {
        let id = self.presented.session;
        let session = unit.load::<Session>(id).await?;
        let session = session.ok_or(Refusal::SessionEnded)?.state;
        let account = unit.load::<Account>(session.member).await?;
        let account = account.ok_or(Refusal::SessionEnded)?;
        let refresh = session::Command::Refresh(session::Refresh {
            presented: self.presented.hashes(),
            next: self.next.hashes().current,
            expires: self.settings.refresh_token_expiry(unit.at()),
            admitted: account.state.admits(id, session.epoch),
        });
        let done = unit.execute::<Session>(id, &refresh, &self.cause).await?;
        let is_refreshed = done
            .events
            .iter()
            .any(|event| matches!(event, session::Event::Refreshed { .. }));
        Ok(is_refreshed.then(|| (account, unit.at())))
    }
}

/// Whether the command counted a wrong password.
pub(super) fn is_wrong_password(done: &Done<Account>) -> bool {
    let wrong = |event: &Event| matches!(event, Event::WrongPassword { .. });
    done.events.iter().any(wrong)
}
