//! How statements that wait to be sent become few: what does not meet in a table travels as one data-modifying `WITH`.
//!
//! The parts of such a statement see the tables as they were before it and do not see each other. So what writes a table
//! that another part mentions goes into the next statement.

use std::collections::BTreeMap;

use sqlx::{Arguments, Encode, Postgres, Type, postgres::PgArguments};

use super::wire;
use crate::{
    event::Recorded,
    store::{
        StoreError, Value, sql,
        work::{Batch, Step},
    },
    time::to_micros,
};

/// Something that waits to be sent.
#[derive(Debug)]
pub(super) enum Pending {
    /// A step of an aggregate.
    Step(Step),
    /// A consumer's cursor that moves on.
    Cursor(Move),
    /// A statement.
    Write(String, Vec<Value>),
}

/// The move of a cursor.
#[derive(Debug)]
pub(super) struct Move {
    consumer: String,
    producer: String,
    partition: i32,
    from: i64,
    to: i64,
}

impl From<Batch<'_>> for Move {
    fn from(batch: Batch<'_>) -> Self {
        Self {
            consumer: batch.consumer.to_owned(),
            producer: batch.producer.to_owned(),
            partition: batch.partition,
            from: batch.from,
            to: batch.to,
        }
    }
}

/// A statement that is ready to be sent.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) args: PgArguments,
    /// Whether it divides by zero if a version or a cursor is not where it must be.
    pub(super) guarded: bool,
}

/// Makes statements of what waits, as few as can be.
pub(super) fn plan(pending: Vec<Pending>) -> Result<Vec<Statement>, StoreError> {
    let mut statements = Vec::new();
    let mut group = Group::default();
    for next in pending {
        let touched = Touched::by(&next);
        if group.meets(&touched) {
            statements.extend(std::mem::take(&mut group).finish()?);
        }
        group.members.push(next);
        group.touched.push(touched);
    }
    statements.extend(group.finish()?);
    Ok(statements)
}

/// The tables that something writes, and all words in which it may name others.
#[derive(Debug)]
struct Touched {
    /// None: nobody knows.
    writes: Option<Vec<String>>,
    words: Vec<String>,
}

impl Touched {
    fn by(pending: &Pending) -> Self {
        let own = |tables: &[&str]| {
            let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
            Self {
                writes: Some(tables.clone()),
                words: tables,
            }
        };
        match pending {
            Pending::Step(_) => own(&["aggregate", "claim", "log"]),
            Pending::Cursor(_) => own(&["cursor"]),
            Pending::Write(sql, _) => {
                let words = words(sql);
                let place = match words.first().map(String::as_str) {
                    Some("insert" | "delete") => words.get(2),
                    Some("update") => words.get(1),
                    _ => None,
                };
                Self {
                    writes: place.map(|table| vec![table.clone()]),
                    words,
                }
            }
        }
    }
}

/// The words of a statement outside its quotes, in small letters.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in sql.split('\'').enumerate() {
        if index % 2 == 0 {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
            let found = part.split(|c| !is_word(c)).filter(|word| !word.is_empty());
            words.extend(found.map(str::to_ascii_lowercase));
        }
    }
    words
}

/// What travels together.
#[derive(Debug, Default)]
struct Group {
    members: Vec<Pending>,
    touched: Vec<Touched>,
}

impl Group {
    /// Whether something cannot travel with the group.
    fn meets(&self, next: &Touched) -> bool {
        let names = |words: &[String], tables: &Option<Vec<String>>| match tables {
            Some(tables) => tables.iter().any(|table| words.contains(table)),
            None => true,
        };
        let mut members = self.touched.iter();
        members.any(|one| names(&next.words, &one.writes) || names(&one.words, &next.writes))
    }

    fn finish(self) -> Result<Option<Statement>, StoreError> {
        let alone = self.members.len() == 1;
        let mut with = With::default();
        for member in self.members {
            match member {
                Pending::Write(sql, values) if alone => return with.just(sql, values).map(Some),
                Pending::Write(sql, values) => with.write(&sql, values)?,
                Pending::Step(step) => with.step(step)?,
                Pending::Cursor(cursor) => with.cursor(cursor)?,
            }
        }
        Ok((!with.parts.is_empty()).then(|| with.finish()))
    }
}

