//! A room whose host must approve: a reservation is charged after the approval, and never after a rejection.

use berth::{
    payment::v1::GetPaymentRequest,
    reservation::v1::{
        ApproveReservationRequest, GetReservationRequest, ListReservationsRequest,
        RejectReservationRequest, ReservationStatus,
    },
};

use super::{MEETING, Story, booking_request};
use crate::demo::narrator::Mismatch;

impl Story<'_> {
    pub(super) async fn approval(&mut self) -> Result<(), Mismatch> {
        let Self {
            narrator,
            hanna,
            gus,
            rita,
            meeting,
            day,
            ..
        } = self;
        narrator.chapter("A reservation is charged after the host has approved it");

        let wanted = booking_request(rita, meeting, day.hours(9, 11), "tok_approved");
        let reservation_id = wanted.reservation_id.clone();
        narrator
            .expect(
                "Rita requests the meeting room for two hours",
                rita.reservations().request_reservation(wanted),
                &format!("{MEETING}: PENDING_APPROVAL, 90.00 EUR"),
            )
            .await?;
        let request = GetPaymentRequest {
            payment_id: reservation_id.clone(),
        };
        narrator
            .expect_refusal(
                "Nothing is charged yet: Rita has no such payment",
                rita.payments().get_payment(request),
                "NOT_FOUND",
            )
            .await?;
        let request = ListReservationsRequest {
            status: ReservationStatus::PendingApproval.into(),
            ..ListReservationsRequest::default()
        };
        narrator
            .expect(
                "Hanna lists the reservations that await her approval",
                hanna.reservations().list_reservations(request),
                &format!("{MEETING}: PENDING_APPROVAL, 90.00 EUR"),
            )
            .await?;
        let request = ApproveReservationRequest {
            reservation_id: reservation_id.clone(),
        };
        narrator
            .expect(
                "Hanna approves it",
                hanna.reservations().approve_reservation(request),
                &format!("{MEETING}: APPROVED, 90.00 EUR"),
            )
            .await?;
        let request = GetReservationRequest { reservation_id };
        narrator
            .eventually(
                "The payment follows automatically, and Rita's reservation is confirmed",
                async || rita.reservations().get_reservation(request.clone()).await,
                &format!("{MEETING}: CONFIRMED, 90.00 EUR"),
            )
            .await?;

        let wanted = booking_request(gus, meeting, day.hours(14, 15), "tok_approved");
        let reservation_id = wanted.reservation_id.clone();
        narrator
            .expect(
                "Gus requests an hour in the afternoon",
                gus.reservations().request_reservation(wanted),
                &format!("{MEETING}: PENDING_APPROVAL, 45.00 EUR"),
            )
            .await?;
        let request = RejectReservationRequest {
            reservation_id,
            reason: "It is being painted".to_owned(),
        };
        narrator
            .expect(
                "Hanna rejects it with a reason",
                hanna.reservations().reject_reservation(request),
                &format!("{MEETING}: REJECTED, 45.00 EUR, It is being painted"),
            )
            .await?;
        Ok(())
    }
}
