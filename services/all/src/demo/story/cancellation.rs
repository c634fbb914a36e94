//! A guest gets a refund quote, cancels, gets the refund, and other guests can book the nights.

use berth::{
    payment::v1::GetPaymentRequest,
    reservation::v1::{
        CancelReservationRequest, GetReservationHistoryRequest, GetReservationRequest,
        QuoteCancellationRequest,
    },
    room::v1::GetRoomRequest,
};

use super::{HOUSE, Story, booking_request, eur};
use crate::demo::narrator::Mismatch;

impl Story<'_> {
    pub(super) async fn cancellation(&mut self, booked: &str) -> Result<(), Mismatch> {
        let Self {
            narrator,
            gus,
            rita,
            house,
            day,
            ..
        } = self;
        narrator.chapter("A guest cancels");

        let request = QuoteCancellationRequest {
            reservation_id: booked.to_owned(),
        };
        narrator
            .expect(
                "Gus asks for the refund of the house a month before the stay",
                gus.reservations().quote_cancellation(request),
                "refund 130.00 EUR, fee 130.00 EUR",
            )
            .await?;
        let hopeful = CancelReservationRequest {
            reservation_id: booked.to_owned(),
            reason: "I am ill".to_owned(),
            expected_refund: Some(eur(260)),
        };
        narrator
            .expect_refusal(
                "Gus cancels on condition of a full refund",
                gus.reservations().cancel_reservation(hopeful.clone()),
                "REFUND_CHANGED",
            )
            .await?;
        let request = CancelReservationRequest {
            expected_refund: Some(eur(130)),
            ..hopeful
        };
        narrator
            .expect(
                "Gus cancels on condition of the quoted refund",
                gus.reservations().cancel_reservation(request),
                &format!("{HOUSE}: CANCEL_REQUESTED, 260.00 EUR, refund 130.00 EUR, I am ill"),
            )
            .await?;
        let request = GetReservationRequest {
            reservation_id: booked.to_owned(),
        };
        narrator
            .eventually(
                "The refund is made, and the reservation is cancelled",
                async || gus.reservations().get_reservation(request.clone()).await,
                &format!("{HOUSE}: CANCELLED, 260.00 EUR, refund 130.00 EUR, I am ill"),
            )
            .await?;
        let request = GetPaymentRequest {
            payment_id: booked.to_owned(),
        };
        narrator
            .expect(
                "Gus looks at his payment",
                gus.payments().get_payment(request),
                "REFUNDED, 260.00 EUR, refund 130.00 EUR",
            )
            .await?;
        let request = GetReservationHistoryRequest {
            reservation_id: booked.to_owned(),
        };
        narrator
            .expect(
                "Gus reads its history",
                gus.reservations().get_reservation_history(request),
                "REQUESTED → CONFIRMED → CANCEL_REQUESTED → CANCELLED",
            )
            .await?;
        let request = GetRoomRequest {
            room_id: house.room_id.clone(),
        };
        narrator
            .eventually(
                "Rita sees that the house is free again",
                async || rita.rooms().get_room(request.clone()).await,
                &format!("{HOUSE}: 130.00 EUR a night, AVAILABLE"),
            )
            .await?;
        let wanted = booking_request(rita, house, day.nights(0, 2), "tok_approved");
        narrator
            .expect(
                "The nights are sold again: Rita books them",
                rita.reservations().request_reservation(wanted),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        narrator
            .eventually(
                "The house is reserved again",
                async || rita.rooms().get_room(request.clone()).await,
                &format!("{HOUSE}: 130.00 EUR a night, RESERVED"),
            )
            .await?;
        Ok(())
    }
}