/// A `WITH` in the making. Its parts are named so that no table is hidden.
#[derive(Default)]
struct With {
    parts: Vec<String>,
    guards: Vec<String>,
    args: PgArguments,
}

impl With {
    /// Adds an argument; answers its place.
    fn add<'v, T: Encode<'v, Postgres> + Type<Postgres>>(
        &mut self,
        value: T,
    ) -> Result<usize, StoreError> {
        self.args
            .add(value)
            .map_err(|error| StoreError::Bug(error.to_string()))?;
        Ok(self.args.len())
    }

    /// A statement as it stands.
    fn just(mut self, sql: String, values: Vec<Value>) -> Result<Statement, StoreError> {
        for value in values {
            wire::bind(&mut self.args, value)?;
        }
        Ok(Statement {
            sql,
            args: self.args,
            guarded: false,
        })
    }

    fn write(&mut self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        let before = self.args.len();
        for value in values {
            wire::bind(&mut self.args, value)?;
        }
        let (name, sql) = (self.parts.len(), moved(sql, before));
        self.parts.push(format!("_write{name} AS ({sql})"));
        Ok(())
    }

    fn cursor(&mut self, cursor: Move) -> Result<(), StoreError> {
        let consumer = self.add(cursor.consumer)?;
        let producer = self.add(cursor.producer)?;
        let partition = self.add(i64::from(cursor.partition))?;
        let to = self.add(cursor.to)?;
        let name = format!("_cursor{}", self.parts.len());
        let part = if cursor.from == 0 {
            format!(
                "{name} AS (INSERT INTO cursor (consumer, producer, partition, seq)
                 VALUES (${consumer}, ${producer}, ${partition}, ${to})
                 ON CONFLICT (consumer, producer, partition) DO UPDATE SET seq = excluded.seq
                 WHERE cursor.seq = 0 RETURNING 1)"
            )
        } else {
            let from = self.add(cursor.from)?;
            format!(
                "{name} AS (UPDATE cursor SET seq = ${to} WHERE consumer = ${consumer} AND producer = ${producer}
                 AND partition = ${partition} AND seq = ${from} RETURNING 1)"
            )
        };
        self.parts.push(part);
        self.guards.push(name);
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), StoreError> {
        let owner = step.owner();
        let kind = self.add(step.kind)?;
        let id = self.add(step.id.clone())?;
        let version = self.add(step.version)?;
        let state = self.add(step.state)?;
        let due = self.add(step.due.map(to_micros))?;
        let at = self.add(to_micros(step.at))?;
        let put = format!("_put{}", self.parts.len());
        if step.from == 0 {
            // One that is there already violates the key.
            self.parts.push(format!(
                "{put} AS (INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
                 VALUES (${kind}, ${id}, ${version}, ${state}, ${due}, ${at}, ${at}))"
            ));
        } else {
            let from = self.add(step.from)?;
            self.parts.push(format!(
                "{put} AS (UPDATE aggregate SET version = ${version}, state = ${state}, due_at = ${due},
                 updated_at = ${at} WHERE kind = ${kind} AND id = ${id} AND version = ${from} RETURNING 1)"
            ));
            self.guards.push(put);
        }
        self.claims(&owner, step.released, step.claimed)?;
        self.told(step.told)
    }

    fn claims(
        &mut self,
        owner: &str,
        released: Vec<(String, String)>,
        claimed: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        if released.is_empty() && claimed.is_empty() {
            return Ok(());
        }
        let owner = self.add(owner.to_owned())?;
        let mut scopes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (scope, key) in released {
            scopes.entry(scope).or_default().push(key);
        }
        for (scope, keys) in scopes {
            let (scope, keys) = (self.add(scope)?, self.add(keys)?);
            let name = self.parts.len();
            self.parts.push(format!(
                "_free{name} AS (DELETE FROM claim WHERE scope = ${scope} AND key = ANY(${keys}) AND owner = ${owner})"
            ));
        }
        if !claimed.is_empty() {
            let (scopes, keys): (Vec<_>, Vec<_>) = claimed.into_iter().unzip();
            let (scopes, keys) = (self.add(scopes)?, self.add(keys)?);
            let name = self.parts.len();
            // One that somebody else holds violates the key.
            self.parts.push(format!(
                "_hold{name} AS (INSERT INTO claim (scope, key, owner)
                 SELECT c.scope, c.key, ${owner} FROM unnest(${scopes}, ${keys}) AS c (scope, key))"
            ));
        }
        Ok(())
    }

    /// Records what the world is told, in its order.
    fn told(&mut self, told: Vec<Recorded>) -> Result<(), StoreError> {
        let Some(first) = told.first() else {
            return Ok(());
        };
        let partition = self.add(i64::from(first.partition))?;
        let subject = self.add(first.subject.clone())?;
        let mut columns = Columns::default();
        for event in told {
            columns.headers.push(sql::headers(&event.cause)?);
            columns.ids.push(event.id);
            columns.types.push(event.event_type);
            columns.versions.push(event.version);
            columns.ats.push(to_micros(event.at));
            columns.payloads.push(event.data.to_vec());
        }
        let ids = self.add(columns.ids)?;
        let types = self.add(columns.types)?;
        let versions = self.add(columns.versions)?;
        let ats = self.add(columns.ats)?;
        let payloads = self.add(columns.payloads)?;
        let headers = self.add(columns.headers)?;
        let name = self.parts.len();
        self.parts.push(format!(
            "_tell{name} AS (INSERT INTO log (partition, id, type, aggregate, version, at, payload, headers)
             SELECT ${partition}, e.id, e.type, ${subject}, e.version, e.at, e.payload, e.headers
             FROM unnest(${ids}, ${types}, ${versions}, ${ats}, ${payloads}, ${headers})
             AS e (id, type, version, at, payload, headers))"
        ));
        Ok(())
    }

    /// The whole. Every guard is a part that must have changed one row.
    fn finish(self) -> Statement {
        let one = |part: &String| format!("(SELECT count(*) FROM {part})");
        let guards: Vec<String> = self.guards.iter().map(one).collect();
        let check = if guards.is_empty() {
            "SELECT 1".to_owned()
        } else {
            format!("SELECT 1 / ({})", guards.join(" * "))
        };
        Statement {
            sql: format!("WITH {} {check}", self.parts.join(", ")),
            args: self.args,
            guarded: !guards.is_empty(),
        }
    }
}

