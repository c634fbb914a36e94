//! How statements that wait to be sent become few: what does not meet in a table travels as one data-modifying `WITH`, and
//! what does the same to many rows does it once.
//!
//! The parts of such a statement see the tables as they were before it and do not see each other. So what writes a table
//! that another part mentions goes into a later statement; all else goes as early as it may.

use std::collections::HashSet;

use crate::store::postgres::{
    puts::Puts,
    with::{Statement, With},
};
use crate::store::{
    StoreError, Value,
    work::{Batch, Step},
};

/// How many steps of aggregates that were there before travel together: each is a part of the statement.
const OLD_STEPS: usize = 8;

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
    pub(super) consumer: String,
    pub(super) producer: String,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl From<Batch<'_>> for Move {
    fn from(batch: Batch<'_>) -> Self {
        Self {
            consumer: batch.consumer.to_owned(),
            producer: batch.producer.to_owned(),
            from: batch.from,
            to: batch.to,
        }
    }
}

/// Makes statements of what waits, as few as can be.
pub(super) fn plan(pending: Vec<Pending>) -> Result<Vec<Statement>, StoreError> {
    let mut groups: Vec<Group> = Vec::new();
    for next in pending {
        let next = Member::of(next);
        // After the last that it meets.
        let met = groups.iter().rposition(|group| group.meets(&next));
        let place = met.map_or(0, |met| met + 1);
        if groups.len() == place {
            groups.push(Group::default());
        }
        if let Some(group) = groups.get_mut(place) {
            group.add(next);
        }
    }
    groups.into_iter().map(Group::finish).collect()
}

/// Something that wants to travel.
enum Member {
    Step(Step),
    Cursor(Move),
    Write(Many),
}

impl Member {
    fn of(pending: Pending) -> Self {
        match pending {
            Pending::Step(step) => Self::Step(step),
            Pending::Cursor(cursor) => Self::Cursor(cursor),
            Pending::Write(sql, values) => Self::Write(Many::of(sql, values)),
        }
    }
}

/// A statement, and the values for which it is to be run.
#[derive(Debug)]
struct Many {
    sql: String,
    rows: Vec<Vec<Value>>,
    /// The table it writes; nobody knows if there is none.
    writes: Option<String>,
    /// All words in which it may name tables.
    words: HashSet<String>,
    /// How it puts a row, if that is all it does: then several can be put at once.
    puts: Option<Puts>,
    /// What tells the rows apart.
    keys: HashSet<String>,
}

impl Many {
    fn of(sql: String, values: Vec<Value>) -> Self {
        let words = words(&sql);
        let writes = match words.first().map(String::as_str) {
            Some("insert" | "delete") => words.get(2),
            Some("update") => words.get(1),
            _ => None,
        };
        // What depends on rows of its own table must see each of them.
        let depends = |puts: &Puts| writes.is_none_or(|own| self::words(puts.row()).contains(own));
        let puts = Puts::by(&sql).filter(|puts| !depends(puts));
        let key = puts.as_ref().and_then(|puts| puts.key(&values));
        Self {
            writes: writes.cloned(),
            words: words.into_iter().collect(),
            keys: key.into_iter().collect(),
            rows: vec![values],
            puts,
            sql,
        }
    }

    /// Whether the other writes what this one names.
    fn is_met_by(&self, other: &Self) -> bool {
        let names = |table: &String| self.words.contains(table);
        other.writes.as_ref().is_none_or(names)
    }

    fn names_any(&self, tables: &[&str]) -> bool {
        tables.iter().any(|table| self.words.contains(*table)) || self.writes.is_none()
    }

    /// Whether the other puts rows of the same kind, and none that this one puts.
    fn is_like(&self, other: &Self) -> bool {
        let types = |many: &Self| -> Vec<_> {
            let row = many.rows.first().into_iter().flatten();
            row.map(std::mem::discriminant).collect()
        };
        self.puts.is_some()
            && self.sql == other.sql
            && types(self) == types(other)
            && self.keys.is_disjoint(&other.keys)
    }

    fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.keys.extend(other.keys);
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

/// Where steps are kept.
const OF_STEPS: &[&str] = &["aggregate", "claim", "log"];

/// What travels together.
#[derive(Default)]
struct Group {
    steps: Vec<Step>,
    cursors: Vec<Move>,
    writes: Vec<Many>,
    subjects: HashSet<(&'static str, String)>,
    /// How many steps are of aggregates that were there before.
    old: usize,
    claims: bool,
    releases: bool,
}

impl Group {
    /// Whether something cannot travel with the group.
    fn meets(&self, next: &Member) -> bool {
        match next {
            Member::Step(step) => {
                let claims = !step.claimed.is_empty();
                let releases = !step.released.is_empty();
                self.writes.iter().any(|write| write.names_any(OF_STEPS))
                    || (self.releases && claims)
                    || (self.claims && releases)
                    || (step.from > 0 && self.old == OLD_STEPS)
                    || self.subjects.contains(&(step.kind, step.id.clone()))
            }
            Member::Cursor(_) => {
                !self.cursors.is_empty() || self.writes.iter().any(|one| one.names_any(&["cursor"]))
            }
            Member::Write(next) => {
                (!self.steps.is_empty() && next.names_any(OF_STEPS))
                    || (!self.cursors.is_empty() && next.names_any(&["cursor"]))
                    || self.writes.iter().any(|one| {
                        !one.is_like(next) && (next.is_met_by(one) || one.is_met_by(next))
                    })
            }
        }
    }

