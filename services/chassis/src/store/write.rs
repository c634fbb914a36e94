//! Writes of projections. A projection declares each of its writes once, so that several can be sent as one statement.

/// A write to the table of a read model.
///
/// The declaration names the tables that it touches. Writes that do not touch each other's tables may be sent in one
/// statement, in which none of them sees the effect of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) table: &'static str,
    /// Other tables that it reads.
    pub(crate) reads: &'static [&'static str],
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Inserts a row, or updates the one that has its key. Rows with different keys may be written by one statement.
    Row(RowForm),
    /// Any other statement.
    Statement(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowForm {
    pub(crate) columns: &'static str,
    pub(crate) values: &'static str,
    /// The numbers of the arguments that identify the row; none if the row is always a new one.
    pub(crate) key: &'static [usize],
    /// What follows `ON CONFLICT`; empty if the row is always a new one.
    pub(crate) on_conflict: &'static str,
}

impl Write {
    /// Inserts a new row. `values` are SQL expressions in terms of `$1`, `$2`, … that do not read the table itself.
    pub const fn insert(table: &'static str, columns: &'static str, values: &'static str) -> Self {
        Self::upsert(table, columns, values, &[], "")
    }

    /// Inserts a row that may exist already: `key` has the numbers of the arguments that identify it, and `on_conflict` is
    /// what follows `ON CONFLICT`. It refers to the new values by `excluded`, not by `$1`.
    pub const fn upsert(
        table: &'static str,
        columns: &'static str,
        values: &'static str,
        key: &'static [usize],
        on_conflict: &'static str,
    ) -> Self {
        Self {
            table,
            reads: &[],
            form: Form::Row(RowForm {
                columns,
                values,
                key,
                on_conflict,
            }),
        }
    }

    /// Any other statement that changes one table.
    pub const fn statement(table: &'static str, sql: &'static str) -> Self {
        Self {
            table,
            reads: &[],
            form: Form::Statement(sql),
        }
    }

    /// Declares which other tables it reads.
    #[must_use]
    pub const fn reading(self, reads: &'static [&'static str]) -> Self {
        Self { reads, ..self }
    }

    /// The statement for one row of arguments.
    pub(crate) fn sql(&self) -> String {
        match &self.form {
            Form::Statement(sql) => (*sql).to_owned(),
            Form::Row(row) => {
                let RowForm {
                    columns, values, ..
                } = row;
                let (table, conflict) = (self.table, row.conflict());
                format!("INSERT INTO {table} ({columns}) VALUES ({values}){conflict}")
            }
        }
    }

    /// Whether one of the two changes a table that the other one changes or reads.
    pub(crate) fn conflicts_with(&self, other: &Self) -> bool {
        self.table == other.table
            || self.reads.contains(&other.table)
            || other.reads.contains(&self.table)
    }
}

impl RowForm {
    /// The `ON CONFLICT` clause, after a space.
    pub(crate) fn conflict(&self) -> String {
        match self.on_conflict {
            "" => String::new(),
            action => format!(" ON CONFLICT {action}"),
        }
    }
}
