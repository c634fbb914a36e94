//! Where an account and a session decide together, in one transaction: sign-in, and the exchange of a refresh token.

use std::sync::Arc;

use chassis::{
    Cause, MemberId, Timestamp, Versioned,
    store::{Done, ExecuteError, UnitOfWork},
};

use crate::{
    domain::{
        Refusal,
        account::{Account, Command, Event},
        session::{self, Begin, Refresh, Session},
        values::Proof,
    },
    settings::Settings,
    tokens::RefreshToken,
};

/// An account as it was when somebody was let in, and when that was.
pub(crate) type Admitted = (Versioned<Account>, Timestamp);

type Decided = Result<Option<Admitted>, ExecuteError<Refusal>>;

/// Whether a wrong password was counted.
pub(crate) fn is_wrong(done: &Done<Account>) -> bool {
    let wrong = |event: &Event| matches!(event, Event::WrongPassword { .. });
    done.events.iter().any(wrong)
}

/// A sign-in.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    pub(crate) member: MemberId,
    pub(crate) proof: Proof,
    pub(crate) first: RefreshToken,
    pub(crate) settings: Arc<Settings>,
    pub(crate) cause: Cause,
}

impl SignIn {
    /// Begins a session; none if the password was wrong.
    pub(crate) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Decided {
        let sign_in = Command::SignIn(self.proof);
        let done = unit
            .execute::<Account>(self.member, &sign_in, &self.cause)
            .await?;
        if is_wrong(&done) {
            return Ok(None);
        }
        let session = self.first.session;
        let begin = session::Command::Begin(Begin {
            session,
            member: self.member,
            epoch: done.now.state.epoch,
            token: self.first.ticket(),
            expires: self.settings.refresh_ends(unit.at()),
        });
        unit.execute::<Session>(session, &begin, &self.cause)
            .await?;
        Ok(Some((done.now, unit.at())))
    }
}

/// An exchange of a refresh token.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) shown: RefreshToken,
    pub(crate) next: RefreshToken,
    pub(crate) settings: Arc<Settings>,
    pub(crate) cause: Cause,
}

impl Exchange {
    /// Lets the session go on with the next token; none if the token was exchanged before, which ends the session.
    pub(crate) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Decided {
        let id = self.shown.session;
        let session = unit.load::<Session>(id).await?;
        let session = session.ok_or(Refusal::SessionEnded)?.state;
        let account = unit.load::<Account>(session.member).await?;
        let account = account.ok_or(Refusal::SessionEnded)?;
        let refresh = session::Command::Refresh(Refresh {
            shown: self.shown.ticket(),
            next: self.next.ticket().current,
            expires: self.settings.refresh_ends(unit.at()),
            admitted: account.state.admits(id, session.epoch),
        });
        let done = unit.execute::<Session>(id, &refresh, &self.cause).await?;
        let goes_on = done
            .events
            .iter()
            .any(|event| matches!(event, session::Event::Refreshed { .. }));
        Ok(goes_on.then(|| (account, unit.at())))
    }
}
