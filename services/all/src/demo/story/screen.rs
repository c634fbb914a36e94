//! Messages, the view, and actions that are not allowed.

use berth::{
    message::v1::ListMessagesRequest,
    room::v1::{CreateReviewRequest, DeleteRoomRequest, Review},
    view::v1::{GetRoomViewRequest, ListMyPageRequest},
};

use super::{HOUSE, MEETING, Story};
use crate::demo::narrator::Mismatch;

impl Story<'_> {
    pub(super) async fn screen(&mut self, cancelled: &str) -> Result<(), Mismatch> {
        let Self {
            narrator,
            hanna,
            gus,
            house,
            ..
        } = self;
        narrator.chapter("Everybody gets messages and sees all reservations on one page");

        let about = ListMessagesRequest {
            reservation_id: cancelled.to_owned(),
            ..ListMessagesRequest::default()
        };
        narrator
            .eventually(
                "Gus reads his messages about the house",
                async || gus.messages().list_messages(about.clone()).await,
                "Reservation received | Reservation confirmed | Cancellation received | Reservation cancelled",
            )
            .await?;
        narrator
            .eventually(
                "Hanna reads hers",
                async || hanna.messages().list_messages(about.clone()).await,
                "Reservation confirmed | Reservation given up | Reservation cancelled",
            )
            .await?;
        let request = ListMyPageRequest::default();
        narrator
            .eventually(
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
        narrator
            .eventually(
                "Hanna looks at the summary of the house",
                async || hanna.views().get_room_view(request.clone()).await,
                &format!(
                    "{HOUSE}: RESERVED, 3 reservations, the latest CONFIRMED, payment PAID, 0 reviews"
                ),
            )
            .await?;
        let request = DeleteRoomRequest {
            room_id: house.room_id.clone(),
        };
        narrator
            .expect_refusal(
                "Hanna cannot delete the house now",
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
        narrator
            .expect_refusal(
                "Gus reviews the house although he has not stayed there",
                gus.rooms().create_review(request),
                "STAY_NOT_COMPLETED",
            )
            .await?;
        narrator.note(
            "after the stay he may; the tests of the platform advance the clock, the demo does not",
        );
        Ok(())
    }
}
