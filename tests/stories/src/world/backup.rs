//! Backups: the database of a context is copied, and later restored.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use chassis::runtime::config::Config;
use tempfile::TempDir;

use super::World;

/// A copy of the database of a context.
#[derive(Debug)]
pub enum Backup {
    /// A directory with a copy of the file. The database that it replaces is kept there, too.
    File(TempDir),
    /// Copies of the tables in the same schema.
    Tables,
}

/// Executes `$do` for each table of the schema. The lease is not restored, because its leader has changed.
const EACH_TABLE: &str = "DO $$ DECLARE t TEXT; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
        AND tablename NOT LIKE 'yesterday_%' AND tablename <> 'lease' LOOP
        EXECUTE format($do$, t); END LOOP; END $$";
const COPY: &str = "'CREATE TABLE yesterday_%1$s AS TABLE %1$s'";
const RESTORE: &str = "'TRUNCATE %1$s; \
    INSERT INTO %1$s OVERRIDING SYSTEM VALUE SELECT * FROM yesterday_%1$s'";

impl World {
    /// Makes a backup of a context while everything runs.
    pub async fn back_up(&self, context: &str) -> Backup {
        if let Some(scratch) = self.infrastructure.scratch(context) {
            scratch.run(&EACH_TABLE.replace("$do$", COPY)).await;
            return Backup::Tables;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("yesterday.db");
        // As `sqlite3 room.db ".backup yesterday.db"` does.
        let database = rusqlite::Connection::open(self.database_file(context)).expect("opens");
        let to = file.to_str().expect("a path");
        database.execute("VACUUM INTO ?1", [to]).expect("copies");
        Backup::File(dir)
    }

    /// Restores the backup. The context must not be running.
    pub async fn restore(&self, context: &str, backup: &Backup) {
        let Backup::File(dir) = backup else {
            let scratch = self.infrastructure.scratch(context).expect("a schema");
            scratch.run(&EACH_TABLE.replace("$do$", RESTORE)).await;
            return;
        };
        let database = self.database_file(context);
        for part in ["db", "db-wal", "db-shm"] {
            let file = database.with_extension(part);
            if file.exists() {
                fs::rename(&file, dir.path().join(format!("lost.{part}"))).expect("moves");
            }
        }
        let yesterday = dir.path().join("yesterday.db");
        // SQLite has created the copy for everybody; a process refuses such a database.
        fs::set_permissions(&yesterday, Permissions::from_mode(0o600)).expect("changes");
        fs::copy(yesterday, database).expect("copies");
    }

    /// The configuration of the process of a context.
    pub fn config(&self, context: &str) -> &Config {
        self.one_of(context).config()
    }

    /// The database file of a context, if its engine is SQLite.
    pub fn database_file(&self, context: &str) -> std::path::PathBuf {
        self.one_of(context).database(context)
    }

    fn one_of(&self, context: &str) -> &super::Process {
        let has = |process: &&super::Process| process.contexts().contains(&context);
        self.processes.iter().find(has).expect("a process")
    }
}
