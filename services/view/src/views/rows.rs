//! Writes rows of one generation.

use chassis::{
    StoreError, args,
    store::{Conn, Row, Value},
};

/// The generation that a projection writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The generation that is live when the statement runs.
    Live,
    /// A generation that is being built.
    Generation(i64),
}

/// Writes the rows of one target.
pub(crate) struct Rows<'c> {
    pub(super) conn: &'c mut dyn Conn,
    pub(super) target: Target,
}

impl Rows<'_> {
    /// Runs a statement whose `$1` is the generation.
    pub(super) async fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        let (sql, values) = self.with_generation(sql, values);
        self.conn.write(&sql, values).await
    }

    /// The first row of a query whose `$1` is the generation.
    pub(super) async fn find(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let (sql, values) = self.with_generation(sql, values);
        let rows = self.conn.query(&sql, values).await?;
        Ok(rows.into_iter().next())
    }

    /// Adds the generation to a statement. The live one is looked up by the statement itself, which saves a round trip.
    /// It cannot change before the transaction ends: a rebuild must hold the cursors of the live views to change it.
    fn with_generation(&self, sql: &str, values: Vec<Value>) -> (String, Vec<Value>) {
        let (sql, generation) = match self.target {
            Target::Live => (with_live_generation(sql), None),
            Target::Generation(generation) => (sql.to_owned(), Some(generation)),
        };
        let mut all = args![generation];
        all.extend(values);
        (sql, all)
    }
}

/// Replaces `$1` by an expression for the live generation. `$10` and the like stay.
fn with_live_generation(sql: &str) -> String {
    const LIVE: &str = "COALESCE($1, (SELECT live FROM view_generation WHERE id = 1))";
    let mut parts = sql.split("$1");
    let mut live = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_longer = part.starts_with(|c: char| c.is_ascii_digit());
        live.push_str(if is_longer { "$1" } else { LIVE });
        live.push_str(part);
    }
    live
}
