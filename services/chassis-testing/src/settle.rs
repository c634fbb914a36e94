//! Runs contexts step by step until all work is done.

use chassis::runtime::context_runtime::{ContextRuntime, StepError};

/// Steps contexts until none has work; fails after `rounds` rounds.
pub async fn settle(sites: &[ContextRuntime], rounds: usize) -> Result<(), StepError> {
    for _ in 0..rounds {
        let mut any = false;
        for site in sites {
            any |= site.step().await?;
        }
        if !any {
            return Ok(());
        }
    }
    Err(StepError(format!("still busy after {rounds} rounds")))
}
