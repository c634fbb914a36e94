//! Conversion between the contract and the domain. Every field of a request is validated here, once.

mod events;
mod payment;
mod requests;

pub(crate) use self::{
    events::EVENTS,
    payment::shown,
    requests::{charge, is_chargeable, notice, optional_payment_id, page, payment_id, token},
};
