//! The SQL function `log_digest`: the digest of a log after its next event.

use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

use crate::domain::digest::LogDigest;

/// Adds the function to a connection: `log_digest(before, id, type, aggregate, version, at, payload)`.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("log_digest", 7, flags, |context| {
        let digest = before(context)?.then(
            [text(context, 1)?, text(context, 2)?, text(context, 3)?],
            [context.get(4)?, context.get(5)?],
            context.get_raw(6).as_blob()?,
        );
        Ok(digest.as_bytes().to_vec())
    })
}

/// The digest before the event; null if it is the first one.
fn before(context: &Context<'_>) -> rusqlite::Result<LogDigest> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(LogDigest::default()),
        value => {
            let digest = LogDigest::from_bytes(value.as_blob()?);
            digest.ok_or(rusqlite::Error::UnwindingPanic)
        }
    }
}

fn text<'c>(context: &'c Context<'_>, index: usize) -> rusqlite::Result<&'c str> {
    Ok(context.get_raw(index).as_str()?)
}
