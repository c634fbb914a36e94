//! The tables of every context in a SQLite database.

/// `log.seq` is assigned by the insert: there is one writer, so it has no gaps.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS aggregate (
        kind TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL, due_at BIGINT,
        retry_at BIGINT, failures BIGINT NOT NULL DEFAULT 0,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (kind, id));
    CREATE INDEX IF NOT EXISTS aggregate_due ON aggregate (due_at) WHERE due_at IS NOT NULL AND retry_at IS NULL;
    CREATE INDEX IF NOT EXISTS aggregate_retry ON aggregate (retry_at) WHERE retry_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS claim (
        scope TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS claim_owner ON claim (owner);
    CREATE TABLE IF NOT EXISTS claim_format (kind TEXT PRIMARY KEY, version BIGINT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log (
        seq BIGINT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, aggregate TEXT NOT NULL,
        version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL, headers TEXT NOT NULL,
        digest BYTEA NOT NULL, PRIMARY KEY (seq)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS log_aggregate ON log (aggregate, version);
    CREATE TABLE IF NOT EXISTS cursor (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL, epoch BIGINT NOT NULL,
        digest BYTEA NOT NULL, skip_after BIGINT NOT NULL DEFAULT 0, skip_to BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (consumer, producer)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dead_letter (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL,
        type TEXT NOT NULL, aggregate TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL,
        headers TEXT NOT NULL, reason TEXT NOT NULL, attempts BIGINT NOT NULL, parked BIGINT NOT NULL,
        next_attempt_at BIGINT NOT NULL, PRIMARY KEY (consumer, producer, seq)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS dead_letter_aggregate ON dead_letter (consumer, producer, aggregate, seq);
    CREATE TABLE IF NOT EXISTS fence (
        id BIGINT PRIMARY KEY, head BIGINT NOT NULL, seen BIGINT NOT NULL, witness TEXT NOT NULL,
        evidence TEXT NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS recovery (
        epoch BIGINT PRIMARY KEY, fork BIGINT NOT NULL, settled BIGINT NOT NULL, shift BIGINT NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS abandoned (
        epoch BIGINT NOT NULL, seq BIGINT NOT NULL, digest BYTEA NOT NULL, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::aggregates::due_sql;

    #[test]
    fn due_aggregates_are_found_without_reading_the_others() {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(TABLES).unwrap();
        for kinds in [1, 3] {
            let sql = format!("EXPLAIN QUERY PLAN {}", due_sql(kinds));
            let mut plan = database.prepare(&sql).unwrap();
            let unbound = vec![rusqlite::types::Null; kinds + 2];
            let steps = plan.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3));
            let steps: Vec<String> = steps.unwrap().collect::<Result<_, _>>().unwrap();
            let mut reads: Vec<&String> = steps
                .iter()
                .filter(|step| step.contains(" aggregate "))
                .collect();
            reads.sort();
            let index = |name| format!("SEARCH aggregate USING INDEX {name}");
            assert_eq!(reads.len(), 2, "{steps:?}");
            assert!(
                reads[0].starts_with(&index("aggregate_due (due_at")),
                "{steps:?}"
            );
            assert!(
                reads[1].starts_with(&index("aggregate_retry (retry_at")),
                "{steps:?}"
            );
        }
    }
}
