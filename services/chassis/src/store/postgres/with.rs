//! A data-modifying `WITH` in the making.

use std::collections::BTreeMap;

use sqlx::{Arguments, Encode, Postgres, Type, postgres::PgArguments};

use crate::store::postgres::{
    plan::Move,
    puts::{Puts, placed},
    wire,
};
use crate::{
    base::time::to_micros,
    domain::event::Recorded,
    store::{StoreError, Value, sql, work::Step},
};

/// A statement that is ready to be sent.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) args: PgArguments,
    /// Whether it divides by zero if a version or a cursor is not where it must be.
    pub(super) guarded: bool,
}

/// The parts so far. They are named so that no table is hidden.
#[derive(Default)]
pub(super) struct With {
    parts: Vec<Part>,
    guards: Vec<String>,
    args: PgArguments,
    /// How many of the parts are statements as they were given.
    given: usize,
}

struct Part {
    name: String,
    sql: String,
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

    /// Adds a part; answers its name.
    fn part(&mut self, name: &str, sql: String) -> String {
        let name = format!("{name}{}", self.parts.len());
        self.parts.push(Part {
            name: name.clone(),
            sql,
        });
        name
    }

    /// A statement, for one row of values or for many.
    pub(super) fn write(&mut self, sql: String, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let before = self.args.len();
        let sql = if rows.len() == 1 {
            for value in rows.into_iter().flatten() {
                wire::bind(&mut self.args, value)?;
            }
            if before == 0 {
                sql
            } else {
                placed(&sql, |place| format!("${}", place + before))
            }
        } else {
            let width = rows.first().map_or(0, Vec::len);
            wire::bind_columns(&mut self.args, rows)?;
            let puts = Puts::by(&sql);
            let puts = puts.ok_or_else(|| StoreError::Bug(format!("puts no row: {sql}")))?;
            puts.many(width, before)
        };
        self.part("_write", sql);
        self.given += 1;
        Ok(())
    }

    /// The move of a cursor.
    pub(super) fn cursor(&mut self, cursor: Move) -> Result<(), StoreError> {
        let consumer = self.add(cursor.consumer)?;
        let producer = self.add(cursor.producer)?;
        let to = self.add(cursor.to)?;
        let sql = if cursor.from == 0 {
            format!(
                "INSERT INTO cursor (consumer, producer, seq)
                 VALUES (${consumer}, ${producer}, ${to})
                 ON CONFLICT (consumer, producer) DO UPDATE SET seq = excluded.seq
                 WHERE cursor.seq = 0 RETURNING 1"
            )
        } else {
            let from = self.add(cursor.from)?;
            format!(
                "UPDATE cursor SET seq = ${to} WHERE consumer = ${consumer} AND producer = ${producer}
                 AND seq = ${from} RETURNING 1"
            )
        };
        let guard = self.part("_cursor", sql);
        self.guards.push(guard);
        Ok(())
    }

    /// Steps of different aggregates.
    pub(super) fn steps(&mut self, steps: Vec<Step>) -> Result<(), StoreError> {
        let mut new = New::default();
        let mut released = BTreeMap::new();
        let mut claimed = Claimed::default();
        let mut told = Told::default();
        for step in steps {
            let owner = step.owner();
            for (scope, key) in &step.released {
                let keys: &mut Vec<String> =
                    released.entry((owner.clone(), scope.clone())).or_default();
                keys.push(key.clone());
            }
            for (scope, key) in &step.claimed {
                claimed.scopes.push(scope.clone());
                claimed.keys.push(key.clone());
                claimed.owners.push(owner.clone());
            }
            for event in &step.told {
                told.add(event)?;
            }
            if step.from == 0 {
                new.add(step);
            } else {
                self.old(step)?;
            }
        }
        self.begun(new)?;
        for ((owner, scope), keys) in released {
            let (owner, scope, keys) = (self.add(owner)?, self.add(scope)?, self.add(keys)?);
            let sql = format!(
                "DELETE FROM claim WHERE scope = ${scope} AND key = ANY(${keys}) AND owner = ${owner}"
            );
            self.part("_free", sql);
        }
        self.claimed(claimed)?;
        self.told(told)
    }

    /// A step of an aggregate that is there. It stays one that is found by its key, whatever the planner knows of others.
    fn old(&mut self, step: Step) -> Result<(), StoreError> {
        let kind = self.add(step.kind)?;
        let id = self.add(step.id)?;
        let version = self.add(step.version)?;
        let state = self.add(step.state)?;
        let due = self.add(step.due.map(to_micros))?;
        let at = self.add(to_micros(step.at))?;
        let from = self.add(step.from)?;
        let sql = format!(
            "UPDATE aggregate SET version = ${version}, state = ${state}, due_at = ${due}, updated_at = ${at}
             WHERE kind = ${kind} AND id = ${id} AND version = ${from} RETURNING 1"
        );
        let guard = self.part("_put", sql);
        self.guards.push(guard);
        Ok(())
    }

