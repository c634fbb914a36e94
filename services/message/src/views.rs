//! Read models: the inbox, and the e-mail addresses of the members.

use berth::{
    member::v1::{Member, MemberJoined, MemberModified},
    message::v1::{MessageRead, MessageWritten},
};
use chassis::{
    MemberId, Received, ReservationId, Store, StoreError, Views, args,
    store::{Conn, Migration, Value, Write},
};

use crate::domain::MessageId;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_inbox",
    sql: include_str!("../migrations/0001_inbox.sql"),
}];

const ADD_MESSAGE: Write = Write::insert(
    "inbox",
    "message_id, recipient_id, reservation_id, unread, created_at",
    "$1, $2, $3, 1, $4",
);
const MARK_READ: Write =
    Write::statement("inbox", "UPDATE inbox SET unread = 0 WHERE message_id = $1");
const PUT_ADDRESS: Write = Write::upsert(
    "address",
    "member_id, email, version",
    "$1, $2, $3",
    &[1],
    "(member_id) DO UPDATE SET email = excluded.email, version = excluded.version
     WHERE address.version < excluded.version",
);

pub(crate) fn list() -> Views {
    Views::new()
        .on(message_written)
        .on(message_read)
        .on(member_joined)
        .on(member_modified)
}

async fn message_written(
    conn: &mut dyn Conn,
    received: Received<MessageWritten>,
) -> Result<(), StoreError> {
    let message = received.event.message.unwrap_or_default();
    let values = args![
        message.message_id,
        message.recipient_id,
        message.reservation_id,
        received.at
    ];
    conn.write(&ADD_MESSAGE, values).await
}

async fn message_read(
    conn: &mut dyn Conn,
    received: Received<MessageRead>,
) -> Result<(), StoreError> {
    conn.write(&MARK_READ, args![received.subject]).await
}

async fn member_joined(
    conn: &mut dyn Conn,
    received: Received<MemberJoined>,
) -> Result<(), StoreError> {
    note_address(conn, received.event.member.unwrap_or_default()).await
}

async fn member_modified(
    conn: &mut dyn Conn,
    received: Received<MemberModified>,
) -> Result<(), StoreError> {
    note_address(conn, received.event.member.unwrap_or_default()).await
}

async fn note_address(conn: &mut dyn Conn, member: Member) -> Result<(), StoreError> {
    let values = args![member.member_id, member.email, member.version];
    conn.write(&PUT_ADDRESS, values).await
}

/// The e-mail address of a member, if known.
pub(crate) async fn address(store: &Store, member: MemberId) -> Result<Option<String>, StoreError> {
    let rows = store
        .read(move |conn| {
            let sql = "SELECT email FROM address WHERE member_id = $1 AND email <> ''";
            Box::pin(async move { conn.query(sql, args![member.to_string()]).await })
        })
        .await?;
    rows.first()
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()
}

/// The filter and the page of an inbox.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    pub(crate) recipient: MemberId,
    pub(crate) reservation: Option<ReservationId>,
    pub(crate) unread_only: bool,
    /// Only messages before this position: the time of writing, and the id.
    pub(crate) before: Option<(i64, MessageId)>,
    pub(crate) limit: i64,
}

/// Messages in an inbox, newest first.
pub(crate) async fn inbox(store: &Store, inbox: Inbox) -> Result<Vec<MessageId>, StoreError> {
    let mut values: Vec<Value> = args![inbox.recipient.to_string(), inbox.limit];
    let mut only = vec!["recipient_id = $1".to_owned()];
    if let Some(reservation) = inbox.reservation {
        values.push(reservation.to_string().into());
        only.push(format!("reservation_id = ${}", values.len()));
    }
    if inbox.unread_only {
        only.push("unread = 1".to_owned());
    }
    if let Some((at, id)) = inbox.before {
        values.extend(args![at, id.to_string()]);
        let (at, id) = (values.len() - 1, values.len());
        only.push(format!("(created_at, message_id) < (${at}, ${id})"));
    }
    let sql = format!(
        "SELECT message_id FROM inbox WHERE {} ORDER BY created_at DESC, message_id DESC LIMIT $2",
        only.join(" AND ")
    );
    let rows = store
        .read(move |conn| Box::pin(async move { conn.query(&sql, values).await }))
        .await?;
    rows.iter()
        .map(|row| {
            row.text(0)?
                .parse()
                .map_err(|_| StoreError::Bug("the inbox holds an invalid id".into()))
        })
        .collect()
}
