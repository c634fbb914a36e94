//! A guest is told what is refunded, cancels, is refunded, and others can book.

use berth::{
    payment::v1::GetPaymentRequest,
    reservation::v1::{
        CancelReservationRequest, GetReservationHistoryRequest, GetReservationRequest,
        QuoteCancellationRequest,
    },
    room::v1::GetRoomRequest,
};

use super::{HOUSE, Story, eur, wish};
use crate::demo::teller::Wrong;

impl Story<'_> {
    pub(super) async fn cancellation(&mut self, booked: &str) -> Result<(), Wrong> {
        let Self {
            teller,
            gus,
            rita,
            house,
            day,
            ..
        } = self;
        teller.chapter("A guest cancels");

        let request = QuoteCancellationRequest {
            reservation_id: booked.to_owned(),
        };
        teller
            .asks(
                "Gus asks what he would get back for the house, a month before",
                gus.reservations().quote_cancellation(request),
                "refund 130.00 EUR, fee 130.00 EUR",
            )
            .await?;
        let hopeful = CancelReservationRequest {
            reservation_id: booked.to_owned(),
            reason: "I am ill".to_owned(),
            expected_refund: Some(eur(260)),
        };
        teller
            .is_refused(
                "Gus cancels only if he gets back everything",
                gus.reservations().cancel_reservation(hopeful.clone()),
                "REFUND_CHANGED",
            )
            .await?;
        let request = CancelReservationRequest {
            expected_refund: Some(eur(130)),
            ..hopeful
        };
        teller
            .asks(
                "Gus cancels for what he was told",
                gus.reservations().cancel_reservation(request),
                &format!("{HOUSE}: CANCEL_REQUESTED, 260.00 EUR, refund 130.00 EUR, I am ill"),
            )
            .await?;
        let request = GetReservationRequest {
            reservation_id: booked.to_owned(),
        };
        teller
            .sees(
                "The refund is made, and the reservation is cancelled",
                async || gus.reservations().get_reservation(request.clone()).await,
                &format!("{HOUSE}: CANCELLED, 260.00 EUR, refund 130.00 EUR, I am ill"),
            )
            .await?;
        let request = GetPaymentRequest {
            payment_id: booked.to_owned(),
        };
        teller
            .asks(
                "Gus looks at his payment",
                gus.payments().get_payment(request),
                "REFUNDED, 260.00 EUR, refund 130.00 EUR",
            )
            .await?;
        let request = GetReservationHistoryRequest {
            reservation_id: booked.to_owned(),
        };
        teller
            .asks(
                "Gus reads its history",
                gus.reservations().get_reservation_history(request),
                "REQUESTED → CONFIRMED → CANCEL_REQUESTED → CANCELLED",
            )
            .await?;
        let request = GetRoomRequest {
            room_id: house.room_id.clone(),
        };
        teller
            .sees(
                "Rita sees that the house is free again",
                async || rita.rooms().get_room(request.clone()).await,
                &format!("{HOUSE}: 130.00 EUR a night, AVAILABLE"),
            )
            .await?;
        let wanted = wish(rita, house, day.nights(0, 2), "tok_approved");
        teller
            .asks(
                "The nights are sold again: Rita books them",
                rita.reservations().request_reservation(wanted),
                &format!("{HOUSE}: CONFIRMED, 260.00 EUR"),
            )
            .await?;
        teller
            .sees(
                "And the house is taken again",
                async || rita.rooms().get_room(request.clone()).await,
                &format!("{HOUSE}: 130.00 EUR a night, RESERVED"),
            )
            .await?;
        Ok(())
    }
}