    /// Aggregates that begin. One that is there already violates the key.
    fn begun(&mut self, new: New) -> Result<(), StoreError> {
        if new.ids.is_empty() {
            return Ok(());
        }
        let kinds = self.add(new.kinds)?;
        let ids = self.add(new.ids)?;
        let versions = self.add(new.versions)?;
        let states = self.add(new.states)?;
        let dues = self.add(new.dues)?;
        let ats = self.add(new.ats)?;
        let sql = format!(
            "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
             SELECT n.kind, n.id, n.version, n.state, n.due_at, n.at, n.at
             FROM unnest(${kinds}, ${ids}, ${versions}, ${states}, ${dues}, ${ats})
             AS n (kind, id, version, state, due_at, at)"
        );
        self.part("_new", sql);
        Ok(())
    }

    /// Claims that are held from now on. One that somebody else holds violates the key.
    fn claimed(&mut self, claimed: Claimed) -> Result<(), StoreError> {
        if claimed.keys.is_empty() {
            return Ok(());
        }
        let scopes = self.add(claimed.scopes)?;
        let keys = self.add(claimed.keys)?;
        let owners = self.add(claimed.owners)?;
        let sql = format!(
            "INSERT INTO claim (scope, key, owner)
             SELECT c.scope, c.key, c.owner FROM unnest(${scopes}, ${keys}, ${owners}) AS c (scope, key, owner)"
        );
        self.part("_hold", sql);
        Ok(())
    }

    /// Records what the world is told, in its order.
    fn told(&mut self, told: Told) -> Result<(), StoreError> {
        if told.ids.is_empty() {
            return Ok(());
        }
        let subjects = self.add(told.subjects)?;
        let ids = self.add(told.ids)?;
        let types = self.add(told.types)?;
        let versions = self.add(told.versions)?;
        let ats = self.add(told.ats)?;
        let payloads = self.add(told.payloads)?;
        let headers = self.add(told.headers)?;
        let sql = format!(
            "INSERT INTO log (id, type, aggregate, version, at, payload, headers)
             SELECT e.id, e.type, e.aggregate, e.version, e.at, e.payload, e.headers
             FROM unnest(${ids}, ${types}, ${subjects}, ${versions}, ${ats}, ${payloads}, ${headers})
             AS e (id, type, aggregate, version, at, payload, headers)"
        );
        self.part("_tell", sql);
        Ok(())
    }

    /// The whole. Every guard is a part that must have changed one row.
    pub(super) fn finish(mut self) -> Statement {
        let guarded = !self.guards.is_empty();
        let sql = if self.parts.len() == 1 && self.given == 1 {
            self.parts.pop().map(|part| part.sql).unwrap_or_default()
        } else {
            let one = |part: &String| format!("(SELECT count(*) FROM {part})");
            let guards: Vec<String> = self.guards.iter().map(one).collect();
            let check = if guarded {
                format!("SELECT 1 / ({})", guards.join(" * "))
            } else {
                "SELECT 1".to_owned()
            };
            let parts = self.parts.into_iter();
            let parts: Vec<String> = parts
                .map(|Part { name, sql }| format!("{name} AS ({sql})"))
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

/// Aggregates that begin, a column at a time.
#[derive(Default)]
struct New {
    kinds: Vec<String>,
    ids: Vec<String>,
    versions: Vec<i64>,
    states: Vec<String>,
    dues: Vec<Option<i64>>,
    ats: Vec<i64>,
}

impl New {
    fn add(&mut self, step: Step) {
        self.kinds.push(step.kind.to_owned());
        self.ids.push(step.id);
        self.versions.push(step.version);
        self.states.push(step.state);
        self.dues.push(step.due.map(to_micros));
        self.ats.push(to_micros(step.at));
    }
}

/// Claims, a column at a time.
#[derive(Default)]
struct Claimed {
    scopes: Vec<String>,
    keys: Vec<String>,
    owners: Vec<String>,
}

/// Events, a column at a time.
#[derive(Default)]
struct Told {
    subjects: Vec<String>,
    ids: Vec<String>,
    types: Vec<String>,
    versions: Vec<i64>,
    ats: Vec<i64>,
    payloads: Vec<Vec<u8>>,
    headers: Vec<String>,
}

impl Told {
    fn add(&mut self, event: &Recorded) -> Result<(), StoreError> {
        self.subjects.push(event.subject.clone());
        self.headers.push(sql::headers(&event.cause)?);
        self.ids.push(event.id.clone());
        self.types.push(event.event_type.clone());
        self.versions.push(event.version);
        self.ats.push(to_micros(event.at));
        self.payloads.push(event.data.to_vec());
        Ok(())
    }
}
