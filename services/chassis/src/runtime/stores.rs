//! Opens the store of a context.

use std::path::Path;

use crate::{
    base::{clock::Clock, faults::Faults},
    runtime::context::{Context, producer_of},
    store::{DatabaseSettings, Store, StoreError, StoreOptions},
};

/// Opens the store of a context in a directory, with its read models.
pub async fn open_store(
    context: &Context,
    dir: &Path,
    clock: Clock,
    faults: Faults,
) -> Result<Store, StoreError> {
    open_store_on(context, &DatabaseSettings::default(), dir, clock, faults).await
}

/// Opens the store of a context on its database, with its read models; if there is none, in a directory.
pub async fn open_store_on(
    context: &Context,
    database: &DatabaseSettings,
    dir: &Path,
    clock: Clock,
    faults: Faults,
) -> Result<Store, StoreError> {
    let own = |event_type: &str| producer_of(event_type) == Some(context.name);
    let options = StoreOptions {
        clock,
        faults,
        views: context.views.only(own),
        migrations: context.migrations,
        claims: context.claims.clone(),
    };
    if let Some(url) = database.url_of(context.name) {
        return Store::postgres(context.name, &url, database, options);
    }
    let path = dir.join(format!("{}.db", context.name));
    Store::sqlite(context.name, &path, options).await
}
