//! One-line summaries of responses, in the words of the contracts. Values that differ between runs (ids, times) are left
//! out, so that the demo can compare a summary with the expected one.

use berth::{
    google::r#type::Money,
    member::v1::{JoinResponse, Member, SignInResponse},
    message::v1::ListMessagesResponse,
    offer::v1::Unit,
    payment::v1::{GetPaymentResponse, ListPaymentsResponse, Payment, PaymentStatus},
    reservation::v1::{
        ApproveReservationResponse, CancelReservationResponse, GetAvailabilityResponse,
        GetReservationHistoryResponse, GetReservationResponse, ListReservationsResponse,
        QuoteCancellationResponse, RejectReservationResponse, RequestReservationResponse,
        Reservation,
    },
    room::v1::{
        DeleteRoomResponse, GetRoomResponse, ListRoomsResponse, ModifyRoomResponse,
        RegisterRoomResponse, Room,
    },
    view::v1::{GetRoomViewResponse, ListMyPageResponse, MyPageEntry, RoomView},
};

/// A value with a one-line summary.
pub(crate) trait Summary {
    /// The summary.
    fn summary(&self) -> String;
}

/// Summarises a response by its only field.
macro_rules! one {
    ($($answer:ty => $field:ident),+ $(,)?) => {$(
        impl Summary for $answer {
            fn summary(&self) -> String {
                self.$field.as_ref().map_or_else(|| "nothing".to_owned(), Summary::summary)
            }
        }
    )+};
}

/// Summarises a response by a list; consecutive items with the same summary are counted.
macro_rules! many {
    ($($answer:ty => $field:ident),+ $(,)?) => {$(
        impl Summary for $answer {
            fn summary(&self) -> String {
                let lines: Vec<_> = self.$field.iter().map(Summary::summary).collect();
                let same = lines.chunk_by(|one, next| one == next);
                same.map(counted).collect::<Vec<_>>().join(" | ")
            }
        }
    )+};
}

one! {
    JoinResponse => member,
    RegisterRoomResponse => room,
    ModifyRoomResponse => room,
    DeleteRoomResponse => room,
    GetRoomResponse => room,
    RequestReservationResponse => reservation,
    ApproveReservationResponse => reservation,
    RejectReservationResponse => reservation,
    CancelReservationResponse => reservation,
    GetReservationResponse => reservation,
    GetPaymentResponse => payment,
    GetRoomViewResponse => room_view,
}

many! {
    ListRoomsResponse => rooms,
    ListReservationsResponse => reservations,
    ListPaymentsResponse => payments,
    ListMyPageResponse => entries,
}

impl Summary for Member {
    fn summary(&self) -> String {
        let roles: Vec<_> = self.roles().map(|role| word(role.as_str_name())).collect();
        format!("{}, {}", self.display_name, roles.join(" and "))
    }
}

impl Summary for SignInResponse {
    fn summary(&self) -> String {
        let member = self.member.clone().unwrap_or_default();
        let tokens = if self.tokens.is_some() {
            "tokens"
        } else {
            "no tokens"
        };
        format!("{tokens} for {}", member.summary())
    }
}

impl Summary for Room {
    fn summary(&self) -> String {
        let unit = match self.unit() {
            Unit::Night => "a night",
            Unit::Hour => "an hour",
            Unit::Day => "a day",
            Unit::Unspecified => "?",
        };
        let status = word(self.status().as_str_name());
        let price = money(self.price.as_ref());
        format!("{}: {price} {unit}, {status}", self.title)
    }
}

impl Summary for GetAvailabilityResponse {
    fn summary(&self) -> String {
        let because = because(&self.reason);
        format!(
            "{} free, {}{because}",
            self.free,
            money(self.price.as_ref())
        )
    }
}

impl Summary for Reservation {
    fn summary(&self) -> String {
        let status = word(self.status().as_str_name());
        let price = money(self.price.as_ref());
        let refund = refunded(self.refund.as_ref());
        let because = because(&self.reason);
        format!("{}: {status}, {price}{refund}{because}", self.title)
    }
}

impl Summary for Payment {
    fn summary(&self) -> String {
        let status = word(self.status().as_str_name());
        let refund = refunded(self.refunded.as_ref());
        format!("{status}, {}{refund}", money(self.amount.as_ref()))
    }
}

impl Summary for QuoteCancellationResponse {
    fn summary(&self) -> String {
        let refund = money(self.refund.as_ref());
        format!("refund {refund}, fee {}", money(self.fee.as_ref()))
    }
}

impl Summary for GetReservationHistoryResponse {
    fn summary(&self) -> String {
        let steps = self.entries.iter();
        let steps: Vec<_> = steps
            .map(|step| word(step.status().as_str_name()))
            .collect();
        steps.join(" → ")
    }
}

/// The headlines of the messages, oldest first.
impl Summary for ListMessagesResponse {
    fn summary(&self) -> String {
        let messages = self.messages.iter().rev();
        let headlines = messages.filter_map(|message| message.subject.split(':').next());
        headlines.collect::<Vec<_>>().join(" | ")
    }
}

impl Summary for RoomView {
    fn summary(&self) -> String {
        format!(
            "{}: {}, {} reservations, the latest {}, {}, {} reviews",
            self.title,
            word(self.room_status().as_str_name()),
            self.reservation_count,
            word(self.reservation_status().as_str_name()),
            paid(self.payment_status()),
            self.review_count
        )
    }
}

impl Summary for MyPageEntry {
    fn summary(&self) -> String {
        format!(
            "{}: {}, {}{}, {} messages",
            self.title,
            word(self.status().as_str_name()),
            paid(self.payment_status()),
            refunded(self.refund.as_ref()),
            self.message_count
        )
    }
}

/// The name of an enum value without the prefix of its type: `CONFIRMED` of `RESERVATION_STATUS_CONFIRMED`.
pub(crate) fn word(name: &str) -> &str {
    let types = [
        "RESERVATION_STATUS_",
        "PAYMENT_STATUS_",
        "ROOM_STATUS_",
        "ROLE_",
    ];
    let word = types.iter().find_map(|prefix| name.strip_prefix(prefix));
    word.unwrap_or(name)
}

fn paid(status: PaymentStatus) -> String {
    match status {
        PaymentStatus::Unspecified => "no payment".to_owned(),
        status => format!("payment {}", word(status.as_str_name())),
    }
}

fn counted(same: &[String]) -> String {
    match same {
        [] => String::new(),
        [one] => one.clone(),
        [one, ..] => format!("{} × {one}", same.len()),
    }
}

fn money(money: Option<&Money>) -> String {
    let read = money.map(chassis::Money::try_from);
    match read {
        Some(Ok(money)) => money.to_string(),
        Some(Err(error)) => error.to_string(),
        None => "no price".to_owned(),
    }
}

fn refunded(refund: Option<&Money>) -> String {
    match refund {
        Some(refund) if refund.units != 0 || refund.nanos != 0 => {
            format!(", refund {}", money(Some(refund)))
        }
        _ => String::new(),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(", {reason}")
    }
}
