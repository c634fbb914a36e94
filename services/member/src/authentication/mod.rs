//! Authentication: join, sign-in, token refresh, sign-out and password change.
//!
//! Passwords are checked before the domain decides, because the domain is pure and a check takes tens of milliseconds.
//! Tokens are issued after the decision is committed.

mod access_token;
pub(crate) mod passwords;
pub(crate) mod refresh_token;
pub(crate) mod signing_keys;
pub(crate) mod strength;
mod transactions;

use std::sync::Arc;

use berth::member::v1 as proto;
use chassis::{
    Cause, Deps, MemberId, Refused, Versioned, Violations, base::time, error::status::internal,
    security::tokens::TrustSettings, store::ExecuteError,
};
use secrecy::SecretString;
use tonic::Status;

pub(crate) use self::access_token::session_of;
use self::{
    access_token::issue,
    passwords::{Passwords, Place},
    refresh_token::RefreshToken,
    signing_keys::Signer,
    strength::words_about,
    transactions::{Admitted, Examination, Refresh, SignIn, limits},
};
use crate::{
    codec::{self, account::JoinDetails},
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, GivenPassword, Join, JoinPassword, NewPassword},
        attempts::{Attempts, Guess},
        session::{self, Session},
        source::Source,
        values::{Email, SessionId},
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
}

impl Authentication {
    pub(crate) fn new(deps: Deps, signer: Signer) -> Self {
        Self {
            settings: deps.settings(),
            trust: deps.settings(),
            signer,
            deps,
            passwords: Passwords::new(),
        }
    }

    /// Creates an account. A repeat is recognised by its password, so a wrong one counts like a wrong one at sign-in.
    pub(crate) async fn join(
        &self,
        details: &JoinDetails,
        source: Source,
        cause: &Cause,
    ) -> Result<Versioned<Account>, Status> {
        let place = self.passwords.enter(source)?;
        let mut joined = self.try_join(details, &place, source, cause).await?;
        if joined == Err(Refusal::Conflict) {
            // A concurrent request created the account after it was loaded. Load it again, once.
            joined = self.try_join(details, &place, source, cause).await?;
        }
        joined.map_err(|refusal| {
            let refused = self.refused(refusal);
            // A caller who does not know the password learns that the id is in use.
            match refusal {
                Refusal::BadCredentials => self.refused(Refusal::IdReused),
                _ => refused,
            }
        })
    }

    async fn try_join(
        &self,
        details: &JoinDetails,
        place: &Place,
        source: Source,
        cause: &Cause,
    ) -> Result<Result<Versioned<Account>, Refusal>, Status> {
        let (store, given) = (&self.deps.store, details.password.clone());
        let join = |password| {
            Command::Join(Join {
                member: details.member,
                email: details.email.clone(),
                display_name: details.display_name.clone(),
                roles: details.roles.clone(),
                password,
                source,
            })
        };
        let done = match store.load::<Account>(details.member).await? {
            None => {
                let about = words_about(&details.email, &details.display_name);
                let hash = place.hash_new(given, about).await?;
                let hash = hash.ok_or_else(|| guessable("password"))?;
                let command = join(JoinPassword::New(hash));
                let done = store.execute::<Account>(details.member, command, cause);
                done.await.map(|done| Ok(done.now))
            }
            Some(account) => {
                let guess = Guess::of(&details.email, Some(details.member), source);
                self.check_limits(&guess).await?;
                let given = given_password(place, given, &account.state, source).await?;
                let command = join(JoinPassword::Repeated(given));
                self.examine(guess, (details.member, command), cause).await
            }
        };
        match done {
            Err(ExecuteError::Refused(refusal)) => Ok(Err(refusal)),
            done => Ok(done?),
        }
    }

