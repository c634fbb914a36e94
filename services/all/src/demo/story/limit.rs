//! The limit of open reservations for each customer.

use berth::{
    common::v1::Role,
    reservation::v1::{
        CancelReservationRequest, ListReservationsResponse, RequestReservationRequest,
    },
};
use tonic::{Response, Status};

use super::{MEETING, Story, booking_request};
use crate::demo::{narrator::Mismatch, people::Person};

/// The default limit of open reservations for each customer.
const LIMIT: i32 = 10;

impl Story<'_> {
    pub(super) async fn limit(&mut self) -> Result<(), Mismatch> {
        let Self {
            narrator,
            platform,
            meeting,
            day,
            ..
        } = self;
        narrator.chapter("A customer may have ten open reservations");

        let nils = Person::join(narrator, platform, "Nils", Role::Customer).await?;
        let hour = |hour: i32| {
            let tomorrow = 24 + hour;
            booking_request(
                &nils,
                meeting,
                day.hours(tomorrow, tomorrow + 1),
                "tok_approved",
            )
        };
        let waits = format!("{MEETING}: PENDING_APPROVAL, 45.00 EUR");
        let all = narrator
            .expect(
                "Nils requests ten consecutive hours, one by one",
                one_by_one(&nils, (0..LIMIT).map(hour)),
                &format!("{LIMIT} × {waits}"),
            )
            .await?;
        narrator
            .expect_refusal(
                "Nils requests one more",
                nils.reservations().request_reservation(hour(LIMIT)),
                "TOO_MANY_RESERVATIONS",
            )
            .await?;
        let first = all.reservations.into_iter().next().unwrap_or_default();
        let request = CancelReservationRequest {
            reservation_id: first.reservation_id,
            ..CancelReservationRequest::default()
        };
        narrator
            .expect(
                "Nils cancels the first one",
                nils.reservations().cancel_reservation(request),
                &format!("{MEETING}: CANCELLED, 45.00 EUR, CANCELLED_BY_GUEST"),
            )
            .await?;
        narrator
            .expect(
                "Now he may request another one",
                nils.reservations().request_reservation(hour(LIMIT)),
                &waits,
            )
            .await?;
        Ok(())
    }
}

async fn one_by_one(
    customer: &Person,
    booking_requests: impl Iterator<Item = RequestReservationRequest>,
) -> Result<Response<ListReservationsResponse>, Status> {
    let mut made = ListReservationsResponse::default();
    for booking_request in booking_requests {
        let answer = customer
            .reservations()
            .request_reservation(booking_request)
            .await?;
        made.reservations.extend(answer.into_inner().reservation);
    }
    Ok(Response::new(made))
}
