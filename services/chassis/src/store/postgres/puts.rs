//! Statements that put one row, and how they put many.

use crate::store::Value;

/// `INSERT INTO … VALUES (…)`, perhaps with an `ON CONFLICT (…) DO …` that takes no values of its own.
#[derive(Debug)]
pub(super) struct Puts {
    head: String,
    row: String,
    tail: String,
    /// Where the values are that tell rows apart: none if every row is new, or nobody can say.
    key: Option<Vec<usize>>,
}

impl Puts {
    /// Reads a statement; none if it is something else.
    pub(super) fn by(sql: &str) -> Option<Self> {
        let (head, rest) = sql.split_once("VALUES")?;
        let rest = rest.trim_start().strip_prefix('(')?;
        let (row, tail) = rest.split_at(end(rest)?);
        let tail = tail.strip_prefix(')')?.trim();
        let is_more = tail.contains('$') || tail.contains("RETURNING") || tail.contains("VALUES");
        if !head.trim_start().starts_with("INSERT INTO") || is_more {
            return None;
        }
        let key = if tail.is_empty() {
            None
        } else {
            Some(key(head, row, tail)?)
        };
        Some(Self {
            head: head.trim_end().to_owned(),
            row: row.to_owned(),
            tail: tail.to_owned(),
            key,
        })
    }

    /// What it makes its row of.
    pub(super) fn row(&self) -> &str {
        &self.row
    }

    /// What tells a row apart, if it may be there.
    pub(super) fn key(&self, values: &[Value]) -> Option<String> {
        let places = self.key.as_ref()?;
        let key: Vec<_> = places.iter().map(|at| values.get(*at)).collect();
        Some(format!("{key:?}"))
    }

    /// The statement for many rows: its values come from arrays, which begin after `before`.
    pub(super) fn many(&self, width: usize, before: usize) -> String {
        let list = |one: &dyn Fn(usize) -> String| -> String {
            let all: Vec<String> = (1..=width).map(one).collect();
            all.join(", ")
        };
        let row = placed(&self.row, |place| format!("v.c{place}"));
        let arrays = list(&|place| format!("${}", place + before));
        let columns = list(&|place| format!("c{place}"));
        let (head, tail) = (&self.head, &self.tail);
        let many = format!("{head} SELECT {row} FROM unnest({arrays}) AS v ({columns}) {tail}");
        many.trim_end().to_owned()
    }
}

/// Where the values are of the columns on which a statement may meet a row. A column that is given otherwise may be the
/// same in all rows.
fn key(head: &str, row: &str, tail: &str) -> Option<Vec<usize>> {
    let (_, columns) = head.trim_end().strip_suffix(')')?.split_once('(')?;
    let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
    let values = parts(row);
    let target = tail.strip_prefix("ON CONFLICT")?.trim_start();
    let (target, _) = target.strip_prefix('(')?.split_once(')')?;
    let mut key = Vec::new();
    for name in target.split(',').map(str::trim) {
        let at = columns.iter().position(|column| *column == name)?;
        let place = values.get(at)?.trim().strip_prefix('$');
        key.extend(place.and_then(|place| place.parse::<usize>().ok()?.checked_sub(1)));
    }
    (!key.is_empty()).then_some(key)
}

/// Where a parenthesis ends that has begun.
fn end(sql: &str) -> Option<usize> {
    let mut depth = 0;
    walk(sql).find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// The parts of a list.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in walk(list) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(list.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(list.get(begin..));
    parts
}

/// The characters outside quotes, and where they are.
fn walk(sql: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quoted = false;
    sql.char_indices().filter(move |(_, c)| {
        quoted ^= *c == '\'';
        !quoted
    })
}

/// A statement in which something else stands for `$1`, `$2`, …
pub(super) fn placed(sql: &str, put: impl Fn(usize) -> String) -> String {
    let mut placed = String::with_capacity(sql.len() + 16);
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        quoted ^= c == '\'';
        if c != '$' || quoted {
            placed.push(c);
            continue;
        }
        let mut place = 0;
        while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
            place = place * 10 + digit as usize;
            rest.next();
        }
        placed.push_str(&put(place));
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn what_puts_a_row_says_which() {
        let sql =
            "INSERT INTO a (g, id, n, at) VALUES (COALESCE($1, (SELECT live FROM g)), $2, ')', $3)
                   ON CONFLICT (g, id) DO UPDATE SET n = a.n + 1, at = excluded.at";
        let puts = Puts::by(sql).unwrap();
        // The generation may be the same in all.
        let key = |values: Vec<Value>| puts.key(&values);
        assert_eq!(key(args![7, "x", 3]), key(args![8, "x", 4]));
        assert_ne!(key(args![7, "x", 3]), key(args![7, "y", 3]));
        assert_eq!(
            puts.many(3, 2),
            "INSERT INTO a (g, id, n, at) SELECT COALESCE(v.c1, (SELECT live FROM g)), v.c2, ')', v.c3 \
             FROM unnest($3, $4, $5) AS v (c1, c2, c3) \
             ON CONFLICT (g, id) DO UPDATE SET n = a.n + 1, at = excluded.at"
        );
        let new = Puts::by("INSERT INTO a (id) VALUES ($1)").unwrap();
        assert_eq!(new.key(&[Value::from("x")]), None);
    }

    #[test]
    fn what_does_more_or_cannot_be_told_apart_is_left_alone() {
        for sql in [
            "UPDATE a SET n = $1",
            "INSERT INTO a (id) SELECT $1",
            "INSERT INTO a (id) VALUES ($1) RETURNING id",
            "INSERT INTO a (id) VALUES ($1), ($2)",
            "INSERT INTO a (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = $2",
            "INSERT INTO a (id) VALUES ($1) ON CONFLICT DO NOTHING",
            "INSERT INTO a (id, n) VALUES (lower($1), $2) ON CONFLICT (id) DO NOTHING",
        ] {
            assert!(Puts::by(sql).is_none(), "{sql}");
        }
    }
}
