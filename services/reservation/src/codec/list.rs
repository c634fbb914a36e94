//! Pages of the list: the request, and the token of the next page.

use berth::reservation::v1::{ListReservationsRequest, ReservationStatus};
use chassis::{MemberId, Violations, base::page};
use tonic::Status;

use crate::views::{Listing, Position};

/// The filter and the page that are requested.
pub(crate) fn listing(
    request: &ListReservationsRequest,
    of: Option<MemberId>,
) -> Result<Listing, Status> {
    let mut wrong = Violations::new();
    let offer = Some(&request.offer_id).filter(|id| !id.is_empty());
    let offer = offer.and_then(|id| wrong.parse("offer_id", id));
    let status = ReservationStatus::try_from(request.status);
    wrong.require(status.is_ok(), "status", "must be a known status");
    let size = wrong.page_size(request.page_size);
    let token = wrong.page_token(&request.page_token);
    let before = token.as_ref().and_then(position);
    wrong.require(
        token.is_some() == before.is_some(),
        "page_token",
        "must be the next_page_token of a page",
    );
    let listing = size.map(|size| Listing {
        of,
        offer,
        status: request.status,
        before,
        size,
    });
    wrong.check(listing)
}

/// One page, and the token of the next one.
pub(crate) fn page(found: Vec<Position>, listing: &Listing) -> (Vec<Position>, String) {
    page::cut(found, listing.size, |(created, id)| {
        page::token([&created.to_string(), &id.to_string()])
    })
}

fn position([created, id]: &[String; 2]) -> Option<Position> {
    Some((created.parse().ok()?, id.parse().ok()?))
}
