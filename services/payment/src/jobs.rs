//! The outside work of a payment: asks the provider what is to be asked, and tells the payment what came of it.
//!
//! The payment says what is to be asked ([`Payment::task`]) and that is on disk before anybody is asked. A crash at any
//! point leaves a payment that is due, and the next run asks again under the same key.

use std::time::Duration;

use chassis::{
    Deps, RetryLater, StoreError, Versioned, base::faults::Injected, domain::event::Cause,
    store::ExecuteError,
};

use crate::{
    domain::{Command, Payment, PaymentId, Refusal, Task},
    provider::{self, NoAnswer},
    settings::Settings,
};

/// A payment is due: does what it waits for.
pub(crate) async fn run(deps: Deps, id: PaymentId) -> Result<(), RetryLater> {
    let Some(payment) = deps.store.load::<Payment>(id).await? else {
        return Ok(());
    };
    if let Some(task) = payment.state.task(deps.clock.now()) {
        let patience = deps.settings::<Settings>().provider_timeout();
        let cause = Cause::by("service:payment");
        perform(&deps, id, task, patience, &cause).await?;
    }
    Ok(())
}

/// Asks the provider, waiting for so long, and tells the payment what came of it. Answers the payment after it.
pub(crate) async fn perform(
    deps: &Deps,
    id: PaymentId,
    task: Task,
    patience: Duration,
    cause: &Cause,
) -> Result<Versioned<Payment>, ExecuteError<Refusal>> {
    let pass = |point: &str| deps.faults.pass(point).map_err(crashed);
    pass("payment.after_intent")?;
    let command = ask(deps, id, task, patience).await;
    pass("payment.after_provider")?;
    let done = deps.store.execute::<Payment>(id, command, cause).await?;
    pass("payment.after_result")?;
    Ok(done.now)
}

async fn ask(deps: &Deps, id: PaymentId, task: Task, patience: Duration) -> Command {
    let provider = provider::of(deps);
    match task {
        Task::Charge(order) => {
            let charge = provider.charge(id, order.amount, &order.method);
            match within(patience, charge).await {
                Ok(outcome) => Command::Settle(outcome),
                Err(error) => {
                    tracing::warn!(payment.id = %id, error = %error, "the charge is not answered");
                    Command::NoAnswer
                }
            }
        }
        Task::Query => match within(patience, provider.query(id)).await {
            Ok(Some(outcome)) => Command::Settle(outcome),
            Ok(None) => Command::NoAnswer,
            Err(error) => {
                tracing::error!(payment.id = %id, error = %error, "a payment is given up without an answer");
                Command::NoAnswer
            }
        },
        Task::Void => match within(patience, provider.void(id)).await {
            Ok(()) => Command::Voided,
            Err(error) => {
                tracing::warn!(payment.id = %id, error = %error, "the void is not answered");
                Command::NotVoided
            }
        },
        Task::Refund { why, amount } => {
            let key = format!("{id}/{why}");
            match within(patience, provider.refund(id, &key, amount)).await {
                Ok(()) => Command::Refunded(why),
                Err(error) => {
                    tracing::warn!(payment.id = %id, %why, error = %error, "the refund is not answered");
                    Command::NotRefunded(why)
                }
            }
        }
        Task::Forget => Command::Forget,
    }
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    tokio::time::timeout(patience, answer)
        .await
        .unwrap_or_else(|_| Err(NoAnswer("not in time".into())))
}

/// A test pulled the plug: like a store that cannot be used, for whoever waits.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn crashed(fault: Injected) -> StoreError {
    StoreError::Unavailable(fault.to_string())
}
