//! The gRPC service: one short method for each rpc.

use berth::reservation::v1::{
    self as v1,
    reservation_service_server::{ReservationService, ReservationServiceServer},
};
use chassis::{
    Caller, Clock, Deps, MemberId, ReservationId, Store, Versioned, accept,
    base::time::SignedDuration,
    error::status::{internal, not_found, unavailable},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    clients::{Offers, Payments},
    codec,
    domain::{
        Command, Reservation,
        availability::Availability,
        booking::{self, BookingRequest, Rules},
        claims::{Free, unit_claim_range},
        refusal::Refusal,
        terms::Approval,
    },
    settings::Settings,
    views,
};

/// Retry delay for a customer whose charge did not succeed at once.
const PAY_AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// The routes of the service.
pub(crate) fn routes(deps: &Deps) -> Routes {
    Routes::new(ReservationServiceServer::new(Api {
        store: deps.store.clone(),
        clock: deps.clock.clone(),
        offers: Offers::new(deps),
        payments: Payments::new(deps),
        rules: deps.settings::<Settings>().rules(),
    }))
}

struct Api {
    store: Store,
    clock: Clock,
    offers: Offers,
    payments: Payments,
    rules: Rules,
}

type Stored = Versioned<Reservation>;
type Reply<T> = Result<Response<T>, Status>;

impl Api {
    /// Books by the present terms of the offer.
    async fn book(
        &self,
        caller: &Caller,
        id: ReservationId,
        booking_request: BookingRequest,
    ) -> Result<Stored, Status> {
        let terms = self.offers.find(caller, booking_request.offer).await?;
        let proposal = booking::Proposal {
            booking_request,
            terms,
            rules: self.rules,
        };
        self.execute(caller, id, Command::Request(Box::new(proposal)))
            .await
    }

    /// Charges a reservation and records the outcome; returns none if the outcome is unknown.
    async fn charge(
        &self,
        caller: &Caller,
        id: ReservationId,
        known: &Stored,
    ) -> Result<Option<Stored>, Status> {
        match self.payments.charge(caller, id, &known.state.booking).await {
            Some(outcome) => self.execute(caller, id, outcome).await.map(Some),
            None => Ok(None),
        }
    }

    async fn execute(
        &self,
        caller: &Caller,
        id: ReservationId,
        command: Command,
    ) -> Result<Stored, Status> {
        let cause = caller.cause();
        let done = self.store.execute::<Reservation>(id, command, &cause);
        Ok(done.await?.now)
    }

    /// Loads a reservation. `NOT_FOUND` unless the caller is one of its `owners` or an operator.
    async fn visible(
        &self,
        caller: &Caller,
        id: ReservationId,
        owners: fn(&Reservation) -> Vec<MemberId>,
    ) -> Result<Stored, Status> {
        let known = self.store.load::<Reservation>(id).await?;
        let known = known.ok_or_else(|| not_found("reservation"))?;
        caller.require_visible(&owners(&known.state), "reservation")?;
        Ok(known)
    }
}

fn customer(reservation: &Reservation) -> Vec<MemberId> {
    vec![reservation.booking.request.customer]
}

fn both(reservation: &Reservation) -> Vec<MemberId> {
    vec![
        reservation.booking.request.customer,
        reservation.booking.host,
    ]
}

#[tonic::async_trait]
impl ReservationService for Api {
    async fn request_reservation(
        &self,
        request: Request<v1::RequestReservationRequest>,
    ) -> Reply<v1::RequestReservationResponse> {
        let (caller, request) = accept(request);
        let (id, booking_request) = codec::booking_request(request)?;
        let mut known = match self.store.load::<Reservation>(id).await? {
            Some(known) => {
                known.state.requested_again(&booking_request)?;
                known
            }
            None => self.book(&caller, id, booking_request).await?,
        };
        let at_once = known.state.booking.approval == Approval::Nobody;
        if at_once && known.state.is_to_pay(self.clock.now()) == Ok(true) {
            known = self.charge(&caller, id, &known).await?.unwrap_or(known);
        }
        let pay_again = match known.state.is_to_pay(self.clock.now()) {
            Err(declined @ Refusal::PaymentDeclined(_)) => return Err(declined.into()),
            to_pay => (at_once && to_pay == Ok(true)).then_some(PAY_AGAIN),
        };
        Ok(Response::new(codec::requested(
            codec::reservation(id, &known),
            pay_again,
        )))
    }

