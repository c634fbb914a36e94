//! How to ask for something that exists, for every rpc of the public port.
use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::{
    contracts::{access, services},
    world::{Person, WEBHOOK_SECRET, World, id, period, reservation, review, room_terms},
};

/// Whose it is that an rpc is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Nobody's: open to all, or to operators, or to services.
    Nobodys,
    /// The request names its owner.
    Named(Person),
    /// It is named by the id at a path of the request, and belongs to somebody.
    Owned(&'static str, Person),
    /// Those of whoever asks; the one of somebody shows this name's id.
    Listed(&'static str, Person),
}

/// The path of a text, and how it is made for a request.
pub type Made = (&'static str, fn(&DynamicMessage) -> String);

/// How to ask.
#[derive(Clone, Copy)]
pub struct Row {
    /// `room.v1.RoomService.GetRoom`.
    pub rpc: &'static str,
    /// Whose it is.
    pub whose: Whose,
    /// The request.
    pub request: fn(&World) -> Json,
    /// What has to be made anew for each request.
    pub made: Option<Made>,
}

impl Row {
    /// Who asks with success.
    pub fn asker(&self) -> Person {
        match self.whose {
            Whose::Nobodys => Person::Admin,
            Whose::Named(person) | Whose::Owned(_, person) | Whose::Listed(_, person) => person,
        }
    }

    /// The rpc and the request.
    pub fn request(&self, world: &World) -> Result<(MethodDescriptor, DynamicMessage)> {
        let method = world.rpc(self.rpc)?;
        let request = DynamicMessage::deserialize(method.input(), (self.request)(world));
        let request = request.with_context(|| self.rpc.to_owned())?;
        Ok((method, request))
    }
}

/// A request with another text at a path.
pub fn with(request: &DynamicMessage, path: &str, text: &str) -> Result<DynamicMessage> {
    let mut changed = request.clone();
    match path.split_once('.') {
        None => changed.set_field_by_name(path, Value::String(text.to_owned())),
        Some((first, rest)) => {
            let field = request.get_field_by_name(first).context("no such field")?;
            let inner = with(field.as_message().context("no message")?, rest, text)?;
            changed.set_field_by_name(first, Value::Message(inner));
        }
    }
    Ok(changed)
}

/// The rpcs of the public port without a row, and rows that say of an rpc what its contract does not.
pub fn gaps(world: &World, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for service in services(&world.pool) {
        for method in service.methods() {
            let carried = world.carries(&service);
            let name = method.full_name().trim_start_matches("berth.").to_owned();
            let mut rows = rows.iter().filter(|row| row.rpc == name);
            match (rows.next(), carried) {
                (None, true) => wrong.push(format!("{name}: has no row")),
                (Some(_), false) => wrong.push(format!("{name}: is not on the public port")),
                (Some(row), true) if !fits(row, &method) => {
                    wrong.push(format!("{name}: {:?} is not its contract", row.whose));
                }
                _ => {}
            }
        }
    }
    wrong
}

fn fits(row: &Row, method: &MethodDescriptor) -> bool {
    let Some(access) = access(method) else {
        return false;
    };
    let named = !access.owner_field.is_empty();
    let owned = !access.resource_owners.is_empty();
    match row.whose {
        Whose::Nobodys => !named && !owned,
        Whose::Named(_) => named,
        Whose::Owned(..) | Whose::Listed(..) => owned,
    }
}

const fn row(rpc: &'static str, whose: Whose, request: fn(&World) -> Json) -> Row {
    let made = None;
    Row {
        rpc,
        whose,
        request,
        made,
    }
}

/// Creates something under an id that the client chooses.
const fn new(row: Row, path: &'static str) -> Row {
    let id = |_: &DynamicMessage| Uuid::new_v4().to_string();
    let made: Option<Made> = Some((path, id));
    Row { made, ..row }
}

/// Is signed by the payment provider.
const fn signed(row: Row) -> Row {
    let made: Option<Made> = Some(("signature", signature));
    Row { made, ..row }
}

/// The signature of a notification, as its contract tells.
fn signature(notification: &DynamicMessage) -> String {
    let texts = [
        "notification_id",
        "payment_id",
        "outcome",
        "provider_reference",
        "reason",
    ];
    let texts = texts.map(|name| {
        let text = notification.get_field_by_name(name);
        text.and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    });
    let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes());
    let Ok(mut mac) = mac else {
        return String::new();
    };
    mac.update(texts.join("|").as_bytes());
    format!("{:x}", mac.finalize().into_bytes())
}

use Person::{Guest, Host, Stranger};
use Whose::{Listed, Named, Nobodys, Owned};

/// In an order in which every owner can have what they ask for: what ends something comes last.
pub const ROWS: &[Row] = &[
    new(
        row("member.v1.MemberService.Join", Nobodys, |_| {
            json!({
                "member_id": id("new"), "email": "new@example.com", "display_name": "New",
                "password": "a password of many words", "roles": ["ROLE_HOST"],
            })
        }),
        "member_id",
    ),
    row(
        "member.v1.MemberService.GetMember",
        Named(Guest),
        |_| json!({"member_id": Guest.id()}),
    ),
    row(
        "member.v1.MemberService.SetRoles",
        Nobodys,
        |_| json!({"member_id": Stranger.id(), "roles": ["ROLE_CUSTOMER"]}),
    ),
    row(
        "member.v1.MemberService.SuspendMember",
        Nobodys,
        |_| json!({"member_id": Stranger.id(), "suspended": false}),
    ),
    row(
        "member.v1.MemberService.SignIn",
        Nobodys,
        |_| json!({"email": Guest.email(), "password": crate::world::PASSWORD}),
    ),
    row(
        "member.v1.MemberService.RefreshTokens",
        Nobodys,
        |world| json!({"refresh_token": world.spare}),
    ),
    row(
        "member.v1.MemberService.SignOut",
        Nobodys,
        |_| json!({"refresh_token": "none"}),
    ),
    row("member.v1.MemberService.GetJsonWebKeys", Nobodys, |_| {
        json!({})
    }),
    new(
        row(
            "member.v1.MemberService.RotateKeys",
            Nobodys,
            |_| json!({"key_id": id("key")}),
        ),
        "key_id",
    ),
    row("member.v1.MemberService.GetTrust", Nobodys, |_| json!({})),
    row(
        "message.v1.MessageService.ListMessages",
        Listed("paid", Guest),
        |_| json!({}),
    ),
    row(
        "message.v1.MessageService.MarkMessageRead",
        Owned("message_id", Guest),
        |world| json!({"message_id": world.message}),
    ),
    row("payment.v1.PaymentService.ChargePayment", Nobodys, |_| {
        json!({
            "payment_id": id("paid"), "customer_id": Guest.id(), "host_id": Host.id(),
            "amount": {"currency_code": "EUR", "units": "100"}, "payment_method": "tok_approved",
        })
    }),
    row(
        "payment.v1.PaymentService.GetPayment",
        Owned("payment_id", Guest),
        |_| json!({"payment_id": id("paid")}),
    ),
    row(
        "payment.v1.PaymentService.ListPayments",
        Listed("paid", Guest),
        |_| json!({}),
    ),
    row(
        "payment.v1.PaymentService.GetLedger",
        Nobodys,
        |_| json!({"payment_id": id("paid")}),
    ),
    signed(row(
        "payment.v1.PaymentService.ReceiveNotification",
        Nobodys,
        |_| {
            json!({
                "notification_id": "n1", "payment_id": id("paid"), "outcome": "charged",
                "provider_reference": "r", "reason": "", "signature": "00",
            })
        },
    )),
    row(
        "room.v1.RoomService.GetRoom",
        Nobodys,
        |_| json!({"room_id": id("room")}),
    ),
    row(
        "room.v1.RoomService.ListRooms",
        Nobodys,
        |_| json!({"host_id": Host.id()}),
    ),
    row(
        "room.v1.RoomService.ListReviews",
        Nobodys,
        |_| json!({"room_id": id("room")}),
    ),
    new(
        row(
            "room.v1.RoomService.RegisterRoom",
            Named(Host),
            |_| json!({"room": room_terms(&id("new room"), "APPROVAL_NONE")}),
        ),
        "room.room_id",
    ),
    row(
        "room.v1.RoomService.ModifyRoom",
        Owned("room.room_id", Host),
        |_| {
            let room = room_terms(&id("shy room"), "APPROVAL_HOST");
            json!({"room": room})
        },
    ),
    row(
        "room.v1.RoomService.CreateReview",
        Named(Guest),
        |_| json!({"review": review(&id("stayed"))}),
    ),
    row(
        "room.v1.RoomService.ModifyReview",
        Owned("review.reservation_id", Guest),
        |_| json!({"review": review(&id("stayed"))}),
    ),
    row(
        "view.v1.ViewService.ListRoomViews",
        Nobodys,
        |_| json!({"host_id": Host.id(), "order_by": "price desc"}),
    ),
    row(
        "view.v1.ViewService.GetRoomView",
        Nobodys,
        |_| json!({"room_id": id("room")}),
    ),
    row(
        "view.v1.ViewService.ListMyPage",
        Listed("paid", Guest),
        |_| json!({}),
    ),
    row("view.v1.ViewService.Rebuild", Nobodys, |_| json!({})),
    row(
        "reservation.v1.ReservationService.GetAvailability",
        Nobodys,
        |_| json!({"offer_id": id("room"), "period": period(28), "quantity": 1}),
    ),
    new(
        row(
            "reservation.v1.ReservationService.RequestReservation",
            Named(Guest),
            |_| reservation(&id("new reservation"), &id("room"), 28),
        ),
        "reservation_id",
    ),
    row(
        "reservation.v1.ReservationService.GetReservation",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    row(
        "reservation.v1.ReservationService.ListReservations",
        Listed("paid", Guest),
        |_| json!({"offer_id": id("room"), "status": "RESERVATION_STATUS_CONFIRMED"}),
    ),
    row(
        "reservation.v1.ReservationService.GetReservationHistory",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    row(
        "reservation.v1.ReservationService.QuoteCancellation",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    row(
        "reservation.v1.ReservationService.PayReservation",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    row(
        "reservation.v1.ReservationService.ApproveReservation",
        Owned("reservation_id", Host),
        |_| json!({"reservation_id": id("pending")}),
    ),
    row(
        "reservation.v1.ReservationService.RejectReservation",
        Owned("reservation_id", Host),
        |_| json!({"reservation_id": id("pending too"), "reason": "no"}),
    ),
    row(
        "reservation.v1.ReservationService.CancelReservation",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid"), "reason": "ill"}),
    ),
    row(
        "room.v1.RoomService.DeleteReview",
        Owned("reservation_id", Guest),
        |_| json!({"reservation_id": id("stayed")}),
    ),
    row(
        "room.v1.RoomService.DeleteRoom",
        Owned("room_id", Host),
        |_| json!({"room_id": id("shy room")}),
    ),
    row(
        "member.v1.MemberService.ChangePassword",
        Named(Guest),
        |_| {
            json!({
                "member_id": Guest.id(), "old_password": crate::world::PASSWORD,
                "new_password": "a password of many words",
            })
        },
    ),
];
