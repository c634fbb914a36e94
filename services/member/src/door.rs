//! The door: who comes in, and with what. Passwords are checked before the rules decide, and tokens are made after.

use std::sync::Arc;

use berth::member::v1 as proto;
use chassis::{
    Cause, Deps, MemberId, Versioned,
    base::time,
    error::status::internal,
    security::tokens::TrustSettings,
    store::{Done, ExecuteError},
};
use secrecy::SecretString;
use tonic::Status;

use crate::{
    admission::{Admitted, Exchange, SignIn, is_wrong},
    codec::{self, Joining},
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, Join, NewPassword, Password},
        session::{self, Session},
        values::{Email, Proof, SessionId},
    },
    key_ring,
    passwords::Passwords,
    settings::Settings,
    strangers::Strangers,
    tokens::{RefreshToken, access_token},
};

type Error = ExecuteError<Refusal>;

/// The door.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    deps: Deps,
    settings: Arc<Settings>,
    trust: Arc<TrustSettings>,
    passwords: Passwords,
    strangers: Strangers,
}

impl Door {
    pub(crate) fn new(deps: Deps) -> Self {
        Self {
            settings: deps.settings(),
            trust: deps.settings(),
            deps,
            passwords: Passwords::new(),
            strangers: Strangers::default(),
        }
    }

    /// Lets somebody join. A repeat is known by its password, so it is as hard to guess as at sign-in.
    pub(crate) async fn join(
        &self,
        joining: &Joining,
        cause: &Cause,
    ) -> Result<Versioned<Account>, Status> {
        let mut done = self.try_join(joining, cause).await?;
        if matches!(done, Err(ExecuteError::Refused(Refusal::Raced))) {
            // The same member joined at the same moment: look again.
            done = self.try_join(joining, cause).await?;
        }
        let done = done.map_err(|error| self.refused(error))?;
        if is_wrong(&done) {
            return Err(self.refused(Refusal::IdReused));
        }
        Ok(done.now)
    }

    async fn try_join(
        &self,
        joining: &Joining,
        cause: &Cause,
    ) -> Result<Result<Done<Account>, Error>, Status> {
        let given = joining.password.clone();
        let known = self.deps.store.load::<Account>(joining.member).await?;
        let password = match known {
            None => Password::New(self.passwords.hash(given).await?),
            Some(account) => Password::Again(self.check(&account.state, given).await?),
        };
        let command = Command::Join(Join {
            member: joining.member,
            email: joining.email.clone(),
            display_name: joining.display_name.clone(),
            roles: joining.roles.clone(),
            password,
        });
        let store = &self.deps.store;
        Ok(store.execute(joining.member, command, cause).await)
    }

    /// Gives tokens for an address and a password.
    pub(crate) async fn sign_in(
        &self,
        email: Email,
        password: SecretString,
        cause: &Cause,
    ) -> Result<(proto::Tokens, Versioned<Account>), Status> {
        let store = &self.deps.store;
        let member = store
            .holder::<Account>(EMAIL, email.as_str().to_owned())
            .await?;
        let account = match member {
            Some(member) => store.load::<Account>(member).await?,
            None => None,
        };
        let Some(account) = account else {
            return Err(self.turn_away(&email, password).await?);
        };
        let proof = self.check(&account.state, password).await?;
        let first = RefreshToken::new();
        let sign_in = SignIn {
            member: account.state.member,
            proof,
            first: first.clone(),
            settings: self.settings.clone(),
            cause: cause.clone(),
        };
        let decide = store.transact(move |unit| {
            let sign_in = sign_in.clone();
            Box::pin(sign_in.decide(unit))
        });
        match decide.await.map_err(|error| self.refused(error))? {
            Some(admitted) => Ok((self.tokens(&admitted, &first).await?, admitted.0)),
            None => Err(self.refused(Refusal::BadCredentials)),
        }
    }

    /// What somebody unknown is told: what a member with a wrong password is told, after as much work.
    async fn turn_away(&self, email: &Email, password: SecretString) -> Result<Status, Status> {
        let now = self.deps.clock.now();
        if let Err(refusal) = self.strangers.check(email, now) {
            return Ok(self.refused(refusal));
        }
        self.passwords.hash(password).await?;
        let counted = self.strangers.count(email, now);
        Ok(self.refused(counted.err().unwrap_or(Refusal::BadCredentials)))
    }

    /// Exchanges a refresh token for new tokens.
    pub(crate) async fn refresh(
        &self,
        shown: &RefreshToken,
        cause: &Cause,
    ) -> Result<proto::Tokens, Status> {
        let exchange = Exchange {
            shown: shown.clone(),
            next: shown.next(),
            settings: self.settings.clone(),
            cause: cause.clone(),
        };
        let next = exchange.next.clone();
        let decide = self.deps.store.transact(move |unit| {
            let exchange = exchange.clone();
            Box::pin(exchange.decide(unit))
        });
        match decide.await.map_err(|error| self.refused(error))? {
            Some(admitted) => self.tokens(&admitted, &next).await,
            None => Err(self.refused(Refusal::TokenReused)),
        }
    }

    /// Ends the session of a refresh token. Whatever is shown, nothing is told.
    pub(crate) async fn sign_out(&self, shown: &RefreshToken, cause: &Cause) -> Result<(), Status> {
        let end = session::Command::End(shown.ticket());
        let store = &self.deps.store;
        match store.execute::<Session>(shown.session, end, cause).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a password. All sessions but `keep` end.
    pub(crate) async fn change_password(
        &self,
        member: MemberId,
        (old, new): (SecretString, SecretString),
        keep: Option<SessionId>,
        cause: &Cause,
    ) -> Result<(), Status> {
        let account = self.deps.store.load::<Account>(member).await?;
        let account = account.ok_or_else(|| self.refused(Refusal::Unknown))?.state;
        let change = Command::ChangePassword(NewPassword {
            old: self.check(&account, old).await?,
            is_set: self.check(&account, new.clone()).await?.good,
            new: self.passwords.hash(new).await?,
            keep,
        });
        let done = self.deps.store.execute(member, change, cause).await;
        if is_wrong(&done.map_err(|error| self.refused(error))?) {
            return Err(self.refused(Refusal::BadCredentials));
        }
        Ok(())
    }

    /// Checks a password against an account's, unless there were too many wrong ones.
    async fn check(&self, account: &Account, password: SecretString) -> Result<Proof, Status> {
        let allowed = account.attempts.check(self.deps.clock.now());
        allowed.map_err(|refusal| self.refused(refusal))?;
        self.passwords
            .check(password, account.password.clone())
            .await
    }

    /// Tokens for somebody who was let in.
    async fn tokens(
        &self,
        (account, at): &Admitted,
        refresh: &RefreshToken,
    ) -> Result<proto::Tokens, Status> {
        let key = key_ring::open(&self.deps).await?.current;
        let ends = self.settings.access_ends(*at);
        let (account, trust) = (&account.state, &self.trust);
        let access = access_token(account, refresh.session, *at, ends, &key, trust);
        Ok(proto::Tokens {
            access_token: access.ok_or_else(|| internal(&"a signing key is broken"))?,
            refresh_token: refresh.reveal(),
            access_expire_time: Some(time::to_proto(ends)),
            refresh_expire_time: Some(time::to_proto(self.settings.refresh_ends(*at))),
        })
    }

    fn refused(&self, error: impl Into<Error>) -> Status {
        codec::refused(error, self.deps.clock.now())
    }
}
