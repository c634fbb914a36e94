//! What an error of the database means for who asked.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::StoreError;
use crate::store::postgres::pool::NoConnection;

/// Tables in which a row that is there already means that somebody else was faster.
const RACED: &[&str] = &["aggregate", "claim", "cursor"];
/// So often a row of a read model that is there already is taken for a lost race. Then it is a bug.
const RACES: u32 = 3;

/// Something went wrong with a statement.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    /// Whether the connection is of no use any more.
    pub(super) broken: bool,
    /// In a word, for the metrics.
    pub(super) kind: &'static str,
}

/// What a statement was, to tell what its failure means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// It divides by zero if a version or a cursor has moved.
    pub(super) guarded: bool,
    /// How often the job was tried before.
    pub(super) attempt: u32,
}

impl From<NoConnection> for Fault {
    fn from(why: NoConnection) -> Self {
        Self {
            kind: match why {
                NoConnection::Busy => "busy",
                NoConnection::Away(_) => "away",
            },
            error: why.into(),
            broken: false,
        }
    }
}

impl Fault {
    /// Whether it is the database's.
    pub(super) fn is_the_databases(&self) -> bool {
        matches!(self.kind, "away" | "lost" | "silent" | "resources")
    }

    /// Of a statement.
    pub(super) fn of(error: sqlx::Error, sent: Sent) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => Self::answered(error, sent),
                None => Self::bug(&error),
            },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
                Self::lost(&error)
            }
            error => Self::bug(&error),
        }
    }

    /// Of connecting. It is broken if it may soon be better.
    pub(super) fn connecting(error: &sqlx::Error) -> Self {
        let waits = match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
            // Starting up, shutting down, too many connections.
            sqlx::Error::Database(error) => error
                .code()
                .is_some_and(|code| matches!(&*code, "57P03" | "57P01" | "53300")),
            _ => false,
        };
        Self {
            broken: waits,
            ..Self::lost(error)
        }
    }

    /// There was no answer in time.
    pub(super) fn silent() -> Self {
        Self {
            error: StoreError::Unavailable("the database does not answer".to_owned()),
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

    fn contended(kind: &'static str) -> Self {
        Self {
            error: StoreError::Contended,
            broken: false,
            kind,
        }
    }

    fn answered(error: &PgDatabaseError, sent: Sent) -> Self {
        let ended = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        match error.code() {
            "40001" => Self::contended("serialization"),
            "40P01" => Self::contended("deadlock"),
            "22012" if sent.guarded => Self::contended("moved"),
            "23505" if error.table().is_some_and(|table| RACED.contains(&table)) => {
                Self::contended("taken")
            }
            "23505" if sent.attempt < RACES => Self::contended("there"),
            // Its plan is for a table that has changed since; another connection makes a new one.
            "0A000" if error.message().contains("cached plan") => Self {
                broken: true,
                ..Self::contended("stale")
            },
            "57014" => Self {
                broken: false,
                kind: "timeout",
                ..Self::lost(error)
            },
            // A standby after a failover: the next connection may lead to the primary.
            "25006" => Self::lost(error),
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
