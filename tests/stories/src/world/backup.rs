//! Backups: the database of a context is put aside as it is, and later takes the place of what has become of it.

use std::fs;

use chassis::runtime::config::Config;
use tempfile::TempDir;

use super::World;

/// The database of a context as it was.
#[derive(Debug)]
pub enum Backup {
    /// A copy of the file, beside which what it replaces is kept.
    File(TempDir),
    /// Copies of the tables, beside them.
    Tables,
}

/// For each table of the schema what `$do` says; the leader of tomorrow is not the one of yesterday.
const EACH_TABLE: &str = "DO $$ DECLARE t TEXT; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
        AND tablename NOT LIKE 'yesterday_%' AND tablename <> 'lease' LOOP
        EXECUTE format($do$, t); END LOOP; END $$";
const PUT_ASIDE: &str = "'CREATE TABLE yesterday_%1$s AS TABLE %1$s'";
const PUT_BACK: &str = "'TRUNCATE %1$s; \
    INSERT INTO %1$s OVERRIDING SYSTEM VALUE SELECT * FROM yesterday_%1$s'";

impl World {
    /// Makes a backup of a context while everything runs.
    pub async fn back_up(&self, context: &str) -> Backup {
        if let Some(scratch) = self.around.scratch(context) {
            scratch.run(&EACH_TABLE.replace("$do$", PUT_ASIDE)).await;
            return Backup::Tables;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("yesterday.db");
        // As `sqlite3 room.db ".backup yesterday.db"` does.
        let database = rusqlite::Connection::open(self.file(context)).expect("opens");
        let to = file.to_str().expect("a path");
        database.execute("VACUUM INTO ?1", [to]).expect("copies");
        Backup::File(dir)
    }

    /// The backup takes the place of the database, which nobody uses.
    pub async fn put_back(&self, context: &str, backup: &Backup) {
        let Backup::File(dir) = backup else {
            let scratch = self.around.scratch(context).expect("a schema");
            scratch.run(&EACH_TABLE.replace("$do$", PUT_BACK)).await;
            return;
        };
        let database = self.file(context);
        for part in ["db", "db-wal", "db-shm"] {
            let file = database.with_extension(part);
            if file.exists() {
                fs::rename(&file, dir.path().join(format!("lost.{part}"))).expect("moves");
            }
        }
        fs::copy(dir.path().join("yesterday.db"), database).expect("copies");
    }

    /// What the process of a context was told.
    pub fn config(&self, context: &str) -> &Config {
        self.one_of(context).config()
    }

    fn file(&self, context: &str) -> std::path::PathBuf {
        self.one_of(context).database(context)
    }

    fn one_of(&self, context: &str) -> &super::Process {
        let has = |process: &&super::Process| process.contexts().contains(&context);
        self.processes.iter().find(has).expect("a process")
    }
}
