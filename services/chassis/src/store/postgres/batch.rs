//! Groups deferred writes into few statements.
//!
//! Writes of one group become one data-modifying `WITH`. Its parts see the tables as they were before it and do not see
//! each other, so a write goes into a later group than the last one that it conflicts with, and otherwise into the first.

use std::collections::HashSet;

use crate::store::{
    error::StoreError,
    postgres::{
        cursor_move::CursorMove,
        statement::{Statement, With},
    },
    row::Value,
    transaction::AggregateChange,
    write::{Form, Write},
};

/// The most updates of aggregates in one statement: each is a part of its own.
const UPDATES: usize = 8;

/// A write that was not sent yet.
#[derive(Debug)]
pub(super) enum Deferred {
    Change(AggregateChange),
    Cursor(CursorMove),
    Write(&'static Write, Vec<Value>),
}

/// As few statements as possible, in an order that keeps conflicting writes in theirs.
pub(super) fn batches(deferred: Vec<Deferred>) -> Result<Vec<Statement>, StoreError> {
    let mut groups: Vec<Group> = Vec::new();
    for next in deferred {
        let last = groups.iter().rposition(|group| group.conflicts_with(&next));
        let index = last.map_or(0, |last| last + 1);
        if groups.len() == index {
            groups.push(Group::default());
        }
        if let Some(group) = groups.get_mut(index) {
            group.add(next);
        }
    }
    groups.into_iter().map(Group::statement).collect()
}

/// A write and all rows of arguments that it is sent with.
struct Part {
    write: &'static Write,
    rows: Vec<Vec<Value>>,
    /// The keys of the rows.
    keys: HashSet<String>,
}

impl Part {
    /// Whether a row of a write can be sent in the same part: it is the same write, and the row has another key.
    fn accepts(&self, write: &Write, row: &[Value]) -> bool {
        let is_row = matches!(write.form, Form::Row(_));
        is_row && self.write == write && key(write, row).is_none_or(|key| !self.keys.contains(&key))
    }

    fn add(&mut self, row: Vec<Value>) {
        self.keys.extend(key(self.write, &row));
        self.rows.push(row);
    }
}

/// The key of a row; none if every row is a new one.
fn key(write: &Write, row: &[Value]) -> Option<String> {
    let Form::Row(form) = &write.form else {
        return None;
    };
    let values = form
        .key
        .iter()
        .map(|number| row.get(number.wrapping_sub(1)));
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then(|| format!("{values:?}"))
}

/// Writes that are sent in one statement.
#[derive(Default)]
struct Group {
    changes: Vec<AggregateChange>,
    cursors: Vec<CursorMove>,
    writes: Vec<Part>,
    aggregates: HashSet<(&'static str, String)>,
    /// How many changes are of aggregates that existed before.
    updates: usize,
    claims: bool,
    releases: bool,
}

impl Group {
    /// Whether a write cannot be sent with the group. Declared writes only touch read models.
    fn conflicts_with(&self, next: &Deferred) -> bool {
        match next {
            Deferred::Change(change) => {
                (self.releases && !change.claimed.is_empty())
                    || (self.claims && change.released.is_some())
                    || (change.expected_version > 0 && self.updates == UPDATES)
                    || self.aggregates.contains(&(change.kind, change.id.clone()))
            }
            Deferred::Cursor(_) => !self.cursors.is_empty(),
            Deferred::Write(write, row) => self
                .writes
                .iter()
                .any(|other| other.write.conflicts_with(write) && !other.accepts(write, row)),
        }
    }

    fn add(&mut self, next: Deferred) {
        match next {
            Deferred::Change(change) => {
                self.aggregates.insert((change.kind, change.id.clone()));
                self.updates += usize::from(change.expected_version > 0);
                self.claims |= !change.claimed.is_empty();
                self.releases |= change.released.is_some();
                self.changes.push(change);
            }
            Deferred::Cursor(cursor) => self.cursors.push(cursor),
            Deferred::Write(write, row) => {
                let same = self.writes.iter_mut().find(|other| other.write == write);
                if let Some(same) = same {
                    same.add(row);
                } else {
                    let (rows, keys) = (Vec::new(), HashSet::new());
                    let mut new = Part { write, rows, keys };
                    new.add(row);
                    self.writes.push(new);
                }
            }
        }
    }

