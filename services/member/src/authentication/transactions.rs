//! The transactions that decide on several aggregates together: the examination of a password with its failed attempts,
//! sign-in, and token refresh.

use std::sync::Arc;

use chassis::{
    Cause, MemberId, Timestamp, Versioned,
    store::{ExecuteError, UnitOfWork},
};

use super::refresh_token::RefreshToken;
use crate::{
    domain::{
        Refusal,
        account::{Account, Command},
        attempts::{self, Attempts, Guess},
        session::{self, Session},
    },
    settings::Settings,
};

/// The account that was admitted, and the time of the decision.
pub(super) type Admitted = (Versioned<Account>, Timestamp);

type Error = ExecuteError<Refusal>;

/// The outcome of a transaction that is committed if the password is refused too, because that is counted.
type Examined<T> = Result<Result<T, Refusal>, Error>;

/// A command that examines a password. A wrong one is counted, and a right one forgets those counted before.
#[derive(Clone, Debug)]
pub(super) struct Examination {
    pub(super) guess: Guess,
    /// None if the address has no account. The same is done then, so that it takes as long.
    pub(super) command: Option<(MemberId, Command)>,
    pub(super) cause: Cause,
}

impl Examination {
    pub(super) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Examined<Versioned<Account>> {
        let [of_address, of_source] = self.guess.buckets();
        let attempts = [
            unit.load::<Attempts>(of_address).await?,
            unit.load::<Attempts>(of_source).await?,
        ];
        let has_failed = (attempts[0].as_ref()).is_some_and(|all| all.state.contains(&self.guess));
        let limited_until = limits(&self.guess, attempts, unit.at())?;
        match self.execute(unit, limited_until).await {
            Err(ExecuteError::Refused(refusal)) if refusal.is_failed_attempt() => {
                let count = attempts::Command::Count(self.guess);
                for bucket in [of_address, of_source] {
                    unit.execute::<Attempts>(bucket, &count, &self.cause)
                        .await?;
                }
                Ok(Err(refusal))
            }
            Err(error) => Err(error),
            Ok(account) => {
                if has_failed {
                    let forget = attempts::Command::Forget(self.guess);
                    unit.execute::<Attempts>(of_address, &forget, &self.cause)
                        .await?;
                }
                Ok(Ok(account))
            }
        }
    }

    async fn execute(
        &self,
        unit: &mut UnitOfWork<'_>,
        limited_until: Option<Timestamp>,
    ) -> Result<Versioned<Account>, Error> {
        let Some((member, command)) = self.command.clone() else {
            return Err(Refusal::wrong_password(limited_until).into());
        };
        let command = command.limited(limited_until);
        let done = unit.execute::<Account>(member, &command, &self.cause);
        Ok(done.await?.now)
    }
}

/// What the failed attempts in the buckets of a guess allow: see [`Guess::limits`].
pub(super) fn limits(
    guess: &Guess,
    attempts: [Option<Versioned<Attempts>>; 2],
    now: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    let [of_address, of_source] = attempts.map(|found| found.map(|found| found.state));
    let (of_address, of_source) = (
        of_address.unwrap_or_default(),
        of_source.unwrap_or_default(),
    );
    guess.limits([&of_address, &of_source], now)
}

/// A sign-in.
#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub(super) examination: Examination,
    /// The first token of the new session.
    pub(super) token: RefreshToken,
    pub(super) settings: Arc<Settings>,
}

impl SignIn {
    /// Begins a session.
    pub(super) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Examined<Admitted> {
        let cause = self.examination.cause.clone();
        let account = match self.examination.decide(unit).await? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let session = self.token.session;
        let begin = session::Command::Begin(session::Begin {
            session,
            member: account.state.member,
            epoch: account.state.epoch,
            token: self.token.hashes(),
            expires: self.settings.refresh_token_expiry(unit.at()),
        });
        unit.execute::<Session>(session, &begin, &cause).await?;
        Ok(Ok((account, unit.at())))
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
    pub(super) async fn decide(self, unit: &mut UnitOfWork<'_>) -> Result<Option<Admitted>, Error> {
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
