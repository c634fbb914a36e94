//! The host must agree: asked, approved, then charged; or rejected, and never charged.

use berth::{
    payment::v1::GetPaymentRequest,
    reservation::v1::{
        ApproveReservationRequest, GetReservationRequest, ListReservationsRequest,
        RejectReservationRequest, ReservationStatus,
    },
};

use super::{MEETING, Story, wish};
use crate::demo::teller::Wrong;

impl Story<'_> {
    pub(super) async fn approval(&mut self) -> Result<(), Wrong> {
        let Self {
            teller,
            hanna,
            gus,
            rita,
            meeting,
            day,
            ..
        } = self;
        teller.chapter("A host approves, and only then it is charged");

        let wanted = wish(rita, meeting, day.hours(9, 11), "tok_approved");
        let reservation_id = wanted.reservation_id.clone();
        teller
            .asks(
                "Rita asks for the meeting room for two hours",
                rita.reservations().request_reservation(wanted),
                &format!("{MEETING}: PENDING_APPROVAL, 90.00 EUR"),
            )
            .await?;
        let request = GetPaymentRequest {
            payment_id: reservation_id.clone(),
        };
        teller
            .is_refused(
                "Nothing is charged yet: Rita has no such payment",
                rita.payments().get_payment(request),
                "NOT_FOUND",
            )
            .await?;
        let request = ListReservationsRequest {
            status: ReservationStatus::PendingApproval.into(),
            ..ListReservationsRequest::default()
        };
        teller
            .asks(
                "Hanna looks at what waits for her",
                hanna.reservations().list_reservations(request),
                &format!("{MEETING}: PENDING_APPROVAL, 90.00 EUR"),
            )
            .await?;
        let request = ApproveReservationRequest {
            reservation_id: reservation_id.clone(),
        };
        teller
            .asks(
                "Hanna approves it",
                hanna.reservations().approve_reservation(request),
                &format!("{MEETING}: APPROVED, 90.00 EUR"),
            )
            .await?;
        let request = GetReservationRequest { reservation_id };
        teller
            .sees(
                "It is charged by itself, and Rita's reservation is confirmed",
                async || rita.reservations().get_reservation(request.clone()).await,
                &format!("{MEETING}: CONFIRMED, 90.00 EUR"),
            )
            .await?;

        let wanted = wish(gus, meeting, day.hours(14, 15), "tok_approved");
        let reservation_id = wanted.reservation_id.clone();
        teller
            .asks(
                "Gus asks for an hour in the afternoon",
                gus.reservations().request_reservation(wanted),
                &format!("{MEETING}: PENDING_APPROVAL, 45.00 EUR"),
            )
            .await?;
        let request = RejectReservationRequest {
            reservation_id,
            reason: "It is being painted".to_owned(),
        };
        teller
            .asks(
                "Hanna rejects it and says why",
                hanna.reservations().reject_reservation(request),
                &format!("{MEETING}: REJECTED, 45.00 EUR, It is being painted"),
            )
            .await?;
        Ok(())
    }
}
