//! Conversion between the contracts and the domain. Every field of a request is validated here, once.

pub(crate) mod events;
mod list;
mod offer;
mod payment;
mod period;
mod requests;
mod reservation;
mod responses;
mod restore;

pub(crate) use self::{
    events::{EVENTS, entry},
    list::{listing, page},
    offer::terms,
    payment::{confirm, lost, outcome},
    requests::{actor, availability_of, booking_request, cancel, id, reject},
    reservation::reservation,
    responses::{availability, cancellation_quote, requested},
};