/// Events, a column at a time.
#[derive(Default)]
struct Columns {
    ids: Vec<String>,
    types: Vec<String>,
    versions: Vec<i64>,
    ats: Vec<i64>,
    payloads: Vec<Vec<u8>>,
    headers: Vec<String>,
}

/// A statement whose `$1` has become `$1 + by`.
fn moved(sql: &str, by: usize) -> String {
    let mut moved = String::with_capacity(sql.len() + 8);
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        moved.push(c);
        quoted ^= c == '\'';
        if c != '$' || quoted {
            continue;
        }
        let mut place = 0;
        while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
            place = place * 10 + digit as usize;
            rest.next();
        }
        moved.push_str(&(place + by).to_string());
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn write(sql: &str) -> Pending {
        Pending::Write(sql.to_owned(), args!["x"])
    }

    fn sent(pending: Vec<Pending>) -> Vec<String> {
        let statements = plan(pending).unwrap();
        statements.into_iter().map(|sent| sent.sql).collect()
    }

    #[test]
    fn what_does_not_meet_travels_together() {
        let sent = sent(vec![
            write("INSERT INTO a (id) VALUES ($1)"),
            write("UPDATE b SET c = '$1 a' WHERE id = $1"),
        ]);
        assert_eq!(
            sent,
            [
                "WITH _write0 AS (INSERT INTO a (id) VALUES ($1)), _write1 AS (UPDATE b SET c = '$1 a' WHERE id = $2) SELECT 1"
            ]
        );
    }

    #[test]
    fn what_meets_travels_one_after_the_other() {
        let first = "INSERT INTO a (id) VALUES ($1)";
        for second in [
            "UPDATE a SET c = $1",
            "DELETE FROM b WHERE id IN (SELECT id FROM A)",
            "WITH c AS (SELECT 1) INSERT INTO d SELECT * FROM c",
        ] {
            assert_eq!(sent(vec![write(first), write(second)]), [first, second]);
            assert_eq!(sent(vec![write(second), write(first)]), [second, first]);
        }
        assert_eq!(sent(vec![]), Vec::<String>::new());
    }
}
