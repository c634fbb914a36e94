//! What people are told and shown, and what is not allowed.

use berth::{
    message::v1::ListMessagesRequest,
    room::v1::{CreateReviewRequest, DeleteRoomRequest, Review},
    view::v1::{GetRoomViewRequest, ListMyPageRequest},
};

use super::{HOUSE, MEETING, Story};
use crate::demo::teller::Wrong;

impl Story<'_> {
    pub(super) async fn screen(&mut self, cancelled: &str) -> Result<(), Wrong> {
        let Self {
            teller,
            hanna,
            gus,
            house,
            ..
        } = self;
        teller.chapter("Everybody is told, and sees everything on one screen");

        let about = ListMessagesRequest {
            reservation_id: cancelled.to_owned(),
            ..ListMessagesRequest::default()
        };
        teller
            .sees(
                "Gus reads his messages about the house",
                async || gus.messages().list_messages(about.clone()).await,
                "Reservation received | Reservation confirmed | Cancellation received | Reservation cancelled",
            )
            .await?;
        teller
            .sees(
                "Hanna reads hers",
                async || hanna.messages().list_messages(about.clone()).await,
                "Reservation confirmed | Reservation given up | Reservation cancelled",
            )
            .await?;
        let request = ListMyPageRequest::default();
        teller
            .sees(
                "Gus looks at his page",
                async || gus.views().list_my_page(request.clone()).await,
                &format!(
                    "{MEETING}: REJECTED, no payment, 2 messages | \
                     {HOUSE}: CANCELLED, payment REFUNDED, refund 130.00 EUR, 4 messages"
                ),
            )
            .await?;
        let request = GetRoomViewRequest {
            room_id: house.room_id.clone(),
        };
        teller
            .sees(
                "Hanna looks at how the house is doing",
                async || hanna.views().get_room_view(request.clone()).await,
                &format!(
                    "{HOUSE}: RESERVED, 3 reservations, the latest CONFIRMED, payment PAID, 0 reviews"
                ),
            )
            .await?;
        let request = DeleteRoomRequest {
            room_id: house.room_id.clone(),
        };
        teller
            .is_refused(
                "Hanna cannot take it off offer now",
                hanna.rooms().delete_room(request),
                "ROOM_HAS_RESERVATIONS",
            )
            .await?;
        let review = Review {
            reservation_id: cancelled.to_owned(),
            author_id: gus.id.clone(),
            rating: 5,
            text: "I have never been there".to_owned(),
            ..Review::default()
        };
        let request = CreateReviewRequest {
            review: Some(review),
        };
        teller
            .is_refused(
                "Gus reviews the house although he has not stayed there",
                gus.rooms().create_review(request),
                "STAY_NOT_COMPLETED",
            )
            .await?;
        teller.notes(
            "after the stay he may: the tests of the platform turn the clock, here it takes its time",
        );
        Ok(())
    }
}
