//! Drives contexts step by step until nothing is left to do.

use chassis::runtime::context_runtime::{ContextRuntime, StepError};

/// Steps sites until none has anything to do; fails if that takes more than `rounds`.
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
