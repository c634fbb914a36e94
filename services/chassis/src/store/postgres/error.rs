//! Classifies errors of the database.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::error::StoreError;

/// Tables in which a unique violation is an optimistic conflict.
const GUARDED: &[&str] = &["aggregate", "claim", "cursor", "log"];
/// The `kind` of an error of a database that is read-only.
const READ_ONLY: &str = "read_only";
/// How many unique violations of a read model are treated as optimistic conflicts. The next one is a bug.
const CONFLICTS: u32 = 3;

/// Why a statement failed.
#[derive(Debug)]
pub(super) struct StatementError {
    pub(super) error: StoreError,
    /// Whether the connection cannot be used any more; of connecting, whether it may soon work.
    pub(super) broken: bool,
    /// The `kind` of the metric.
    pub(super) kind: &'static str,
}

/// What is known of a statement when it fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatementContext {
    /// Whether it divides by zero if a version or a cursor is not as expected.
    pub(super) guarded: bool,
    /// How many attempts of the job failed before.
    pub(super) attempt: u32,
}

impl StatementError {
    /// Whether it is a fault of the database.
    pub(super) fn is_of_database(&self) -> bool {
        matches!(
            self.kind,
            "away" | "lost" | "silent" | "resources" | READ_ONLY
        )
    }

    /// Whether another connection may work where this one broke, so that the statement or its transaction is worth
    /// another attempt.
    pub(super) fn is_of_connection(&self) -> bool {
        self.broken && self.kind != READ_ONLY
    }

    /// The error of a statement.
    pub(super) fn of(error: sqlx::Error, context: StatementContext) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => Self::reported(error, context),
                None => Self::bug(&error),
            },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
                Self::lost(&error)
            }
            error => Self::bug(&error),
        }
    }

    /// The error of an attempt to connect.
    pub(super) fn connecting(error: &sqlx::Error) -> Self {
        let temporary = match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
            // Starting up, shutting down, too many connections.
            sqlx::Error::Database(error) => error
                .code()
                .is_some_and(|code| matches!(&*code, "57P03" | "57P01" | "53300")),
            _ => false,
        };
        let broken = Self {
            broken: temporary,
            ..Self::lost(error)
        };
        // The parameters of a session mean nothing to a pooler of transactions, which rejects them.
        let text = error.to_string();
        if text.contains("startup parameter") {
            let hint = "a transaction pooler needs --database-pooled (BERTH_DATABASE_POOLED)";
            return Self {
                error: StoreError::Unavailable(format!("{text}; {hint}")),
                ..broken
            };
        }
        broken
    }

    /// All connections are in use for too long.
    pub(super) fn busy() -> Self {
        Self {
            error: StoreError::Unavailable("all connections are in use".to_owned()),
            broken: false,
            kind: "busy",
        }
    }

    /// The database did not respond in time.
    pub(super) fn silent() -> Self {
        Self {
            error: StoreError::Unavailable("the database does not respond".to_owned()),
            broken: true,
            kind: "silent",
        }
    }

    fn lost(error: &dyn std::fmt::Display) -> Self {
        Self {
            error: StoreError::Unavailable(error.to_string()),
            broken: true,
            kind: "lost",
        }
    }

    fn bug(error: &dyn std::fmt::Display) -> Self {
        Self {
            error: StoreError::Bug(error.to_string()),
            broken: false,
            kind: "bug",
        }
    }

    /// After a failover the server may be a standby, and the next connection may reach the primary: one more attempt.
    fn read_only(attempt: u32) -> Self {
        Self {
            error: match attempt {
                0 => StoreError::Contended,
                _ => StoreError::Unavailable("the database is read-only".to_owned()),
            },
            broken: true,
            kind: READ_ONLY,
        }
    }

    fn contended(kind: &'static str) -> Self {
        Self {
            error: StoreError::Contended,
            broken: false,
            kind,
        }
    }

    fn reported(error: &PgDatabaseError, context: StatementContext) -> Self {
        let ended = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        match error.code() {
            "40001" => Self::contended("serialization"),
            "40P01" => Self::contended("deadlock"),
            "22012" if context.guarded => Self::contended("moved"),
            "23505" if error.table().is_some_and(|table| GUARDED.contains(&table)) => {
                Self::contended("taken")
            }
            "23505" if context.attempt < CONFLICTS => Self::contended("there"),
            // The table has changed since the plan was cached; another connection plans again.
            "0A000" if error.message().contains("cached plan") => Self {
                broken: true,
                ..Self::contended("stale")
            },
            "57014" => Self {
                broken: false,
                kind: "timeout",
                ..Self::lost(error)
            },
            "25006" => Self::read_only(context.attempt),
            // Disk full, out of memory, I/O.
            code if code.starts_with("53") || code.starts_with("58") => Self {
                broken: ended,
                kind: "resources",
                ..Self::lost(error)
            },
            _ if ended => Self::lost(error),
            code if code.starts_with("08") => Self::lost(error),
            _ => Self::bug(error),
        }
    }
}
