//! Waits until there is nothing left to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use chassis::{runtime::context_runtime::ContextRuntime, store::StoreError};

/// How long a platform may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at when nothing is committed: not all work ends with a commit.
const LOOK: Duration = Duration::from_millis(10);

/// A platform does not come to rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQuiet {
    /// Something is always left to do.
    #[error("not quiet after {PATIENCE:?}: {0}")]
    Busy(String),
    /// It cannot be seen.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Waits until contexts have done all that they can do now, wherever they run in this process: [`Platform::quiet`] for
/// several platforms. News must not be hidden between them: they should be all that listen to each other.
///
/// [`Platform::quiet`]: super::Platform::quiet
pub async fn quiet(sites: &[ContextRuntime]) -> Result<(), NotQuiet> {
    let mut commits: Vec<_> = sites.iter().map(|site| site.deps.store.commits()).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        for store in &mut commits {
            store.mark_unchanged();
        }
        let began = Instant::now();
        let busy = busy(sites).await?;
        // What was seen holds only if nothing was committed in the meantime.
        let moved = commits
            .iter()
            .any(|store| store.has_changed().unwrap_or(true));
        match busy {
            None if !moved => return Ok(()),
            Some(busy) if Instant::now() > end => return Err(NotQuiet::Busy(busy)),
            None if Instant::now() > end => return Err(NotQuiet::Busy("always commits".into())),
            _ => {}
        }
        // Whoever looks over the wire must not keep those busy who are to come to rest.
        sleep(began.elapsed()).await;
        let changes = commits.iter_mut().map(|store| Box::pin(store.changed()));
        let changes: Vec<_> = changes.collect();
        tokio::select! {
            () = sleep(LOOK) => {}
            _ = futures::future::select_all(changes), if !sites.is_empty() => {}
        }
    }
}

/// What is left to do at the first of the sites that has something left.
async fn busy(sites: &[ContextRuntime]) -> Result<Option<String>, StoreError> {
    // First everywhere whether an event has no number yet: nobody hears of it before, and its number is no commit.
    for site in sites {
        if site.deps.store.unnumbered().await? > 0 {
            return Ok(Some(format!("{} has news to tell", site.context.name)));
        }
    }
    for site in sites {
        if let Some(left) = site.busy().await? {
            return Ok(Some(left));
        }
    }
    Ok(None)
}
