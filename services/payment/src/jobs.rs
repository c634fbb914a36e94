//! The job of a payment: calls the provider, and records the outcome.
//!
//! The next call ([`Payment::task`]) is committed before it is made. A crash at any point leaves a payment that is due, and
//! the next run repeats the call with the same key.

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

/// Performs the task of a payment that is due.
pub(crate) async fn run(deps: Deps, id: PaymentId) -> Result<(), RetryLater> {
    let Some(payment) = deps.store.load::<Payment>(id).await? else {
        return Ok(());
    };
    if let Some(task) = payment.state.task(deps.clock.now()) {
        let timeout = deps.settings::<Settings>().provider_timeout();
        let cause = Cause::by("service:payment");
        perform(&deps, id, task, timeout, &cause).await?;
    }
    Ok(())
}

/// Calls the provider with a timeout and records the outcome. Returns the payment after it.
pub(crate) async fn perform(
    deps: &Deps,
    id: PaymentId,
    task: Task,
    timeout: Duration,
    cause: &Cause,
) -> Result<Versioned<Payment>, ExecuteError<Refusal>> {
    let pass = |point: &str| deps.faults.pass(point).map_err(crashed);
    pass("payment.after_intent")?;
    let command = ask(deps, id, task, timeout).await;
    pass("payment.after_provider")?;
    let done = deps.store.execute::<Payment>(id, command, cause).await?;
    pass("payment.after_result")?;
    Ok(done.now)
}

async fn ask(deps: &Deps, id: PaymentId, task: Task, timeout: Duration) -> Command {
    let provider = provider::of(deps);
    match task {
        Task::Charge(order) => {
            let charge = provider.charge(id, order.amount, &order.method);
            match within(timeout, charge).await {
                Ok(outcome) => Command::Settle(outcome),
                Err(error) => {
                    tracing::warn!(payment.id = %id, error = %error, "no response to the charge");
                    Command::NoAnswer
                }
            }
        }
        Task::Query => match within(timeout, provider.query(id)).await {
            Ok(Some(outcome)) => Command::Settle(outcome),
            Ok(None) => Command::NoAnswer,
            Err(error) => {
                tracing::error!(payment.id = %id, error = %error, "payment given up, the provider did not respond");
                Command::NoAnswer
            }
        },
        Task::Void => match within(timeout, provider.void(id)).await {
            Ok(()) => Command::Voided,
            Err(error) => {
                tracing::warn!(payment.id = %id, error = %error, "no response to the void");
                Command::NotVoided
            }
        },
        Task::Refund { why, amount } => {
            let key = format!("{id}/{why}");
            match within(timeout, provider.refund(id, &key, amount)).await {
                Ok(()) => Command::Refunded(why),
                Err(error) => {
                    tracing::warn!(payment.id = %id, %why, error = %error, "no response to the refund");
                    Command::NotRefunded(why)
                }
            }
        }
        Task::Forget => Command::Forget,
    }
}

async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or_else(|_| Err(NoAnswer("timeout".into())))
}

/// An injected crash is reported to the caller as an unavailable store.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn crashed(fault: Injected) -> StoreError {
    StoreError::Unavailable(fault.to_string())
}
