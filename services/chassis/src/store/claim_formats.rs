//! The formats of claims. A store keeps the version of each kind's format. If a program has another version, the claims of
//! the kind are made anew from its states, in one transaction: otherwise old claims would neither be seen nor released, and
//! what is sold could be sold again.

use std::fmt;

use crate::{
    args,
    domain::aggregate::{Aggregate, Claims},
    store::{
        aggregates::{self, versioned},
        claims,
        connection::Conn,
        error::StoreError,
        row::{Row, Value},
        transaction::owner,
    },
};

/// The version of a kind that the store has no row for.
const FIRST: i64 = 1;
/// Number of aggregates that are read at once.
const PAGE: i64 = 500;
/// Number of claims that are inserted or deleted at once.
const CHUNK: usize = 500;

/// The format of the claims of one kind of aggregate.
#[derive(Clone, Copy)]
pub struct ClaimFormat {
    kind: &'static str,
    version: i64,
    claims: fn(&Row) -> Result<Claims, StoreError>,
}

impl fmt::Debug for ClaimFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claims of {}, version {}", self.kind, self.version)
    }
}

impl ClaimFormat {
    /// The format of an aggregate.
    pub fn of<A: Aggregate>() -> Self {
        Self {
            kind: A::KIND,
            version: A::CLAIMS_VERSION,
            claims: |row| Ok(versioned::<A>(row, 1)?.state.claims()),
        }
    }

    /// The version in the store.
    async fn stored(&self, conn: &mut dyn Conn) -> Result<i64, StoreError> {
        let sql = "SELECT version FROM claim_format WHERE kind = $1";
        let rows = conn.query(sql, args![self.kind]).await?;
        rows.first().map_or(Ok(FIRST), |row| row.int(0))
    }

    /// Claims anew. Fails if two aggregates would hold the same key.
    async fn renew(&self, conn: &mut dyn Conn) -> Result<(), StoreError> {
        while claims::release_some(conn, self.kind, CHUNK).await? {}
        let mut after = String::new();
        loop {
            let page = aggregates::page(conn, self.kind, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            last.text(0)?.clone_into(&mut after);
            let mut all = Vec::new();
            for row in page {
                let owner = owner(self.kind, row.text(0)?);
                let held = (self.claims)(&row)?;
                let held = held.iter();
                all.extend(held.map(|(scope, key)| args![scope, key, &*owner]));
            }
            for chunk in all.chunks(CHUNK) {
                self.claim(conn, chunk).await?;
            }
        }
        let sql = "INSERT INTO claim_format (kind, version) VALUES ($1, $2)
                   ON CONFLICT (kind) DO UPDATE SET version = excluded.version";
        conn.execute(sql, args![self.kind, self.version]).await?;
        Ok(())
    }

    async fn claim(&self, conn: &mut dyn Conn, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        let Some((key, holder, other)) = claims::claim_all(conn, rows).await? else {
            return Ok(());
        };
        let kind = self.kind;
        Err(StoreError::Claims(format!(
            "the claims of {kind} cannot be made anew: {key} would be held by {holder} and by {other}"
        )))
    }
}

/// The formats whose versions are not those of the store, each with the version of the store.
async fn outdated(
    conn: &mut dyn Conn,
    formats: &[ClaimFormat],
) -> Result<Vec<(ClaimFormat, i64)>, StoreError> {
    let mut outdated = Vec::new();
    for format in formats {
        let stored = format.stored(conn).await?;
        if stored != format.version {
            outdated.push((*format, stored));
        }
    }
    Ok(outdated)
}

/// Why a program with these formats must not use the store, if it must not.
pub(crate) async fn mismatch(
    conn: &mut dyn Conn,
    formats: &[ClaimFormat],
) -> Result<Option<String>, StoreError> {
    let outdated = outdated(conn, formats).await?;
    let first = outdated.first();
    Ok(first.map(|(ClaimFormat { kind, version, .. }, stored)| {
        format!("the claims of {kind} have version {stored}, this program has version {version}")
    }))
}

/// Claims anew for the kinds whose formats have other versions than the store. Returns these kinds.
pub(crate) async fn renew(
    conn: &mut dyn Conn,
    formats: &[ClaimFormat],
) -> Result<Vec<&'static str>, StoreError> {
    let outdated = outdated(conn, formats).await?;
    for (format, _) in &outdated {
        format.renew(conn).await?;
    }
    Ok(outdated.iter().map(|(format, _)| format.kind).collect())
}
