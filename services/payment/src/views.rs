//! Read models: the list of payments, and the ledger.
//!
//! The ledger is kept in double entry. A charge moves money from the guest to the provider and a refund moves it back;
//! when a reservation is over, the amount that is left moves from the provider to the host.

use berth::{
    payment::v1::{Payment, PaymentApproved, PaymentCancelled, PaymentDeclined, PaymentDelayed},
    reservation::v1::{Reservation, ReservationCancelled, ReservationCompleted},
};
use chassis::{
    MemberId, Money, Received, StoreError, Timestamp, Views, args,
    base::time,
    store::{Conn, Migration, Write},
};

use crate::domain::PaymentId;

/// The tables.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views",
    sql: include_str!("../migrations/0001_views.sql"),
}];

const ADD_PAYMENT: Write = Write::upsert(
    "payment_list",
    "payment_id, customer_id, created_at",
    "$1, $2, $3",
    &[1],
    "(payment_id) DO NOTHING",
);
/// Both entries of a movement of money, numbered after the earlier entries of the payment.
const ADD_ENTRIES: Write = Write::statement(
    "ledger",
    "INSERT INTO ledger (payment_id, entry, kind, account, currency, minor, at)
     SELECT $1, COUNT(*) + 1, $2, $3, $4, $5, $6 FROM ledger WHERE payment_id = $1
     UNION ALL SELECT $1, COUNT(*) + 2, $7, $8, $4, $9, $6 FROM ledger WHERE payment_id = $1",
);

pub(crate) fn list() -> Views {
    Views::new()
        .on(list_delayed)
        .on(list_approved)
        .on(list_declined)
        .on(enter_charge)
        .on(enter_refund)
        .on(enter_stay_over)
        .on(enter_stay_cancelled)
}

/// The owner of the listed payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One member's.
    Member(MemberId),
    /// Everybody's.
    All,
}

/// A position in the list, newest first: the time of the request, and the payment.
pub(crate) type Position = (Timestamp, PaymentId);

/// A movement on an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) account: String,
    pub(crate) amount: Money,
    pub(crate) at: Timestamp,
}

/// The accounts of the ledger.
enum Account<'a> {
    Guest(&'a str),
    Provider,
    Host(&'a str),
}

impl Account<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Guest(_) => "guest",
            Self::Provider => "provider",
            Self::Host(_) => "host",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Guest(id) | Self::Host(id) => format!("{}/{id}", self.kind()),
            Self::Provider => self.kind().to_owned(),
        }
    }
}

/// At most `limit` payments after a position.
pub(crate) async fn payments(
    conn: &mut dyn Conn,
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Position>, StoreError> {
    let (at, id) = after.map_or((i64::MAX, String::new()), |(at, id)| {
        (time::to_micros(at), id.to_string())
    });
    let rows = match whose {
        Whose::Member(member) => {
            let sql = "SELECT created_at, payment_id FROM payment_list
                WHERE customer_id = $1 AND (created_at < $2 OR (created_at = $2 AND payment_id < $3))
                ORDER BY created_at DESC, payment_id DESC LIMIT $4";
            let args = args![member.to_string(), at, id, limit];
            conn.query(sql, args).await?
        }
        Whose::All => {
            let sql = "SELECT created_at, payment_id FROM payment_list
                WHERE created_at < $1 OR (created_at = $1 AND payment_id < $2)
                ORDER BY created_at DESC, payment_id DESC LIMIT $3";
            conn.query(sql, args![at, id, limit]).await?
        }
    };
    rows.iter()
        .map(|row| {
            let id = row.text(1)?.parse();
            Ok((
                row.time(0)?,
                id.map_err(|_| bug("a view holds an invalid id"))?,
            ))
        })
        .collect()
}

/// The balance of every kind of account and currency.
pub(crate) async fn balances(conn: &mut dyn Conn) -> Result<Vec<(String, Money)>, StoreError> {
    let sql = "SELECT kind, currency, CAST(SUM(minor) AS BIGINT) FROM ledger
        GROUP BY kind, currency ORDER BY currency, kind";
    let rows = conn.query(sql, args![]).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?.to_owned(), money(row.text(1)?, row.int(2)?)?)))
        .collect()
}

/// The entries of a payment, oldest first.
pub(crate) async fn entries(conn: &mut dyn Conn, id: PaymentId) -> Result<Vec<Entry>, StoreError> {
    let sql =
        "SELECT account, currency, minor, at FROM ledger WHERE payment_id = $1 ORDER BY entry";
    let rows = conn.query(sql, args![id.to_string()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                account: row.text(0)?.to_owned(),
                amount: money(row.text(1)?, row.int(2)?)?,
                at: row.time(3)?,
            })
        })
        .collect()
}

