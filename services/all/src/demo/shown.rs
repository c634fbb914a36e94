//! How an answer reads, on one line: what a person watching wants to know, in the words of the contracts. What differs
//! from run to run is left out, so that the story can say how an answer must read.

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

/// Something that reads on one line.
pub(crate) trait Shown {
    /// The line.
    fn shown(&self) -> String;
}

/// An answer that is one thing, and reads as that.
macro_rules! one {
    ($($answer:ty => $field:ident),+ $(,)?) => {$(
        impl Shown for $answer {
            fn shown(&self) -> String {
                self.$field.as_ref().map_or_else(|| "nothing".to_owned(), Shown::shown)
            }
        }
    )+};
}

/// An answer that is many things, and reads as all of them; what reads the same in a row is counted.
macro_rules! many {
    ($($answer:ty => $field:ident),+ $(,)?) => {$(
        impl Shown for $answer {
            fn shown(&self) -> String {
                let lines: Vec<_> = self.$field.iter().map(Shown::shown).collect();
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

impl Shown for Member {
    fn shown(&self) -> String {
        let roles: Vec<_> = self.roles().map(|role| word(role.as_str_name())).collect();
        format!("{}, {}", self.display_name, roles.join(" and "))
    }
}

impl Shown for SignInResponse {
    fn shown(&self) -> String {
        let member = self.member.clone().unwrap_or_default();
        let tokens = if self.tokens.is_some() {
            "tokens"
        } else {
            "no tokens"
        };
        format!("{tokens} for {}", member.shown())
    }
}

impl Shown for Room {
    fn shown(&self) -> String {
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

impl Shown for GetAvailabilityResponse {
    fn shown(&self) -> String {
        let because = because(&self.reason);
        format!(
            "{} free, {}{because}",
            self.free,
            money(self.price.as_ref())
        )
    }
}

impl Shown for Reservation {
    fn shown(&self) -> String {
        let status = word(self.status().as_str_name());
        let price = money(self.price.as_ref());
        let refund = refunded(self.refund.as_ref());
        let because = because(&self.reason);
        format!("{}: {status}, {price}{refund}{because}", self.title)
    }
}

impl Shown for Payment {
    fn shown(&self) -> String {
        let status = word(self.status().as_str_name());
        let refund = refunded(self.refunded.as_ref());
        format!("{status}, {}{refund}", money(self.amount.as_ref()))
    }
}

impl Shown for QuoteCancellationResponse {
    fn shown(&self) -> String {
        let refund = money(self.refund.as_ref());
        format!("refund {refund}, fee {}", money(self.fee.as_ref()))
    }
}

impl Shown for GetReservationHistoryResponse {
    fn shown(&self) -> String {
        let steps = self.entries.iter();
        let steps: Vec<_> = steps
            .map(|step| word(step.status().as_str_name()))
            .collect();
        steps.join(" → ")
    }
}

/// Their headlines, oldest first.
impl Shown for ListMessagesResponse {
    fn shown(&self) -> String {
        let messages = self.messages.iter().rev();
        let headlines = messages.filter_map(|message| message.subject.split(':').next());
        headlines.collect::<Vec<_>>().join(" | ")
    }
}

impl Shown for RoomView {
    fn shown(&self) -> String {
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

impl Shown for MyPageEntry {
    fn shown(&self) -> String {
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

/// `RESERVATION_STATUS_CONFIRMED` without what all values of its type have in common.
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
