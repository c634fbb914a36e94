//! What is there from the first start: a signing key and the first ADMIN.

use std::collections::BTreeSet;

use chassis::{Cause, Deps, RetryLater, base::random, store::ExecuteError};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{
        Refusal,
        account::{Account, Command, EMAIL, Join, Password},
        values::{Email, Role},
    },
    key_ring,
    passwords::Passwords,
    settings::Settings,
};

/// Runs before the context is ready.
pub(crate) async fn start(deps: Deps) -> Result<(), RetryLater> {
    key_ring::open(&deps).await?;
    let settings = deps.settings::<Settings>();
    match (&settings.admin_email, &settings.admin_password) {
        (Some(email), Some(password)) => first_admin(&deps, email, password).await,
        _ => Ok(()),
    }
}

/// Lets the first ADMIN join, unless somebody has the address: that member is left as they are.
async fn first_admin(
    deps: &Deps,
    email: &Email,
    password: &SecretString,
) -> Result<(), RetryLater> {
    let key = email.as_str().to_owned();
    if let Some(member) = deps.store.holder::<Account>(EMAIL, key).await? {
        let account = deps.store.load::<Account>(member).await?;
        if !account.is_some_and(|account| account.state.roles.contains(&Role::Admin)) {
            tracing::warn!(member = %member, "the member with the address of the first admin is no admin");
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
        password: Password::New(Passwords::new().hash(password.clone()).await?),
    });
    let cause = Cause::by("service:member");
    match deps.store.execute::<Account>(member, join, &cause).await {
        // Another process was faster.
        Ok(_) | Err(ExecuteError::Refused(Refusal::EmailTaken)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
