//! What a store needs before it can be used.

/// DDL of a context's read models, applied once, in order; in the common subset of SQLite and PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Names it for ever.
    pub name: &'static str,
    /// The statements, separated by `;`.
    pub sql: &'static str,
}

/// What a store needs to be like before it can be used, by the names of the migrations that make it so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// All it needs.
    pub needed: Vec<String>,
    /// What of that it lacks.
    pub missing: Vec<String>,
}
