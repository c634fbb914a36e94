//! The text of a message: an event of a reservation, for the customer or for the host.

use chassis::{
    MemberId, Money, ReservationId, Timestamp,
    base::{
        text::single_line,
        time::{Date, TimeZone},
    },
};

use super::content::Content;

/// A change of a reservation's status, with what the text mentions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) happened: Happened,
    /// Full name of the event.
    pub(crate) event_type: String,
    pub(crate) reservation: ReservationId,
    /// What is reserved, as its host calls it.
    pub(crate) title: String,
    pub(crate) period: Period,
    pub(crate) quantity: i32,
    pub(crate) price: Money,
    /// What is or was refunded.
    pub(crate) refund: Option<Money>,
    /// Why: a code, or the host's words.
    pub(crate) reason: String,
    /// Until when it is held.
    pub(crate) hold_until: Option<Timestamp>,
}

/// What happened to the reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// Held, to be paid.
    Requested,
    /// Held, to be approved by the host.
    ApprovalAsked,
    Approved,
    PaymentPending,
    Confirmed,
    Rejected,
    Lapsed,
    CancelRequested,
    Cancelled,
    Completed,
    ConfirmationMissed,
}

/// When it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    Dates { start: Date, end: Date },
    Times { start: Timestamp, end: Timestamp },
}

/// The role of the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Customer,
    Host,
}

impl Happened {
    /// Whether the host is notified: of requests for approval, and when dates become reserved or free again. The steps of
    /// the payment do not concern the host.
    pub(crate) fn concerns_host(self) -> bool {
        match self {
            Self::ApprovalAsked
            | Self::Confirmed
            | Self::Rejected
            | Self::Lapsed
            | Self::CancelRequested
            | Self::Cancelled
            | Self::Completed => true,
            Self::Requested | Self::Approved | Self::PaymentPending | Self::ConfirmationMissed => {
                false
            }
        }
    }
}

impl Change {
    /// The content of the message to a person.
    pub(crate) fn content(&self, recipient: MemberId, audience: Audience) -> Content {
        let (headline, body) = match audience {
            Audience::Customer => self.to_customer(),
            Audience::Host => self.to_host(),
        };
        let title = single_line(&self.title);
        let times = if self.quantity > 1 {
            format!("{} × ", self.quantity)
        } else {
            String::new()
        };
        Content {
            recipient,
            reservation: self.reservation,
            event_type: self.event_type.clone(),
            subject: format!("{headline}: {title}"),
            text: format!(
                "{body}\n\n{times}{title}\n{}\nPrice: {}\nReservation: {}\n",
                self.period.words(),
                self.price,
                self.reservation
            ),
        }
    }

    fn to_customer(&self) -> (&'static str, String) {
        let price = self.price;
        match self.happened {
            Happened::Requested => (
                "Reservation received",
                format!(
                    "We hold this for you{}. Pay {price} to confirm it.",
                    self.until()
                ),
            ),
            Happened::ApprovalAsked => (
                "Reservation requested",
                format!(
                    "We have asked the host to approve your reservation and hold it for you{}. You are charged {price} only if the host agrees.",
                    self.until()
                ),
            ),
            Happened::Approved => (
                "Reservation approved",
                format!("The host has agreed. {price} is being charged now."),
            ),
            Happened::PaymentPending => (
                "Payment pending",
                format!(
                    "We do not know yet whether your payment of {price} went through. Your reservation is held until we do; there is nothing for you to do."
                ),
            ),
            Happened::Confirmed => (
                "Reservation confirmed",
                format!("Your reservation is confirmed and {price} is paid."),
            ),
            Happened::Rejected => (
                "Reservation rejected",
                format!(
                    "Your reservation could not be accepted{}. You have not been charged for it.",
                    self.because()
                ),
            ),
            Happened::Lapsed => (
                "Reservation lapsed",
                format!(
                    "Your reservation was not completed in time and has lapsed{}.",
                    self.because()
                ),
            ),
            Happened::CancelRequested => (
                "Cancellation received",
                format!(
                    "Your reservation is given up{}. {} is being refunded.",
                    self.because(),
                    self.refund.unwrap_or(Money::zero(price.currency))
                ),
            ),
            Happened::Cancelled => (
                "Reservation cancelled",
                match self.refund.filter(|refund| refund.is_positive()) {
                    Some(refund) => format!(
                        "Your reservation is cancelled{} and {refund} is refunded.",
                        self.because()
                    ),
                    None => format!(
                        "Your reservation is cancelled{}. Nothing is refunded.",
                        self.because()
                    ),
                },
            ),
            Happened::Completed => (
                "Thank you for your stay",
                "Your reservation is completed. You can review it now.".to_owned(),
            ),
            Happened::ConfirmationMissed => (
                "Payment refunded",
                "A payment arrived after your reservation had ended. All of it is being refunded."
                    .to_owned(),
            ),
        }
    }

