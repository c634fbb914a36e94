//! Calls to other contexts before a command: the terms of an offer, and the outcome of a charge.

use std::time::Duration;

use berth::{
    offer::v1::{GetOfferRequest, Offer, offer_service_client::OfferServiceClient},
    payment::v1::{ChargePaymentRequest, payment_service_client::PaymentServiceClient},
};
use chassis::{
    Caller, Deps, OfferId, ReservationId, Store,
    client::peers::Peers,
    error::status::{not_found, unavailable},
};
use tonic::{Code, Status};

use crate::{
    codec,
    domain::{Command, booking::Booking, terms::Terms},
    views,
};

/// The contexts that own offers.
const OFFERING: &[&str] = &["room"];
/// Deadline of `GetOffer`; after it the replica is used.
const OFFER_DEADLINE: Duration = Duration::from_millis(150);
/// Deadline of `ChargePayment`; after it the customer is asked to pay later.
const CHARGE_DEADLINE: Duration = Duration::from_secs(3);

/// Reads the terms of offers: from their owner, or from the replica if the owner is unavailable.
#[derive(Clone, Debug)]
pub(crate) struct Offers {
    peers: Peers,
    store: Store,
}

impl Offers {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            peers: deps.peers.clone(),
            store: deps.store.clone(),
        }
    }

    /// The terms of an offer. `NOT_FOUND` if every context that could own it returns that.
    pub(crate) async fn find(&self, caller: &Caller, id: OfferId) -> Result<Terms, Status> {
        let mut owner_failed = false;
        for context in OFFERING {
            match self.ask(caller, context, id).await {
                Ok(terms) => return Ok(terms),
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => {
                    tracing::warn!(context, offer.id = %id, code = ?status.code(), error = status.message(),
                        "offer owner failed, terms are read from the replica");
                    owner_failed = true;
                }
            }
        }
        if !owner_failed {
            return Err(not_found("offer"));
        }
        match views::offer(&self.store, id).await? {
            Some(offer) => codec::terms(offer),
            None => Err(unavailable(
                "OFFER_UNAVAILABLE",
                "the terms of the offer are not available now",
            )),
        }
    }

    async fn ask(&self, caller: &Caller, context: &str, id: OfferId) -> Result<Terms, Status> {
        let mut request = caller.request(GetOfferRequest {
            offer_id: id.to_string(),
        });
        request.set_timeout(OFFER_DEADLINE);
        let mut owner = OfferServiceClient::new(self.peers.to(context));
        let answer = owner.get_offer(request).await?.into_inner();
        codec::terms(answer.offer.unwrap_or_else(Offer::default))
    }
}

/// Charges bookings.
#[derive(Clone, Debug)]
pub(crate) struct Payments(Peers);

impl Payments {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self(deps.peers.clone())
    }

    /// Charges a booking. Returns the command that follows from the outcome; none if the outcome is unknown, and then an
    /// event reports it. The payment has the reservation's id, so a repeat charges nothing.
    pub(crate) async fn charge(
        &self,
        caller: &Caller,
        id: ReservationId,
        booking: &Booking,
    ) -> Option<Command> {
        let mut request = caller.request(ChargePaymentRequest {
            payment_id: id.to_string(),
            customer_id: booking.request.customer.to_string(),
            host_id: booking.host.to_string(),
            amount: Some(booking.price.into()),
            payment_method: booking.request.payment_method.0.clone(),
        });
        request.set_timeout(CHARGE_DEADLINE);
        let mut payments = PaymentServiceClient::new(self.0.to("payment"));
        match payments.charge_payment(request).await {
            Ok(answer) => {
                let payment = answer.into_inner().payment.unwrap_or_default();
                codec::outcome(&payment).unwrap_or_else(|error| {
                    tracing::error!(reservation.id = %id, error = %error, "the response to the charge violates its contract");
                    None
                })
            }
            Err(status) => {
                tracing::warn!(reservation.id = %id, code = ?status.code(), error = status.message(), "charge failed, to be paid later");
                None
            }
        }
    }
}
