//! Nobody can keep everything to themselves.

use berth::{
    common::v1::Role,
    reservation::v1::{
        CancelReservationRequest, ListReservationsResponse, RequestReservationRequest,
    },
};
use tonic::{Response, Status};

use super::{MEETING, Story, wish};
use crate::demo::{people::Person, teller::Wrong};

/// How many open reservations a customer may have, unless the operator says otherwise.
const LIMIT: i32 = 10;

impl Story<'_> {
    pub(super) async fn limit(&mut self) -> Result<(), Wrong> {
        let Self {
            teller,
            channel,
            meeting,
            day,
            ..
        } = self;
        teller.chapter("Ten open reservations are enough for one");

        let nils = Person::joins(teller, channel, "Nils", Role::Customer).await?;
        let hour = |hour: i32| {
            let tomorrow = 24 + hour;
            wish(
                &nils,
                meeting,
                day.hours(tomorrow, tomorrow + 1),
                "tok_approved",
            )
        };
        let waits = format!("{MEETING}: PENDING_APPROVAL, 45.00 EUR");
        let all = teller
            .asks(
                "Nils asks for ten hours in a row, one by one",
                one_by_one(&nils, (0..LIMIT).map(hour)),
                &format!("{LIMIT} × {waits}"),
            )
            .await?;
        teller
            .is_refused(
                "Nils asks for one more",
                nils.reservations().request_reservation(hour(LIMIT)),
                "TOO_MANY_RESERVATIONS",
            )
            .await?;
        let first = all.reservations.into_iter().next().unwrap_or_default();
        let request = CancelReservationRequest {
            reservation_id: first.reservation_id,
            ..CancelReservationRequest::default()
        };
        teller
            .asks(
                "Nils gives the first one up",
                nils.reservations().cancel_reservation(request),
                &format!("{MEETING}: CANCELLED, 45.00 EUR, CANCELLED_BY_GUEST"),
            )
            .await?;
        teller
            .asks(
                "Now he may ask for another one",
                nils.reservations().request_reservation(hour(LIMIT)),
                &waits,
            )
            .await?;
        Ok(())
    }
}

async fn one_by_one(
    customer: &Person,
    wishes: impl Iterator<Item = RequestReservationRequest>,
) -> Result<Response<ListReservationsResponse>, Status> {
    let mut made = ListReservationsResponse::default();
    for wish in wishes {
        let answer = customer.reservations().request_reservation(wish).await?;
        made.reservations.extend(answer.into_inner().reservation);
    }
    Ok(Response::new(made))
}
