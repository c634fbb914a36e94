//! Reviews: requests, responses, events.

use berth::room::v1;
use chassis::{Fact, Publish, ReservationId, Versioned, Violations, base::time};
use tonic::Status;

use super::{id, masked, page, version};
use crate::{
    domain::{
        By, Review, RoomId,
        review::{Command, Content, Edit, Event, Rating},
    },
    views::Page,
};

/// The fields that ModifyReview can change.
const CHANGEABLE: &[&str] = &["rating", "text"];

pub(crate) fn create(request: v1::CreateReviewRequest) -> Result<(ReservationId, Command), Status> {
    let mut violations = Violations::new();
    let v = &mut violations;
    let review = request.review.unwrap_or_default();
    let id = v.parse("review.reservation_id", &review.reservation_id);
    let author = v.parse("review.author_id", &review.author_id);
    let rating = rating(v, &review);
    let text = text(v, &review);
    let command = (|| {
        let command = Command::Create {
            author: author?,
            content: Content {
                rating: rating?,
                text: text?,
            },
        };
        Some((id?, command))
    })();
    violations.check(command)
}

pub(crate) fn modify(
    by: By,
    request: v1::ModifyReviewRequest,
) -> Result<(ReservationId, Command), Status> {
    let mut violations = Violations::new();
    let v = &mut violations;
    let review = request.review.unwrap_or_default();
    let id = v.parse("review.reservation_id", &review.reservation_id);
    let from = version(v, "review.version", review.version);
    let fields = masked(v, request.update_mask.as_ref(), CHANGEABLE);
    // A field that is filtered out here has a violation.
    let edits = fields.into_iter().filter_map(|field| match field {
        "rating" => rating(v, &review).map(Edit::Rating),
        _ => text(v, &review).map(Edit::Text),
    });
    let edits: Vec<Edit> = edits.collect();
    violations.check(id.map(|id| (id, Command::Modify { by, from, edits })))
}

pub(crate) fn delete(
    by: By,
    request: &v1::DeleteReviewRequest,
) -> Result<(ReservationId, Command), Status> {
    let id = id("reservation_id", &request.reservation_id)?;
    Ok((id, Command::Delete { by }))
}

pub(crate) fn list(
    request: &v1::ListReviewsRequest,
) -> Result<(RoomId, Page<ReservationId>), Status> {
    let mut violations = Violations::new();
    let room = violations.parse("room_id", &request.room_id);
    let page = page(&mut violations, request.page_size, &request.page_token);
    violations.check(room.zip(page))
}

fn rating(v: &mut Violations, review: &v1::Review) -> Option<Rating> {
    let rating = Rating::new(review.rating);
    v.require(rating.is_some(), "review.rating", "must be 1 to 5");
    rating
}

fn text(v: &mut Violations, review: &v1::Review) -> Option<String> {
    v.text("review.text", review.text.clone(), 1, 5000)
}

/// The review, unless it is not written yet or deleted.
pub(crate) fn to_proto(id: ReservationId, review: &Versioned<Review>) -> Option<v1::Review> {
    match &review.state {
        Review::Written(written) => Some(v1::Review {
            reservation_id: id.to_string(),
            room_id: written.stay.room.to_string(),
            author_id: written.stay.guest.to_string(),
            rating: written.content.rating.get(),
            text: written.content.text.clone(),
            version: written.version,
            create_time: Some(time::to_proto(written.at)),
            update_time: Some(time::to_proto(review.updated)),
        }),
        Review::Invited(_) | Review::Deleted(_) => None,
    }
}

impl Publish for Review {
    fn facts(id: ReservationId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let review = to_proto(id, after);
        let fact = match event {
            Event::Invited(_) => return Vec::new(),
            Event::Created { .. } => Fact::of(&v1::ReviewCreated { review }),
            Event::Modified { before, .. } => Fact::of(&v1::ReviewModified {
                review,
                previous_rating: before.get(),
            }),
            Event::Deleted { before } => Fact::of(&v1::ReviewDeleted {
                reservation_id: id.to_string(),
                room_id: after.state.stay().room.to_string(),
                rating: before.get(),
            }),
        };
        vec![fact.about(id)]
    }
}
