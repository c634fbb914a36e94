//! Writes rows of one generation.

use chassis::{
    StoreError, args,
    store::{Conn, Row, Value, Write},
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
    /// Executes a write whose `$1` is the generation.
    pub(super) async fn run(
        &mut self,
        write: &'static Write,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        let values = self.with_generation(values);
        self.conn.write(write, values).await
    }

    /// The first row of a query whose `$1` is the generation.
    pub(super) async fn find(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let values = self.with_generation(values);
        let rows = self.conn.query(sql, values).await?;
        Ok(rows.into_iter().next())
    }

    /// Arguments that begin with the generation. It is null for the live one, which the statement itself looks up: that
    /// saves a round trip. The live generation cannot change before the transaction ends: a rebuild must hold the cursors
    /// of the live views to change it.
    fn with_generation(&self, values: Vec<Value>) -> Vec<Value> {
        let mut all = match self.target {
            Target::Live => args![None::<i64>],
            Target::Generation(generation) => args![generation],
        };
        all.extend(values);
        all
    }
}
