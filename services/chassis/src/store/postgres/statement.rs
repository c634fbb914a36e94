//! Builds statements: one write, or several as a data-modifying `WITH`.

use sqlx::{Arguments, Encode, Type, postgres::PgArguments};

use crate::{
    base::time::to_micros,
    domain::event::Recorded,
    store::{
        error::StoreError,
        log::{EVENT_COLUMNS, headers},
        postgres::{cursor_move::CursorMove, values},
        row::Value,
        transaction::AggregateChange,
        write::{Form, Write},
    },
};

/// A statement that is ready to be sent.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) args: PgArguments,
    /// Whether it divides by zero if a version or a cursor is not as expected.
    pub(super) guarded: bool,
}

/// A data-modifying `WITH` under construction. The names of its parts begin with `_`, unlike those of tables.
#[derive(Default)]
pub(super) struct With {
    parts: Vec<(String, String)>,
    /// The names of parts that must change exactly one row.
    guards: Vec<String>,
    args: PgArguments,
    /// How many parts are writes of projections.
    writes: usize,
}

impl With {
    /// Adds an argument and returns its number.
    fn add<'v, T: Encode<'v, sqlx::Postgres> + Type<sqlx::Postgres>>(
        &mut self,
        value: T,
    ) -> Result<usize, StoreError> {
        let added = self.args.add(value);
        added.map_err(|error| StoreError::Bug(error.to_string()))?;
        Ok(self.args.len())
    }

    /// Adds a part and returns its name.
    fn part(&mut self, name: &str, sql: String) -> String {
        let name = format!("{name}{}", self.parts.len());
        self.parts.push((name.clone(), sql));
        name
    }

    /// Adds a write of a projection, for one or several rows of arguments.
    pub(super) fn write(&mut self, write: &Write, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let before = self.args.len();
        let sql = match &write.form {
            Form::Row(form) if rows.len() > 1 => {
                let width = rows.first().map_or(0, Vec::len);
                values::bind_columns(&mut self.args, rows)?;
                let list = |item: &dyn Fn(usize) -> String| -> String {
                    let items: Vec<String> = (1..=width).map(item).collect();
                    items.join(", ")
                };
                let arrays = list(&|number| format!("${}", number + before));
                let columns = list(&|number| format!("c{number}"));
                let row = with_parameters(form.values, |number| format!("v.c{number}"));
                format!(
                    "INSERT INTO {} ({}) SELECT {row} FROM unnest({arrays}) AS v ({columns}){}",
                    write.table,
                    form.columns,
                    form.conflict()
                )
            }
            _ => {
                for value in rows.into_iter().flatten() {
                    values::bind(&mut self.args, value)?;
                }
                let sql = write.sql();
                if before == 0 {
                    sql
                } else {
                    with_parameters(&sql, |number| format!("${}", number + before))
                }
            }
        };
        self.part("_write", sql);
        self.writes += 1;
        Ok(())
    }

    /// Moves a cursor.
    pub(super) fn cursor(&mut self, cursor: CursorMove) -> Result<(), StoreError> {
        let consumer = self.add(cursor.consumer.to_string())?;
        let producer = self.add(cursor.producer.to_string())?;
        let to = cursor.to;
        let epoch = self.add(to.epoch)?;
        let seq = self.add(to.seq)?;
        let digest = self.add(to.digest.as_bytes().to_vec())?;
        let sql = if cursor.from == 0 {
            format!(
                "INSERT INTO cursor (consumer, producer, epoch, seq, digest)
                 VALUES (${consumer}, ${producer}, ${epoch}, ${seq}, ${digest})
                 ON CONFLICT (consumer, producer) DO UPDATE
                 SET epoch = excluded.epoch, seq = excluded.seq, digest = excluded.digest
                 WHERE cursor.seq = 0 RETURNING 1"
            )
        } else {
            let from = self.add(cursor.from)?;
            format!(
                "UPDATE cursor SET epoch = ${epoch}, seq = ${seq}, digest = ${digest}
                 WHERE consumer = ${consumer} AND producer = ${producer} AND seq = ${from} RETURNING 1"
            )
        };
        let guard = self.part("_cursor", sql);
        self.guards.push(guard);
        Ok(())
    }

