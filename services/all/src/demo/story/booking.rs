//! A room without approval: a reservation is held, charged and confirmed at once, or rejected.

use berth::{
    payment::v1::ListPaymentsRequest,
    reservation::v1::{GetAvailabilityRequest, GetReservationRequest, RequestReservationRequest},
};

use super::{HOUSE, Story, booking_request};
use crate::demo::narrator::Mismatch;

impl Story<'_> {
    /// Returns the id of Gus' reservation.
    pub(super) async fn booking(&mut self) -> Result<String, Mismatch> {
        let Self {
            narrator,
            gus,
            house,
            day,
            ..
        } = self;
        narrator.chapter("A reservation is paid at once or rejected");

        let stay = day.nights(0, 2);
        let wanted = booking_request(gus, house, stay, "tok_approved");
        let id = wanted.reservation_id.clone();

        let free = GetAvailabilityRequest {
            offer_id: house.room_id.clone(),
            period: Some(stay),
            quantity: 1,
        };
        narrator
            .expect(
                &format!(
                    "Gus checks whether the house is free for two nights, from {}",
                    day.0
                ),
                gus.reservations().get_availability(free),
                "1 free, 260.00 EUR",
            )
            .await?;
        let booked = narrator
            .expect(
                "Gus books it with a valid card",
                gus.reservations().request_reservation(wanted.clone()),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        narrator
            .expect(
                "Gus looks at his payments",
                gus.payments().list_payments(ListPaymentsRequest::default()),
                "PAID, 260.00 EUR",
            )
            .await?;
        let repeated = narrator
            .expect(
                "Gus' phone did not receive the response and repeats the request",
                gus.reservations().request_reservation(wanted.clone()),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        if repeated != booked {
            return Err(narrator.mismatch(&format!("{repeated:?}"), &format!("{booked:?}")));
        }
        narrator
            .expect(
                "It is the same reservation, and Gus has paid once",
                gus.payments().list_payments(ListPaymentsRequest::default()),
                "PAID, 260.00 EUR",
            )
            .await?;
        let other = RequestReservationRequest {
            persons: 4,
            ..wanted
        };
        narrator
            .expect_refusal(
                "The same reservation id with a different request",
                gus.reservations().request_reservation(other),
                "IDEMPOTENCY_KEY_REUSED",
            )
            .await?;
        Ok(id)
    }

    /// Nights that Gus has booked are not available to others, and an unpaid request holds nothing.
    pub(super) async fn rivals(&mut self) -> Result<(), Mismatch> {
        let Self {
            narrator,
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
        narrator
            .expect(
                "Rita checks the same nights",
                rita.reservations()
                    .get_availability(availability(day.nights(0, 2))),
                "0 free, 260.00 EUR, SOLD_OUT",
            )
            .await?;
        let overlapping = booking_request(rita, house, day.nights(1, 3), "tok_approved");
        narrator
            .expect_refusal(
                "Rita requests one of them and the following night",
                rita.reservations().request_reservation(overlapping),
                "SOLD_OUT",
            )
            .await?;
        let declined = booking_request(rita, house, day.nights(2, 4), "tok_declined");
        let declined_id = declined.reservation_id.clone();
        narrator
            .expect_refusal(
                "Rita requests the two nights after Gus with a card that is declined",
                rita.reservations().request_reservation(declined),
                "PAYMENT_DECLINED",
            )
            .await?;
        let request = GetReservationRequest {
            reservation_id: declined_id,
        };
        narrator
            .expect(
                "The reservation of that request",
                rita.reservations().get_reservation(request),
                &format!("{HOUSE}: REJECTED, 260.00 EUR, PAYMENT_DECLINED"),
            )
            .await?;
        narrator
            .expect(
                "Without a payment nothing is held: those nights are still free",
                rita.reservations()
                    .get_availability(availability(day.nights(2, 4))),
                "1 free, 260.00 EUR",
            )
            .await?;
        Ok(())
    }
}
