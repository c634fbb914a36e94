//! Authentication: join, sign-in, token refresh, sign-out and password change.
//!
//! Passwords are checked before the domain decides, because the domain is pure and a check takes tens of milliseconds.
//! Tokens are issued after the decision is committed.

mod access_token;
pub(crate) mod passwords;
pub(crate) mod refresh_token;
pub(crate) mod signing_keys;
mod transactions;
mod unknown_email_throttle;

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

pub(crate) use self::access_token::session_of;
use self::{
    access_token::issue,
    passwords::Passwords,
    refresh_token::RefreshToken,
    signing_keys::Signer,
    transactions::{Admitted, Refresh, SignIn, is_wrong_password},
    unknown_email_throttle::UnknownEmailThrottle,
};
use crate::{
    codec::{self, account::JoinDetails},
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, Join, JoinPassword, NewPassword},
        session::{self, Session},
        values::{Email, PasswordCheck, SessionId},
    },
    settings::Settings,
};

type Error = ExecuteError<Refusal>;

/// The authentication service.
#[derive(Clone, Debug)]
pub(crate) struct Authentication {
    deps: Deps,
    settings: Arc<Settings>,
    trust: Arc<TrustSettings>,
    signer: Signer,
    passwords: Passwords,
    unknown_emails: UnknownEmailThrottle,
}

impl Authentication {
    pub(crate) fn new(deps: Deps, signer: Signer) -> Self {
        Self {
            settings: deps.settings(),
            trust: deps.settings(),
            signer,
            deps,
            passwords: Passwords::new(),
            unknown_emails: UnknownEmailThrottle::default(),
        }
    }

    /// Creates an account. A repeat is recognised by its password, so a wrong one counts like a wrong one at sign-in.
    pub(crate) async fn join(
        &self,
        details: &JoinDetails,
        cause: &Cause,
    ) -> Result<Versioned<Account>, Status> {
        let mut done = self.try_join(details, cause).await?;
        if matches!(done, Err(ExecuteError::Refused(Refusal::Conflict))) {
            // A concurrent request created the account after it was loaded. Load it again, once.
            done = self.try_join(details, cause).await?;
        }
        let done = done.map_err(|error| self.refused(error))?;
        if is_wrong_password(&done) {
            return Err(self.refused(Refusal::IdReused));
        }
        Ok(done.now)
    }

    async fn try_join(
        &self,
        details: &JoinDetails,
        cause: &Cause,
    ) -> Result<Result<Done<Account>, Error>, Status> {
        let given = details.password.clone();
        let account = self.deps.store.load::<Account>(details.member).await?;
        let password = match account {
            None => JoinPassword::New(self.passwords.hash(given).await?),
            Some(account) => JoinPassword::Repeated(self.check(&account.state, given).await?),
        };
        let command = Command::Join(Join {
            member: details.member,
            email: details.email.clone(),
            display_name: details.display_name.clone(),
            roles: details.roles.clone(),
            password,
        });
        let store = &self.deps.store;
        Ok(store.execute(details.member, command, cause).await)
    }

    /// Begins a session and issues its tokens.
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
            return Err(self.refuse_unknown_email(&email, password).await?);
        };
        let sign_in = SignIn {
            member: account.state.member,
            password: self.check(&account.state, password).await?,
            token: RefreshToken::new(),
            settings: self.settings.clone(),
            cause: cause.clone(),
        };
        let token = sign_in.token.clone();
        let decide = store.transact(move |unit| {
            let sign_in = sign_in.clone();
            Box::pin(sign_in.decide(unit))
        });
        match decide.await.map_err(|error| self.refused(error))? {
            Some(admitted) => Ok((self.tokens(&admitted, &token).await?, admitted.0)),
            None => Err(self.refused(Refusal::BadCredentials)),
        }
    }

    /// Refuses a sign-in with an unknown e-mail address. Error and computing time are those of a wrong password, so
    /// that a caller cannot find out which addresses have an account.
    async fn refuse_unknown_email(
        &self,
        email: &Email,
        password: SecretString,
    ) -> Result<Status, Status> {
        let now = self.deps.clock.now();
        if let Err(refusal) = self.unknown_emails.check(email, now) {
            return Ok(self.refused(refusal));
        }
        self.passwords.hash(password).await?;
        let counted = self.unknown_emails.count(email, now);
        Ok(self.refused(counted.err().unwrap_or(Refusal::BadCredentials)))
    }

    /// Exchanges a refresh token for new tokens.
    pub(crate) async fn refresh(
        &self,
        presented: &RefreshToken,
        cause: &Cause,
    ) -> Result<proto::Tokens, Status> {
        let refresh = Refresh {
            presented: presented.clone(),
            next: presented.next(),
            settings: self.settings.clone(),
            cause: cause.clone(),
        };
        let next = refresh.next.clone();
        let decide = self.deps.store.transact(move |unit| {
            let refresh = refresh.clone();
            Box::pin(refresh.decide(unit))
        });
        match decide.await.map_err(|error| self.refused(error))? {
            Some(admitted) => self.tokens(&admitted, &next).await,
            None => Err(self.refused(Refusal::TokenReused)),
        }
    }

    /// Ends the session of a refresh token. A refusal is not reported, so that a caller learns nothing about sessions.
    pub(crate) async fn sign_out(
        &self,
        presented: &RefreshToken,
        cause: &Cause,
    ) -> Result<(), Status> {
        let end = session::Command::End(presented.hashes());
        let store = &self.deps.store;
        match store
            .execute::<Session>(presented.session, end, cause)
            .await
        {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a password and ends all sessions of the member except `keep`.
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
            is_current: self.check(&account, new.clone()).await?.matches,
            new: self.passwords.hash(new).await?,
            keep,
        });
        let done = self.deps.store.execute(member, change, cause).await;
        if is_wrong_password(&done.map_err(|error| self.refused(error))?) {
            return Err(self.refused(Refusal::BadCredentials));
        }
        Ok(())
    }

    /// Checks a password against an account's, unless the account is locked by failed attempts.
    async fn check(
        &self,
        account: &Account,
        password: SecretString,
    ) -> Result<PasswordCheck, Status> {
        let allowed = account.attempts.check(self.deps.clock.now());
        allowed.map_err(|refusal| self.refused(refusal))?;
        self.passwords
            .check(password, account.password.clone())
            .await
    }

    /// Issues the tokens of an admitted sign-in or refresh.
    async fn tokens(
        &self,
        (account, at): &Admitted,
        refresh: &RefreshToken,
    ) -> Result<proto::Tokens, Status> {
        let pair = self.signer.current(&self.deps).await?;
        let expiry = self.settings.access_token_expiry(*at);
        let (account, trust) = (&account.state, &self.trust);
        let access = issue(account, refresh.session, *at, expiry, &pair, trust);
        Ok(proto::Tokens {
            access_token: access.map_err(|error| internal(&error))?,
            refresh_token: refresh.reveal(),
            access_expire_time: Some(time::to_proto(expiry)),
            refresh_expire_time: Some(time::to_proto(self.settings.refresh_token_expiry(*at))),
        })
    }

    fn refused(&self, error: impl Into<Error>) -> Status {
        codec::refused(error, self.deps.clock.now())
    }
}
