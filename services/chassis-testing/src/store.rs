//! A store on the engine under test.

use std::{fs, path::Path};

use chassis::{Clock, Context, Store, StoreError, base::faults::Faults, runtime::stores};

use crate::scratch::Scratch;

/// The variable that selects the engine: `postgres`, otherwise SQLite.
const VARIABLE: &str = "BERTH_TEST_STORE";

/// Opens the store of a context in a directory, as [`stores::open_store`] does. On PostgreSQL, in a schema that belongs to the
/// directory.
pub async fn open_store(
    context: &Context,
    dir: &Path,
    clock: Clock,
    faults: Faults,
) -> Result<Store, StoreError> {
    if std::env::var(VARIABLE).as_deref() != Ok("postgres") {
        return stores::open_store(context, dir, clock, faults).await;
    }
    let mark = dir.join(format!("{}.schema", context.name));
    let scratch = match fs::read_to_string(&mark) {
        Ok(schema) => Scratch::named(schema),
        Err(_) => Scratch::new().await,
    };
    let settings = scratch.settings();
    let noted = fs::write(mark, scratch.keep());
    noted.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let store = stores::open_store_on(context, &settings, dir, clock, faults).await?;
    store.migrate().await?;
    Ok(store)
}