    /// Begins a session and issues its tokens. A wrong password and an unknown address get the same answer after the
    /// same work, so that a caller cannot find out which addresses have an account.
    pub(crate) async fn sign_in(
        &self,
        email: &Email,
        password: SecretString,
        source: Source,
        cause: &Cause,
    ) -> Result<(proto::Tokens, Versioned<Account>), Status> {
        let place = self.passwords.enter(source)?;
        let store = &self.deps.store;
        let key = email.as_str().to_owned();
        let member = store.holder::<Account>(EMAIL, key).await?;
        let guess = Guess::of(email, member, source);
        self.check_limits(&guess).await?;
        let account = match member {
            Some(member) => store.load::<Account>(member).await?,
            None => None,
        };
        let command = if let Some(account) = account {
            let given = given_password(&place, password, &account.state, source).await?;
            Some((account.state.member, Command::SignIn(given)))
        } else {
            place.hash(password).await?;
            None
        };
        drop(place);
        let sign_in = SignIn {
            examination: Examination {
                guess,
                command,
                cause: cause.clone(),
            },
            token: RefreshToken::new(),
            settings: self.settings.clone(),
        };
        let token = sign_in.token.clone();
        let decide = store.transact(move |unit| {
            let sign_in = sign_in.clone();
            Box::pin(sign_in.decide(unit))
        });
        let decided = decide.await.map_err(|error| self.refused(error))?;
        let admitted = decided.map_err(|refusal| self.refused(refusal))?;
        Ok((self.tokens(&admitted, &token).await?, admitted.0))
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
        source: Source,
        cause: &Cause,
    ) -> Result<(), Status> {
        let place = self.passwords.enter(source)?;
        let account = self.deps.store.load::<Account>(member).await?;
        let account = account.ok_or_else(|| self.refused(Refusal::Unknown))?.state;
        let guess = Guess::of(&account.email, Some(member), source);
        self.check_limits(&guess).await?;
        let about = words_about(&account.email, &account.display_name);
        let new = place.hash_new(new, about).await?;
        let new = new.ok_or_else(|| guessable("new_password"))?;
        let change = Command::ChangePassword(NewPassword {
            old: place.check(old, account.password).await?,
            source,
            new,
            keep,
        });
        let changed = self.examine(guess, (member, change), cause).await;
        let changed = changed.map_err(|error| self.refused(error))?;
        changed.map_err(|refusal| self.refused(refusal))?;
        Ok(())
    }

    /// Refuses a guess that is not to be examined, before a hash is computed for it.
    async fn check_limits(&self, guess: &Guess) -> Result<(), Status> {
        let [of_address, of_source] = guess.buckets();
        let attempts = [
            self.deps.store.load::<Attempts>(of_address).await?,
            self.deps.store.load::<Attempts>(of_source).await?,
        ];
        let limits = limits(guess, attempts, self.deps.clock.now());
        limits.map(drop).map_err(|refusal| self.refused(refusal))
    }

    /// Executes a command that examines a password.
    async fn examine(
        &self,
        guess: Guess,
        command: (MemberId, Command),
        cause: &Cause,
    ) -> Result<Result<Versioned<Account>, Refusal>, Error> {
        let examination = Examination {
            guess,
            command: Some(command),
            cause: cause.clone(),
        };
        let decide = self.deps.store.transact(move |unit| {
            let examination = examination.clone();
            Box::pin(examination.decide(unit))
        });
        decide.await
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
        let error = error.into();
        if let Some(refusal) = error.refusal()
            && refusal.is_failed_attempt()
        {
            metrics::counter!("berth_failed_attempts_total", "reason" => refusal.reason())
                .increment(1);
        }
        codec::refused(error, self.deps.clock.now())
    }
}

/// The refusal of a new password.
fn guessable(field: &str) -> Status {
    let mut violations = Violations::new();
    violations.add(field, "is too easy to guess");
    violations.into()
}

/// A password with its check against an account.
async fn given_password(
    place: &Place,
    password: SecretString,
    account: &Account,
    source: Source,
) -> Result<GivenPassword, Status> {
    Ok(GivenPassword {
        check: place.check(password, account.password.clone()).await?,
        source,
        limited_until: None,
    })
}
