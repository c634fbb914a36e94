//! Nobody has to approve: reserved, charged and confirmed at once, or not at all.

use berth::{
    payment::v1::ListPaymentsRequest,
    reservation::v1::{GetAvailabilityRequest, GetReservationRequest, RequestReservationRequest},
};

use super::{HOUSE, Story, wish};
use crate::demo::teller::Wrong;

impl Story<'_> {
    /// Answers the reservation of Gus.
    pub(super) async fn booking(&mut self) -> Result<String, Wrong> {
        let Self {
            teller,
            gus,
            house,
            day,
            ..
        } = self;
        teller.chapter("A reservation is paid at once, or it is none");

        let stay = day.nights(0, 2);
        let wanted = wish(gus, house, stay, "tok_approved");
        let id = wanted.reservation_id.clone();

        let free = GetAvailabilityRequest {
            offer_id: house.room_id.clone(),
            period: Some(stay),
            quantity: 1,
        };
        teller
            .asks(
                &format!(
                    "Gus asks whether the house is free for two nights, from {}",
                    day.0
                ),
                gus.reservations().get_availability(free),
                "1 free, 260.00 EUR",
            )
            .await?;
        let booked = teller
            .asks(
                "Gus books it with a card that works",
                gus.reservations().request_reservation(wanted.clone()),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        teller
            .asks(
                "Gus looks at his payments",
                gus.payments().list_payments(ListPaymentsRequest::default()),
                "PAID, 260.00 EUR",
            )
            .await?;
        let repeated = teller
            .asks(
                "Gus' phone lost the answer and asks for the same again",
                gus.reservations().request_reservation(wanted.clone()),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        if repeated != booked {
            return Err(teller.wrong(&format!("{repeated:?}"), &format!("{booked:?}")));
        }
        teller
            .asks(
                "It was the same reservation, and Gus has paid once",
                gus.payments().list_payments(ListPaymentsRequest::default()),
                "PAID, 260.00 EUR",
            )
            .await?;
        let other = RequestReservationRequest {
            persons: 4,
            ..wanted
        };
        teller
            .is_refused(
                "The same reservation id for something else",
                gus.reservations().request_reservation(other),
                "IDEMPOTENCY_KEY_REUSED",
            )
            .await?;
        Ok(id)
    }

    /// What Gus has cannot be had, and what is not paid is nobody's.
    pub(super) async fn rivals(&mut self) -> Result<(), Wrong> {
        let Self {
            teller,
            rita,
            house,
            day,
            ..
        } = self;
        let availability = |period| GetAvailabilityRequest {
            offer_id: house.room_id.clone(),
            period: Some(period),
            quantity: 1,
        };
        teller
            .asks(
                "Rita asks for the same nights",
                rita.reservations()
                    .get_availability(availability(day.nights(0, 2))),
                "0 free, 260.00 EUR, SOLD_OUT",
            )
            .await?;
        let late = wish(rita, house, day.nights(1, 3), "tok_approved");
        teller
            .is_refused(
                "Rita wants one of them and the one after it",
                rita.reservations().request_reservation(late),
                "SOLD_OUT",
            )
            .await?;
        let poor = wish(rita, house, day.nights(2, 4), "tok_declined");
        let poor_id = poor.reservation_id.clone();
        teller
            .is_refused(
                "Rita wants the two nights after Gus, with a card that is declined",
                rita.reservations().request_reservation(poor),
                "PAYMENT_DECLINED",
            )
            .await?;
        let request = GetReservationRequest {
            reservation_id: poor_id,
        };
        teller
            .asks(
                "What became of it",
                rita.reservations().get_reservation(request),
                &format!("{HOUSE}: REJECTED, 260.00 EUR, PAYMENT_DECLINED"),
            )
            .await?;
        teller
            .asks(
                "No reservation without payment: those nights are still free",
                rita.reservations()
                    .get_availability(availability(day.nights(2, 4))),
                "1 free, 260.00 EUR",
            )
            .await?;
        Ok(())
    }
}