async fn list_delayed(
    conn: &mut dyn Conn,
    received: Received<PaymentDelayed>,
) -> Result<(), StoreError> {
    put(conn, &given(received.event.payment)?).await
}

async fn list_approved(
    conn: &mut dyn Conn,
    received: Received<PaymentApproved>,
) -> Result<(), StoreError> {
    put(conn, &given(received.event.payment)?).await
}

async fn list_declined(
    conn: &mut dyn Conn,
    received: Received<PaymentDeclined>,
) -> Result<(), StoreError> {
    put(conn, &given(received.event.payment)?).await
}

async fn put(conn: &mut dyn Conn, payment: &Payment) -> Result<(), StoreError> {
    let created = payment.create_time.as_ref().and_then(time::from_proto);
    let args = args![
        payment.payment_id.as_str(),
        payment.customer_id.as_str(),
        created.ok_or_else(|| bug("the event has no create_time"))?
    ];
    conn.write(&ADD_PAYMENT, args).await
}

async fn enter_charge(
    conn: &mut dyn Conn,
    received: Received<PaymentApproved>,
) -> Result<(), StoreError> {
    let payment = given(received.event.payment)?;
    let amount = amount(payment.amount.as_ref())?;
    let guest = Account::Guest(&payment.customer_id);
    let moved = (guest, Account::Provider, amount);
    enter(conn, &payment.payment_id, moved, received.at).await
}

async fn enter_refund(
    conn: &mut dyn Conn,
    received: Received<PaymentCancelled>,
) -> Result<(), StoreError> {
    let payment = given(received.event.payment)?;
    let amount = amount(received.event.refund.as_ref())?;
    let guest = Account::Guest(&payment.customer_id);
    let moved = (Account::Provider, guest, amount);
    enter(conn, &payment.payment_id, moved, received.at).await
}

async fn enter_stay_over(
    conn: &mut dyn Conn,
    received: Received<ReservationCompleted>,
) -> Result<(), StoreError> {
    enter_for_host(conn, received.event.reservation, received.at).await
}

async fn enter_stay_cancelled(
    conn: &mut dyn Conn,
    received: Received<ReservationCancelled>,
) -> Result<(), StoreError> {
    enter_for_host(conn, received.event.reservation, received.at).await
}

/// A reservation that is over is not refunded any more: what is left belongs to the host.
async fn enter_for_host(
    conn: &mut dyn Conn,
    reservation: Option<Reservation>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(reservation) = reservation else {
        return Ok(());
    };
    let sql = "SELECT currency, CAST(SUM(minor) AS BIGINT) FROM ledger
        WHERE payment_id = $1 AND kind = 'provider' GROUP BY currency";
    let payment = reservation.reservation_id;
    for row in conn.query(sql, args![payment.as_str()]).await? {
        let left = money(row.text(0)?, row.int(1)?)?;
        let host = Account::Host(&reservation.host_id);
        enter(conn, &payment, (Account::Provider, host, left), at).await?;
    }
    Ok(())
}

/// Moves money from one account to another. Both entries or none, so the sum over all is zero.
async fn enter(
    conn: &mut dyn Conn,
    payment: &str,
    (from, to, amount): (Account<'_>, Account<'_>, Money),
    at: Timestamp,
) -> Result<(), StoreError> {
    if amount.is_zero() {
        return Ok(());
    }
    let args = args![
        payment,
        from.kind(),
        from.name(),
        amount.currency.code(),
        amount.minor.saturating_neg(),
        at,
        to.kind(),
        to.name(),
        amount.minor
    ];
    conn.write(&ADD_ENTRIES, args).await
}

fn given(payment: Option<Payment>) -> Result<Payment, StoreError> {
    payment.ok_or_else(|| bug("the event has no payment"))
}

fn amount(money: Option<&berth::google::r#type::Money>) -> Result<Money, StoreError> {
    money
        .and_then(|money| Money::try_from(money).ok())
        .ok_or_else(|| bug("the event has no amount"))
}

fn money(currency: &str, minor: i64) -> Result<Money, StoreError> {
    let currency = currency
        .parse()
        .map_err(|_| bug("a view holds an invalid currency"))?;
    Ok(Money::new(currency, minor))
}

fn bug(what: &str) -> StoreError {
    StoreError::Bug(what.to_owned())
}