    async fn pay_reservation(
        &self,
        request: Request<v1::PayReservationRequest>,
    ) -> Reply<v1::PayReservationResponse> {
        let (caller, request) = accept(request);
        let id = codec::id(&request.reservation_id)?;
        let mut known = self.visible(&caller, id, customer).await?;
        if known.state.is_to_pay(self.clock.now())? {
            let charged = self.charge(&caller, id, &known).await?;
            known = charged.ok_or_else(|| {
                unavailable(
                    "PAYMENT_UNAVAILABLE",
                    "the payment service is unavailable; pay later",
                )
            })?;
            known.state.is_to_pay(self.clock.now())?;
        }
        let reservation = Some(codec::reservation(id, &known));
        Ok(Response::new(v1::PayReservationResponse { reservation }))
    }

    async fn approve_reservation(
        &self,
        request: Request<v1::ApproveReservationRequest>,
    ) -> Reply<v1::ApproveReservationResponse> {
        let (caller, request) = accept(request);
        let id = codec::id(&request.reservation_id)?;
        let by = codec::actor(&caller)?;
        let known = self.execute(&caller, id, Command::Approve { by }).await?;
        let reservation = Some(codec::reservation(id, &known));
        Ok(Response::new(v1::ApproveReservationResponse {
            reservation,
        }))
    }

    async fn reject_reservation(
        &self,
        request: Request<v1::RejectReservationRequest>,
    ) -> Reply<v1::RejectReservationResponse> {
        let (caller, request) = accept(request);
        let (id, command) = codec::reject(request, codec::actor(&caller)?)?;
        let known = self.execute(&caller, id, command).await?;
        let reservation = Some(codec::reservation(id, &known));
        Ok(Response::new(v1::RejectReservationResponse { reservation }))
    }

    async fn quote_cancellation(
        &self,
        request: Request<v1::QuoteCancellationRequest>,
    ) -> Reply<v1::QuoteCancellationResponse> {
        let (caller, request) = accept(request);
        let id = codec::id(&request.reservation_id)?;
        let by = codec::actor(&caller)?;
        let known = self.visible(&caller, id, both).await?;
        let quote = known.state.cancellation_quote(by, self.clock.now())?;
        Ok(Response::new(codec::cancellation_quote(&quote)))
    }

    async fn cancel_reservation(
        &self,
        request: Request<v1::CancelReservationRequest>,
    ) -> Reply<v1::CancelReservationResponse> {
        let (caller, request) = accept(request);
        let (id, command) = codec::cancel(request, codec::actor(&caller)?)?;
        let known = self.execute(&caller, id, command).await?;
        let reservation = Some(codec::reservation(id, &known));
        Ok(Response::new(v1::CancelReservationResponse { reservation }))
    }

    async fn get_reservation(
        &self,
        request: Request<v1::GetReservationRequest>,
    ) -> Reply<v1::GetReservationResponse> {
        let (caller, request) = accept(request);
        let id = codec::id(&request.reservation_id)?;
        let known = self.visible(&caller, id, both).await?;
        let reservation = Some(codec::reservation(id, &known));
        Ok(Response::new(v1::GetReservationResponse { reservation }))
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Reply<v1::ListReservationsResponse> {
        let (caller, request) = accept(request);
        let of = if caller.is_admin() {
            None
        } else {
            Some(caller.member()?)
        };
        let listing = codec::listing(&request, of)?;
        let found = views::listed(&self.store, listing.clone()).await?;
        let (positions, next_page_token) = codec::page(found, &listing);
        let ids = positions.into_iter().map(|(_, id)| id).collect();
        let found = self.store.load_all::<Reservation>(ids).await?;
        let shown = found
            .iter()
            .map(|(id, known)| codec::reservation(*id, known));
        Ok(Response::new(v1::ListReservationsResponse {
            reservations: shown.collect(),
            next_page_token,
        }))
    }

    async fn get_reservation_history(
        &self,
        request: Request<v1::GetReservationHistoryRequest>,
    ) -> Reply<v1::GetReservationHistoryResponse> {
        let (caller, request) = accept(request);
        let id = codec::id(&request.reservation_id)?;
        self.visible(&caller, id, both).await?;
        let log = self.store.log_of(id.to_string()).await?;
        let entries: Result<_, _> = log.into_iter().map(codec::entry).collect();
        let entries = entries.map_err(|error| internal(&error))?;
        Ok(Response::new(v1::GetReservationHistoryResponse { entries }))
    }

    async fn get_availability(
        &self,
        request: Request<v1::GetAvailabilityRequest>,
    ) -> Reply<v1::GetAvailabilityResponse> {
        let (caller, request) = accept(request);
        let (offer, period, quantity) = codec::availability_of(&request)?;
        let terms = self.offers.find(&caller, offer).await?;
        let units = unit_claim_range(offer, &period, terms.capacity, terms.capacity);
        let taken = self.store.taken(units).await?;
        let free = Free::of(terms.capacity, taken.iter().map(String::as_str));
        let at = self.clock.now();
        let availability = Availability::of(&terms, &period, quantity, &free, at)?;
        Ok(Response::new(codec::availability(&availability)))
    }
}