    fn to_host(&self) -> (&'static str, String) {
        let free = "The time is free to be reserved again.";
        match self.happened {
            Happened::Requested | Happened::ApprovalAsked => (
                "Your approval is asked for",
                format!(
                    "A customer would like to reserve this. Approve or reject it{}.",
                    self.until()
                ),
            ),
            Happened::Approved | Happened::PaymentPending | Happened::Confirmed => (
                "Reservation confirmed",
                "A reservation is confirmed and paid.".to_owned(),
            ),
            Happened::Rejected | Happened::Lapsed | Happened::ConfirmationMissed => (
                "Reservation not made",
                format!("A request for this has come to nothing. {free}"),
            ),
            Happened::CancelRequested => (
                "Reservation given up",
                format!("A reservation is being cancelled{}. {free}", self.because()),
            ),
            Happened::Cancelled => (
                "Reservation cancelled",
                format!("A reservation is cancelled{}. {free}", self.because()),
            ),
            Happened::Completed => ("Stay completed", "A reservation is completed.".to_owned()),
        }
    }

    fn until(&self) -> String {
        self.hold_until
            .map_or_else(String::new, |until| format!(" until {}", minute(until)))
    }

    /// The reason in words: a code such as `PAYMENT_DECLINED` is spelled out, words are quoted.
    fn because(&self) -> String {
        let reason = single_line(&self.reason);
        if reason.is_empty() {
            return String::new();
        }
        let is_code = reason
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_code {
            format!(" ({})", reason.to_ascii_lowercase().replace('_', " "))
        } else {
            format!(" (“{reason}”)")
        }
    }
}

impl Period {
    fn words(self) -> String {
        match self {
            Self::Dates { start, end } => format!("From {start} to {end}"),
            Self::Times { start, end } => format!("From {} to {}", minute(start), minute(end)),
        }
    }
}

/// An instant to the minute. In UTC: a content knows no time zone.
fn minute(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

#[cfg(test)]
mod tests {
    use chassis_testing::noon;

    use super::*;

    fn change(happened: Happened) -> Change {
        Change {
            happened,
            event_type: "berth.reservation.v1.ReservationConfirmed".into(),
            reservation: ReservationId::from_u128(7),
            title: "Sea view".into(),
            period: Period::Dates {
                start: Date::constant(2027, 3, 4),
                end: Date::constant(2027, 3, 6),
            },
            quantity: 1,
            price: Money::new("EUR".parse().unwrap(), 24_000),
            refund: None,
            reason: String::new(),
            hold_until: None,
        }
    }

    fn to_customer(change: &Change) -> Content {
        change.content(MemberId::from_u128(1), Audience::Customer)
    }

    #[test]
    fn a_confirmation_has_title_period_and_price() {
        let content = to_customer(&change(Happened::Confirmed));
        assert_eq!(content.subject, "Reservation confirmed: Sea view");
        assert_eq!(
            content.text,
            "Your reservation is confirmed and 240.00 EUR is paid.\n\nSea view\nFrom 2027-03-04 to 2027-03-06\n\
             Price: 240.00 EUR\nReservation: 00000000-0000-0000-0000-000000000007\n"
        );
    }

    #[test]
    fn a_request_has_the_end_of_the_hold() {
        let mut change = change(Happened::Requested);
        change.hold_until = Some(noon());
        change.quantity = 2;
        change.period = Period::Times {
            start: noon(),
            end: noon(),
        };
        let content = to_customer(&change);
        assert!(
            content
                .text
                .starts_with("We hold this for you until 2027-03-01 12:00 UTC. Pay 240.00 EUR")
        );
        assert!(
            content
                .text
                .contains("\n2 × Sea view\nFrom 2027-03-01 12:00 UTC to ")
        );
    }

    #[test]
    fn a_code_is_spelled_out_and_words_are_quoted() {
        let mut change = change(Happened::Rejected);
        change.reason = "PAYMENT_DECLINED".into();
        assert!(
            to_customer(&change)
                .text
                .contains("accepted (payment declined). ")
        );
        change.reason = "Sorry,\r\nwe renovate".into();
        assert!(
            to_customer(&change)
                .text
                .contains("accepted (“Sorry, we renovate”). ")
        );
    }

    #[test]
    fn a_cancellation_has_the_refund() {
        let mut change = change(Happened::Cancelled);
        assert!(to_customer(&change).text.contains("Nothing is refunded."));
        change.refund = Some(Money::new(change.price.currency, 12_000));
        assert!(
            to_customer(&change)
                .text
                .contains("120.00 EUR is refunded.")
        );
    }

    #[test]
    fn the_host_is_not_told_about_the_customers_payment() {
        for happened in [Happened::Rejected, Happened::Lapsed] {
            let mut change = change(happened);
            change.reason = "PAYMENT_DECLINED".into();
            let content = change.content(MemberId::from_u128(2), Audience::Host);
            assert!(!content.text.contains("payment"), "{}", content.text);
        }
    }

    #[test]
    fn a_title_stays_on_its_line() {
        let mut change = change(Happened::Confirmed);
        change.title = "Sea\r\nBcc: all@example.com\u{2028}\u{85}\u{0}\u{202e}view\t".into();
        let content = to_customer(&change);
        assert_eq!(
            content.subject,
            "Reservation confirmed: Sea Bcc: all@example.com view"
        );
        assert!(
            content
                .text
                .contains("\n\nSea Bcc: all@example.com view\nFrom")
        );
    }
}