    fn statement(self) -> Result<Statement, StoreError> {
        let mut with = With::default();
        for cursor in self.cursors {
            with.cursor(&cursor)?;
        }
        with.changes(self.changes)?;
        for Part { write, rows, .. } in self.writes {
            with.write(write, rows)?;
        }
        Ok(with.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    const A: Write = Write::insert("a", "id", "$1");
    const B: Write = Write::statement("b", "UPDATE b SET c = 1 WHERE id = $1");

    fn write(write: &'static Write) -> Deferred {
        Deferred::Write(write, args!["x"])
    }

    fn change(id: &str) -> AggregateChange {
        AggregateChange {
            kind: "room",
            id: id.to_owned(),
            expected_version: 0,
            version: 1,
            state: "{}".to_owned(),
            due: None,
            at: crate::Timestamp::UNIX_EPOCH,
            released: None,
            claimed: Vec::new(),
            events: Vec::new(),
        }
    }

    fn sql(deferred: Vec<Deferred>) -> Vec<String> {
        let statements = batches(deferred).unwrap();
        statements.into_iter().map(|sent| sent.sql).collect()
    }

    fn count(changes: Vec<AggregateChange>) -> usize {
        sql(changes.into_iter().map(Deferred::Change).collect()).len()
    }

    #[test]
    fn writes_of_different_tables_are_one_statement() {
        assert_eq!(
            sql(vec![write(&A), write(&B)]),
            ["WITH _write0 AS (INSERT INTO a (id) VALUES ($1)), \
                 _write1 AS (UPDATE b SET c = 1 WHERE id = $2) SELECT 1"]
        );
        assert_eq!(sql(vec![]), Vec::<String>::new());
    }

    #[test]
    fn conflicting_writes_keep_their_order() {
        const UPDATE: Write = Write::statement("a", "UPDATE a SET c = $1");
        const READ: Write =
            Write::statement("b", "DELETE FROM b WHERE id IN (SELECT id FROM a)").reading(&["a"]);
        for other in [&UPDATE, &READ] {
            let (first, second) = (A.sql(), other.sql());
            assert_eq!(sql(vec![write(&A), write(other)]), [&*first, &*second]);
            assert_eq!(sql(vec![write(other), write(&A)]), [&*second, &*first]);
        }
        // A write without a conflict joins the first statement.
        assert_eq!(sql(vec![write(&A), write(&UPDATE), write(&B)]).len(), 2);
        // A write goes after the last one that it conflicts with.
        assert_eq!(sql(vec![write(&UPDATE), write(&B), write(&B)]).len(), 2);
    }

    #[test]
    fn rows_with_different_keys_are_one_insert() {
        const NEW: Write = Write::insert("a", "id, n, at", "$1, 1, $2");
        const PUT: Write = Write::upsert(
            "a",
            "g, id",
            "COALESCE($1, (SELECT live FROM g)), $2",
            &[2],
            "(g, id) DO UPDATE SET n = a.n + 1",
        );
        let new = |id: &str| Deferred::Write(&NEW, args![id, 3]);
        let put = |id: &str| Deferred::Write(&PUT, args![7, id]);
        assert_eq!(
            sql(vec![new("x")]),
            ["INSERT INTO a (id, n, at) VALUES ($1, 1, $2)"]
        );
        assert_eq!(
            sql(vec![new("x"), new("x"), new("z")]),
            ["INSERT INTO a (id, n, at) SELECT v.c1, 1, v.c2 FROM unnest($1, $2) AS v (c1, c2)"]
        );
        assert_eq!(
            sql(vec![put("x"), put("y"), put("x"), put("z")]),
            [
                "INSERT INTO a (g, id) SELECT COALESCE(v.c1, (SELECT live FROM g)), v.c2 \
                 FROM unnest($1, $2) AS v (c1, c2) ON CONFLICT (g, id) DO UPDATE SET n = a.n + 1",
                &*PUT.sql()
            ]
        );
    }

    #[test]
    fn changes_of_different_aggregates_are_one_statement() {
        assert_eq!(count(vec![change("a"), change("b"), change("c")]), 1);
        assert_eq!(count(vec![change("a"), change("b"), change("a")]), 2);
    }

    #[test]
    fn a_claim_is_released_before_it_is_claimed_again() {
        let claim = || vec![("night".to_owned(), "1".to_owned())];
        let (mut release, mut hold) = (change("a"), change("b"));
        release.released = Some(Vec::new());
        hold.claimed = claim();
        assert_eq!(count(vec![release.clone(), hold.clone()]), 2);
        assert_eq!(count(vec![hold, release]), 2);
    }
}
