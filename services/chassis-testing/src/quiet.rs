//! Waits until all work of contexts is done.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use chassis::{runtime::context_runtime::ContextRuntime, store::StoreError};

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the contexts are checked without a commit: not all work ends with a commit.
const CHECK: Duration = Duration::from_millis(10);

/// The contexts still have work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQuiet {
    /// There is always work left.
    #[error("not quiet after {TIMEOUT:?}: {0}")]
    Busy(String),
    /// A store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Waits until contexts, of one or more platforms in this process, have done all that they can do now. `sites` must contain
/// all contexts that consume each other's events.
pub async fn quiet(sites: &[ContextRuntime]) -> Result<(), NotQuiet> {
    let mut commits: Vec<_> = sites.iter().map(|site| site.deps.store.commits()).collect();
    let end = Instant::now() + TIMEOUT;
    loop {
        for store in &mut commits {
            store.mark_unchanged();
        }
        let began = Instant::now();
        let busy = busy(sites).await?;
        // Valid only if nothing was committed in the meantime.
        let committed = commits
            .iter()
            .any(|store| store.has_changed().unwrap_or(true));
        match busy {
            None if !committed => return Ok(()),
            Some(busy) if Instant::now() > end => return Err(NotQuiet::Busy(busy)),
            None if Instant::now() > end => return Err(NotQuiet::Busy("always commits".into())),
            _ => {}
        }
        // Checks over the network must not keep the contexts busy.
        sleep(began.elapsed()).await;
        let changes = commits.iter_mut().map(|store| Box::pin(store.changed()));
        let changes: Vec<_> = changes.collect();
        tokio::select! {
            () = sleep(CHECK) => {}
            _ = futures::future::select_all(changes), if !sites.is_empty() => {}
        }
    }
}

/// The work left at the first of the contexts that has some.
async fn busy(sites: &[ContextRuntime]) -> Result<Option<String>, StoreError> {
    // First the events without a number: they are not published before, and numbering is not a commit.
    for site in sites {
        if site.deps.store.unnumbered().await? > 0 {
            return Ok(Some(format!("{} has unnumbered events", site.context.name)));
        }
    }
    for site in sites {
        if let Some(left) = site.busy().await? {
            return Ok(Some(left));
        }
    }
    Ok(None)
}
