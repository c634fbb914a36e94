//! Creates what the context needs before it is ready: a signing key and, if configured, the first ADMIN.

use std::collections::BTreeSet;

use chassis::{Cause, Deps, RetryLater, base::random, store::ExecuteError};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    authentication::{passwords::Passwords, signing_keys::Signer},
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, Join, JoinPassword},
        values::{Email, Role},
    },
    settings::Settings,
};

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
    if !(10..=200).contains(&password.expose_secret().chars().count()) {
        return Err(RetryLater(
            "BERTH_ADMIN_PASSWORD must have 10 to 200 characters".into(),
        ));
    }
    let member = random::id();
    let join = Command::Join(Join {
        member,
        email: email.clone(),
        display_name: "Admin".into(),
        roles: BTreeSet::from([Role::Admin]),
        password: JoinPassword::New(Passwords::new().hash(password.clone()).await?),
    });
    let cause = Cause::by("service:member");
    match deps.store.execute::<Account>(member, join, &cause).await {
        // EmailTaken: another replica created the account at the same time.
        Ok(_) | Err(ExecuteError::Refused(Refusal::EmailTaken)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
