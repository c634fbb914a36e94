//! A request for something that exists, for every rpc of the public port.
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

/// The owner of what an rpc is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// None: open to all, to operators, or to services.
    Unowned,
    /// The request names its owner.
    InRequest(Person),
    /// The request has the id of a resource at a path; the resource has an owner.
    OfResource(&'static str, Person),
    /// A list of the caller's own resources; that of the person contains the id of this name.
    OfListed(&'static str, Person),
}

/// The path of a text, and the function that generates it for a request.
pub type Generated = (&'static str, fn(&DynamicMessage) -> String);

/// A request of an rpc.
#[derive(Clone, Copy)]
pub struct RequestCase {
    /// `room.v1.RoomService.GetRoom`.
    pub rpc: &'static str,
    /// The owner of what it is about.
    pub owner: Owner,
    /// The request.
    pub request: fn(&World) -> Json,
    /// A text that must be generated for each request.
    pub generated: Option<Generated>,
}

impl RequestCase {
    /// A caller for whom the request succeeds.
    pub fn caller(&self) -> Person {
        match self.owner {
            Owner::Unowned => Person::Admin,
            Owner::InRequest(person)
            | Owner::OfResource(_, person)
            | Owner::OfListed(_, person) => person,
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

/// A request with the text at a path replaced.
pub fn with_text(request: &DynamicMessage, path: &str, text: &str) -> Result<DynamicMessage> {
    let mut changed = request.clone();
    match path.split_once('.') {
        None => changed.set_field_by_name(path, Value::String(text.to_owned())),
        Some((first, rest)) => {
            let field = request.get_field_by_name(first).context("no such field")?;
            let inner = with_text(field.as_message().context("no message")?, rest, text)?;
            changed.set_field_by_name(first, Value::Message(inner));
        }
    }
    Ok(changed)
}

/// The rpcs of the public port without a case, and cases that contradict the contract of their rpc.
pub fn uncovered(world: &World, cases: &[RequestCase]) -> Vec<String> {
    let mut wrong = Vec::new();
    for service in services(&world.pool) {
        for method in service.methods() {
            let served = world.serves(&service);
            let name = method.full_name().trim_start_matches("berth.").to_owned();
            let mut cases = cases.iter().filter(|case| case.rpc == name);
            match (cases.next(), served) {
                (None, true) => wrong.push(format!("{name}: has no case")),
                (Some(_), false) => wrong.push(format!("{name}: is not on the public port")),
                (Some(case), true) if !fits(case, &method) => {
                    wrong.push(format!("{name}: {:?} contradicts its contract", case.owner));
                }
                _ => {}
            }
        }
    }
    wrong
}

fn fits(case: &RequestCase, method: &MethodDescriptor) -> bool {
    let Some(access) = access(method) else {
        return false;
    };
    let named = !access.owner_field.is_empty();
    let owned = !access.resource_owners.is_empty();
    match case.owner {
        Owner::Unowned => !named && !owned,
        Owner::InRequest(_) => named,
        Owner::OfResource(..) | Owner::OfListed(..) => owned,
    }
}

const fn case(rpc: &'static str, owner: Owner, request: fn(&World) -> Json) -> RequestCase {
    let generated = None;
    RequestCase {
        rpc,
        owner,
        request,
        generated,
    }
}

/// A request that creates something under an id that the client chooses.
const fn creating(case: RequestCase, path: &'static str) -> RequestCase {
    let id = |_: &DynamicMessage| Uuid::new_v4().to_string();
    let generated: Option<Generated> = Some((path, id));
    RequestCase { generated, ..case }
}

/// A request that the payment provider signs.
const fn signed(case: RequestCase) -> RequestCase {
    let generated: Option<Generated> = Some(("signature", signature));
    RequestCase { generated, ..case }
}

/// The signature of a notification, as its contract defines it.
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

use Owner::{InRequest, OfListed, OfResource, Unowned};
use Person::{Guest, Host, OtherGuest};

/// In an order in which every request succeeds for its owner: requests that end something come last.
pub const REQUESTS: &[RequestCase] = &[
    creating(
        case("member.v1.MemberService.Join", Unowned, |_| {
            json!({
                "member_id": id("new"), "email": "new@example.com", "display_name": "New",
                "password": "a password of many words", "roles": ["ROLE_HOST"],
            })
        }),
        "member_id",
    ),
    case(
        "member.v1.MemberService.GetMember",
        InRequest(Guest),
        |_| json!({"member_id": Guest.id()}),
    ),
    case(
        "member.v1.MemberService.SetRoles",
        Unowned,
        |_| json!({"member_id": OtherGuest.id(), "roles": ["ROLE_CUSTOMER"]}),
    ),
    case(
        "member.v1.MemberService.SuspendMember",
        Unowned,
        |_| json!({"member_id": OtherGuest.id(), "suspended": false}),
    ),
    case(
        "member.v1.MemberService.SignIn",
        Unowned,
        |_| json!({"email": Guest.email(), "password": crate::world::PASSWORD}),
    ),
    case(
        "member.v1.MemberService.RefreshTokens",
        Unowned,
        |world| json!({"refresh_token": world.spare_session}),
    ),
    case(
        "member.v1.MemberService.SignOut",
        Unowned,
        |_| json!({"refresh_token": "none"}),
    ),
    case("member.v1.MemberService.GetJsonWebKeys", Unowned, |_| {
        json!({})
    }),
    creating(
        case(
            "member.v1.MemberService.RotateKeys",
            Unowned,
            |_| json!({"key_id": id("key")}),
        ),
        "key_id",
    ),
    case("member.v1.MemberService.GetTrust", Unowned, |_| json!({})),
    case(
        "message.v1.MessageService.ListMessages",
        OfListed("paid", Guest),
        |_| json!({}),
    ),
    case(
        "message.v1.MessageService.MarkMessageRead",
        OfResource("message_id", Guest),
        |world| json!({"message_id": world.message}),
    ),
    case("payment.v1.PaymentService.ChargePayment", Unowned, |_| {
        json!({
            "payment_id": id("paid"), "customer_id": Guest.id(), "host_id": Host.id(),
            "amount": {"currency_code": "EUR", "units": "100"}, "payment_method": "tok_approved",
        })
    }),
    case(
        "payment.v1.PaymentService.GetPayment",
        OfResource("payment_id", Guest),
        |_| json!({"payment_id": id("paid")}),
    ),
    case(
        "payment.v1.PaymentService.ListPayments",
        OfListed("paid", Guest),
        |_| json!({}),
    ),
    case(
        "payment.v1.PaymentService.GetLedger",
        Unowned,
        |_| json!({"payment_id": id("paid")}),
    ),
    signed(case(
        "payment.v1.PaymentService.ReceiveNotification",
        Unowned,
        |_| {
            json!({
                "notification_id": "n1", "payment_id": id("paid"), "outcome": "charged",
                "provider_reference": "r", "reason": "", "signature": "00",
            })
        },
    )),
    case(
        "room.v1.RoomService.GetRoom",
        Unowned,
        |_| json!({"room_id": id("room")}),
    ),
    case(
        "room.v1.RoomService.ListRooms",
        Unowned,
        |_| json!({"host_id": Host.id()}),
    ),
    case(
        "room.v1.RoomService.ListReviews",
        Unowned,
        |_| json!({"room_id": id("room")}),
    ),
    creating(
        case(
            "room.v1.RoomService.RegisterRoom",
            InRequest(Host),
            |_| json!({"room": room_terms(&id("new room"), "APPROVAL_NONE")}),
        ),
        "room.room_id",
    ),
    case(
        "room.v1.RoomService.ModifyRoom",
        OfResource("room.room_id", Host),
        |_| {
            let room = room_terms(&id("approval room"), "APPROVAL_HOST");
            json!({"room": room})
        },
    ),
    case(
        "room.v1.RoomService.CreateReview",
        InRequest(Guest),
        |_| json!({"review": review(&id("stayed"))}),
    ),
    case(
        "room.v1.RoomService.ModifyReview",
        OfResource("review.reservation_id", Guest),
        |_| json!({"review": review(&id("stayed"))}),
    ),
    case(
        "view.v1.ViewService.ListRoomViews",
        Unowned,
        |_| json!({"host_id": Host.id(), "order_by": "price desc"}),
    ),
    case(
        "view.v1.ViewService.GetRoomView",
        Unowned,
        |_| json!({"room_id": id("room")}),
    ),
    case(
        "view.v1.ViewService.ListMyPage",
        OfListed("paid", Guest),
        |_| json!({}),
    ),
    case("view.v1.ViewService.Rebuild", Unowned, |_| json!({})),
    case(
        "reservation.v1.ReservationService.GetAvailability",
        Unowned,
        |_| json!({"offer_id": id("room"), "period": period(28), "quantity": 1}),
    ),
    creating(
        case(
            "reservation.v1.ReservationService.RequestReservation",
            InRequest(Guest),
            |_| reservation(&id("new reservation"), &id("room"), 28),
        ),
        "reservation_id",
    ),
    case(
        "reservation.v1.ReservationService.GetReservation",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    case(
        "reservation.v1.ReservationService.ListReservations",
        OfListed("paid", Guest),
        |_| json!({"offer_id": id("room"), "status": "RESERVATION_STATUS_CONFIRMED"}),
    ),
    case(
        "reservation.v1.ReservationService.GetReservationHistory",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    case(
        "reservation.v1.ReservationService.QuoteCancellation",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    case(
        "reservation.v1.ReservationService.PayReservation",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid")}),
    ),
    case(
        "reservation.v1.ReservationService.ApproveReservation",
        OfResource("reservation_id", Host),
        |_| json!({"reservation_id": id("pending")}),
    ),
    case(
        "reservation.v1.ReservationService.RejectReservation",
        OfResource("reservation_id", Host),
        |_| json!({"reservation_id": id("pending too"), "reason": "no"}),
    ),
    case(
        "reservation.v1.ReservationService.CancelReservation",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("paid"), "reason": "ill"}),
    ),
    case(
        "room.v1.RoomService.DeleteReview",
        OfResource("reservation_id", Guest),
        |_| json!({"reservation_id": id("stayed")}),
    ),
    case(
        "room.v1.RoomService.DeleteRoom",
        OfResource("room_id", Host),
        |_| json!({"room_id": id("approval room")}),
    ),
    case(
        "member.v1.MemberService.ChangePassword",
        InRequest(Guest),
        |_| {
            json!({
                "member_id": Guest.id(), "old_password": crate::world::PASSWORD,
                "new_password": "a password of many words",
            })
        },
    ),
];