    /// Adds changes of different aggregates.
    pub(super) fn changes(&mut self, changes: Vec<AggregateChange>) -> Result<(), StoreError> {
        let (mut created, mut claims, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let mut released = Vec::new();
        for mut change in changes {
            let owner = change.owner();
            match change.released.take() {
                None => {}
                Some(kept) if kept.is_empty() => released.push(owner.clone()),
                Some(kept) => self.release(owner.clone(), &kept)?,
            }
            for (scope, key) in std::mem::take(&mut change.claimed) {
                claims.push((scope, key, owner.clone()));
            }
            events.append(&mut change.events);
            if change.expected_version == 0 {
                created.push(change);
            } else {
                self.update(change)?;
            }
        }
        self.create(created)?;
        if !released.is_empty() {
            let owners = self.add(released)?;
            let sql = format!("DELETE FROM claim WHERE owner = ANY(${owners})");
            self.part("_release", sql);
        }
        self.claim(&claims)?;
        self.append(&events)
    }

    /// Updates an aggregate. A statement of its own keeps it an index lookup, whatever the planner estimates.
    fn update(&mut self, change: AggregateChange) -> Result<(), StoreError> {
        let kind = self.add(change.kind)?;
        let id = self.add(change.id)?;
        let version = self.add(change.version)?;
        let state = self.add(change.state)?;
        let due = self.add(change.due.map(to_micros))?;
        let at = self.add(to_micros(change.at))?;
        let expected = self.add(change.expected_version)?;
        let sql = format!(
            "UPDATE aggregate SET version = ${version}, state = ${state}, due_at = ${due}, updated_at = ${at},
                 retry_at = NULL, failures = 0
             WHERE kind = ${kind} AND id = ${id} AND version = ${expected} RETURNING 1"
        );
        let guard = self.part("_update", sql);
        self.guards.push(guard);
        Ok(())
    }

    /// Inserts new aggregates. One that exists already violates the key.
    fn create(&mut self, created: Vec<AggregateChange>) -> Result<(), StoreError> {
        if created.is_empty() {
            return Ok(());
        }
        let kinds = self.column(&created, |change| change.kind.to_owned())?;
        let ids = self.column(&created, |change| change.id.clone())?;
        let versions = self.column(&created, |change| change.version)?;
        let dues = self.column(&created, |change| change.due.map(to_micros))?;
        let ats = self.column(&created, |change| to_micros(change.at))?;
        let states: Vec<String> = created.into_iter().map(|change| change.state).collect();
        let states = self.add(states)?;
        let sql = format!(
            "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
             SELECT n.kind, n.id, n.version, n.state, n.due_at, n.at, n.at
             FROM unnest(${kinds}, ${ids}, ${versions}, ${states}, ${dues}, ${ats})
             AS n (kind, id, version, state, due_at, at)"
        );
        self.part("_create", sql);
        Ok(())
    }

    /// Deletes every claim of an owner but some.
    fn release(&mut self, owner: String, kept: &[(String, String)]) -> Result<(), StoreError> {
        let owner = self.add(owner)?;
        let scopes = self.column(kept, |kept| kept.0.clone())?;
        let keys = self.column(kept, |kept| kept.1.clone())?;
        let sql = format!(
            "DELETE FROM claim WHERE owner = ${owner} AND (scope, key) NOT IN (
                 SELECT k.scope, k.key FROM unnest(${scopes}, ${keys}) AS k (scope, key))"
        );
        self.part("_release", sql);
        Ok(())
    }

    /// Inserts claims: scope, key, owner. One that is held already violates the key.
    fn claim(&mut self, claims: &[(String, String, String)]) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        let scopes = self.column(claims, |claim| claim.0.clone())?;
        let keys = self.column(claims, |claim| claim.1.clone())?;
        let owners = self.column(claims, |claim| claim.2.clone())?;
        let sql = format!(
            "INSERT INTO claim (scope, key, owner)
             SELECT c.scope, c.key, c.owner FROM unnest(${scopes}, ${keys}, ${owners}) AS c (scope, key, owner)"
        );
        self.part("_claim", sql);
        Ok(())
    }

    /// Appends events to the log, in their order.
    fn append(&mut self, events: &[Recorded]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let ids = self.column(events, |event| event.id.clone())?;
        let types = self.column(events, |event| event.event_type.clone())?;
        let subjects = self.column(events, |event| event.subject.clone())?;
        let versions = self.column(events, |event| event.version)?;
        let ats = self.column(events, |event| to_micros(event.at))?;
        let payloads = self.column(events, |event| event.data.to_vec())?;
        let causes = events.iter().map(|event| headers(&event.cause));
        let causes = self.add(causes.collect::<Result<Vec<String>, _>>()?)?;
        let sql = format!(
            "INSERT INTO log ({EVENT_COLUMNS})
             SELECT e.id, e.type, e.aggregate, e.version, e.at, e.payload, e.headers
             FROM unnest(${ids}, ${types}, ${subjects}, ${versions}, ${ats}, ${payloads}, ${causes})
             AS e ({EVENT_COLUMNS})"
        );
        self.part("_append", sql);
        Ok(())
    }

    /// Adds one column of rows as an array and returns its number.
    fn column<R, T>(&mut self, rows: &[R], value: impl Fn(&R) -> T) -> Result<usize, StoreError>
    where
        Vec<T>: for<'v> Encode<'v, sqlx::Postgres> + Type<sqlx::Postgres>,
    {
        let column: Vec<T> = rows.iter().map(value).collect();
        self.add(column)
    }

    /// The statement. It fails if a guard has not changed one row.
    pub(super) fn finish(mut self) -> Statement {
        let guarded = !self.guards.is_empty();
        let sql = if self.parts.len() == 1 && self.writes == 1 {
            self.parts.pop().map(|(_, sql)| sql).unwrap_or_default()
        } else {
            let count = |part: &String| format!("(SELECT count(*) FROM {part})");
            let guards: Vec<String> = self.guards.iter().map(count).collect();
            let check = if guarded {
                format!("SELECT 1 / ({})", guards.join(" * "))
            } else {
                "SELECT 1".to_owned()
            };
            let parts = self.parts.into_iter();
            let parts: Vec<String> = parts
                .map(|(name, sql)| format!("{name} AS ({sql})"))
                .collect();
            format!("WITH {} {check}", parts.join(", "))
        };
        Statement {
            sql,
            args: self.args,
            guarded,
        }
    }
}

/// Replaces the parameters `$1`, `$2`, … of an SQL text. A `$` has no other use in the texts of writes.
fn with_parameters(sql: &str, parameter: impl Fn(usize) -> String) -> String {
    let mut parts = sql.split('$');
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        replaced.push_str(&parameter(number.parse().unwrap_or(0)));
        replaced.push_str(rest);
    }
    replaced
}
