//! Creates what the context needs before it is ready: a signing key and, if configured, the first ADMIN.

use std::collections::BTreeSet;

use chassis::{Cause, Deps, RetryLater, base::random, store::ExecuteError};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    authentication::{passwords::Passwords, signing_keys::Signer, strength::words_about},
    codec,
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, Join, JoinPassword},
        source::Source,
        values::{Email, Role},
    },
    settings::Settings,
};

/// Display name of the first ADMIN.
const NAME: &str = "Admin";

/// Runs before the context is ready.
pub(crate) async fn run(deps: Deps, signer: Signer) -> Result<(), RetryLater> {
    signer.current(&deps).await?;
    let settings = deps.settings::<Settings>();
    match (&settings.admin_email, &settings.admin_password) {
        (Some(email), Some(password)) => create_first_admin(&deps, email, password).await,
        _ => Ok(()),
    }
}

/// Creates the first ADMIN. An account that already has the e-mail address stays unchanged.
async fn create_first_admin(
    deps: &Deps,
    email: &Email,
    password: &SecretString,
) -> Result<(), RetryLater> {
    let key = email.as_str().to_owned();
    if let Some(member) = deps.store.holder::<Account>(EMAIL, key).await? {
        let account = deps.store.load::<Account>(member).await?;
        if !account.is_some_and(|account| account.state.roles.contains(&Role::Admin)) {
            tracing::warn!(member = %member, "the member with the e-mail address of the first admin is not an admin");
        }
        return Ok(());
    }
    let refused = |problem: &str| RetryLater(format!("BERTH_ADMIN_PASSWORD {problem}"));
    let password = codec::new_password(password.expose_secret());
    let password = password.map_err(|problem| refused(&problem))?;
    let place = Passwords::new().enter(Source::default())?;
    let hash = place.hash_new(password, words_about(email, NAME)).await?;
    let hash = hash.ok_or_else(|| refused("is too easy to guess"))?;
    let member = random::id();
    let join = Command::Join(Join {
        member,
        email: email.clone(),
        display_name: NAME.into(),
        roles: BTreeSet::from([Role::Admin]),
        password: JoinPassword::New(hash),
        source: Source::default(),
    });
    let cause = Cause::by("service:member");
    match deps.store.execute::<Account>(member, join, &cause).await {
        // EmailTaken: another replica created the account at the same time.
        Ok(_) | Err(ExecuteError::Refused(Refusal::EmailTaken)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