    fn add(&mut self, next: Member) {
        match next {
            Member::Step(step) => {
                self.subjects.insert((step.kind, step.id.clone()));
                self.old += usize::from(step.from > 0);
                self.claims |= !step.claimed.is_empty();
                self.releases |= !step.released.is_empty();
                self.steps.push(step);
            }
            Member::Cursor(cursor) => self.cursors.push(cursor),
            Member::Write(next) => match self.writes.iter_mut().find(|one| one.is_like(&next)) {
                Some(like) => like.extend(next),
                None => self.writes.push(next),
            },
        }
    }

    fn finish(self) -> Result<Statement, StoreError> {
        let mut with = With::default();
        for cursor in self.cursors {
            with.cursor(cursor)?;
        }
        with.steps(self.steps)?;
        for Many { sql, rows, .. } in self.writes {
            with.write(sql, rows)?;
        }
        Ok(with.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn write(sql: &str) -> Pending {
        Pending::Write(sql.to_owned(), args!["x"])
    }

    fn step(id: &str) -> Step {
        Step {
            kind: "room",
            id: id.to_owned(),
            from: 0,
            version: 1,
            state: "{}".to_owned(),
            due: None,
            at: crate::Timestamp::UNIX_EPOCH,
            released: Vec::new(),
            claimed: Vec::new(),
            told: Vec::new(),
        }
    }

    fn sent(pending: Vec<Pending>) -> Vec<String> {
        let statements = plan(pending).unwrap();
        statements.into_iter().map(|sent| sent.sql).collect()
    }

    /// How many statements some steps make.
    fn statements(steps: Vec<Step>) -> usize {
        sent(steps.into_iter().map(Pending::Step).collect()).len()
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
            "INSERT INTO a (id) VALUES ($1) ON CONFLICT DO NOTHING",
        ] {
            assert_eq!(sent(vec![write(first), write(second)]), [first, second]);
            assert_eq!(sent(vec![write(second), write(first)]), [second, first]);
        }
        assert_eq!(sent(vec![]), Vec::<String>::new());
    }

    #[test]
    fn what_meets_nobody_goes_first() {
        let (one, two) = ("UPDATE a SET c = $1", "UPDATE a SET d = $1");
        let other = "UPDATE b SET c = $1";
        assert_eq!(
            sent(vec![write(one), write(two), write(other)]),
            [
                "WITH _write0 AS (UPDATE a SET c = $1), _write1 AS (UPDATE b SET c = $2) SELECT 1",
                two
            ]
        );
        // After what it meets, wherever that is.
        assert_eq!(
            sent(vec![write(one), write(other), write("DELETE FROM b")]).len(),
            2
        );
    }

    #[test]
    fn rows_of_one_kind_are_added_at_once() {
        let sql = "INSERT INTO a (id, n, at) VALUES ($1, 1, $2)";
        let row = |id: &str| Pending::Write(sql.to_owned(), args![id, 3]);
        assert_eq!(sent(vec![row("x")]), [sql]);
        assert_eq!(
            sent(vec![row("x"), row("y"), row("z")]),
            ["INSERT INTO a (id, n, at) SELECT v.c1, 1, v.c2 FROM unnest($1, $2) AS v (c1, c2)"]
        );
        // What changes rows that are there does so one at a time.
        let sql = "UPDATE a SET n = n + $1";
        assert_eq!(sent(vec![write(sql), write(sql)]), [sql, sql]);
        let sql = "INSERT INTO a (n) VALUES ((SELECT COUNT(*) FROM a WHERE id = $1))";
        assert_eq!(sent(vec![write(sql), write(sql)]), [sql, sql]);
        // Those that may be there are put at once if they are different ones.
        let sql =
            "INSERT INTO a (g, id) VALUES ($1, $2) ON CONFLICT (g, id) DO UPDATE SET n = a.n + 1";
        let row = |id: &str| Pending::Write(sql.to_owned(), args![7, id]);
        assert_eq!(
            sent(vec![row("x"), row("y"), row("x"), row("z")]),
            [
                "INSERT INTO a (g, id) SELECT v.c1, v.c2 FROM unnest($1, $2) AS v (c1, c2) \
                 ON CONFLICT (g, id) DO UPDATE SET n = a.n + 1",
                sql
            ]
        );
    }

    #[test]
    fn steps_of_different_aggregates_travel_together() {
        assert_eq!(statements(vec![step("a"), step("b"), step("c")]), 1);
        assert_eq!(statements(vec![step("a"), step("b"), step("a")]), 2);
    }

    #[test]
    fn what_is_released_is_claimed_later() {
        let claim = || vec![("night".to_owned(), "1".to_owned())];
        let (mut free, mut hold) = (step("a"), step("b"));
        free.released = claim();
        hold.claimed = claim();
        assert_eq!(statements(vec![free.clone(), hold.clone()]), 2);
        assert_eq!(statements(vec![hold, free]), 2);
    }
}
