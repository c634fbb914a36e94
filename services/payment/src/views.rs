//! Read models: which payments there are, and the ledger.
//!
//! The ledger is kept in double entry. A charge moves money from the guest to the provider and a refund moves it back;
//! when a reservation is over, what is left at the provider becomes the host's.

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

/// Whose payments are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One member's.
    Member(MemberId),
    /// Everybody's.
    All,
}

/// A place in a list, newest first: when a payment was asked for, and which.
pub(crate) type Place = (Timestamp, PaymentId);

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

/// At most `limit` payments after a place.
pub(crate) async fn payments(
    conn: &mut dyn Conn,
    whose: Whose,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
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
                id.map_err(|_| bug("an id in a view is none"))?,
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
    heard: Received<PaymentDelayed>,
) -> Result<(), StoreError> {
    put(conn, &given(heard.event.payment)?).await
}

async fn list_approved(
    conn: &mut dyn Conn,
    heard: Received<PaymentApproved>,
) -> Result<(), StoreError> {
    put(conn, &given(heard.event.payment)?).await
}

async fn list_declined(
    conn: &mut dyn Conn,
    heard: Received<PaymentDeclined>,
) -> Result<(), StoreError> {
    put(conn, &given(heard.event.payment)?).await
}

async fn put(conn: &mut dyn Conn, payment: &Payment) -> Result<(), StoreError> {
    let created = payment.create_time.as_ref().and_then(time::from_proto);
    let args = args![
        payment.payment_id.as_str(),
        payment.customer_id.as_str(),
        created.ok_or_else(|| bug("a payment without a time"))?
    ];
    conn.write(&ADD_PAYMENT, args).await
}

async fn enter_charge(
    conn: &mut dyn Conn,
    heard: Received<PaymentApproved>,
) -> Result<(), StoreError> {
    let payment = given(heard.event.payment)?;
    let amount = amount(payment.amount.as_ref())?;
    let guest = Account::Guest(&payment.customer_id);
    let moved = (guest, Account::Provider, amount);
    enter(conn, &payment.payment_id, moved, heard.at).await
}

async fn enter_refund(
    conn: &mut dyn Conn,
    heard: Received<PaymentCancelled>,
) -> Result<(), StoreError> {
    let payment = given(heard.event.payment)?;
    let amount = amount(heard.event.refund.as_ref())?;
    let guest = Account::Guest(&payment.customer_id);
    let moved = (Account::Provider, guest, amount);
    enter(conn, &payment.payment_id, moved, heard.at).await
}

async fn enter_stay_over(
    conn: &mut dyn Conn,
    heard: Received<ReservationCompleted>,
) -> Result<(), StoreError> {
    enter_for_host(conn, heard.event.reservation, heard.at).await
}

async fn enter_stay_cancelled(
    conn: &mut dyn Conn,
    heard: Received<ReservationCancelled>,
) -> Result<(), StoreError> {
    enter_for_host(conn, heard.event.reservation, heard.at).await
}

/// Nothing of a reservation that is over will be refunded: what is left is the host's.
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
    payment.ok_or_else(|| bug("an event without its payment"))
}

fn amount(money: Option<&berth::google::r#type::Money>) -> Result<Money, StoreError> {
    money
        .and_then(|money| Money::try_from(money).ok())
        .ok_or_else(|| bug("an event without its amount"))
}

fn money(currency: &str, minor: i64) -> Result<Money, StoreError> {
    let currency = currency
        .parse()
        .map_err(|_| bug("a currency in a view is none"))?;
    Ok(Money::new(currency, minor))
}

fn bug(what: &str) -> StoreError {
    StoreError::Bug(what.to_owned())
}
