//! The colleagues at the boundary: a payment service and an owner of offers that do what a test says, and the logs on
//! which they publish.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use berth::{
    offer::v1::{
        GetOfferRequest, GetOfferResponse, Offer,
        offer_service_server::{OfferService, OfferServiceServer},
    },
    payment::v1::{
        self as payment, ChargePaymentRequest, ChargePaymentResponse, Payment, PaymentStatus,
        payment_service_server::{PaymentService, PaymentServiceServer},
    },
};
use chassis::{
    Aggregate, Fact, Kind, Now, Publish, Refused, ReservationId, Versioned,
    base::faults::Faults,
    error::status::{not_found, unavailable},
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status, service::Routes};

/// What the payment service does with a charge that it has not seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charging {
    #[default]
    Pays,
    Declines,
    Delays,
    /// It is not there.
    IsDown,
    /// It charges, and its answer is lost.
    LosesTheAnswer,
    /// It charges, and then our own store fails once.
    BreaksOurStore,
}

/// A payment service. What it has charged once it charges never again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payments(Arc<Mutex<PaymentBooks>>);

#[derive(Debug, Default)]
struct PaymentBooks {
    charging: Charging,
    payments: BTreeMap<String, Payment>,
    methods: BTreeMap<String, String>,
    asked: usize,
    faults: Faults,
}

impl Payments {
    pub(crate) fn new(faults: &Faults) -> Self {
        let payments = Self::default();
        payments.0.lock().unwrap().faults = faults.clone();
        payments
    }

    pub(crate) fn now(&self, charging: Charging) {
        self.0.lock().unwrap().charging = charging;
    }

    /// How often it was asked, and how many payments that made.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let books = self.0.lock().unwrap();
        (books.asked, books.payments.len())
    }

    pub(crate) fn method(&self, id: ReservationId) -> String {
        self.0.lock().unwrap().methods[&id.to_string()].clone()
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(PaymentServiceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn charge_payment(
        &self,
        request: Request<ChargePaymentRequest>,
    ) -> Result<Response<ChargePaymentResponse>, Status> {
        let request = request.into_inner();
        let mut books = self.0.lock().unwrap();
        books.asked += 1;
        let charging = books.charging;
        if charging == Charging::IsDown {
            return Err(unavailable("DOWN", "down"));
        }
        let status = match charging {
            Charging::Declines => PaymentStatus::Declined,
            Charging::Delays => PaymentStatus::Pending,
            _ => PaymentStatus::Paid,
        };
        let reason = (status == PaymentStatus::Declined).then(|| "INSUFFICIENT_FUNDS".to_owned());
        let id = request.payment_id.clone();
        books.methods.insert(id.clone(), request.payment_method);
        let made = Payment {
            payment_id: id.clone(),
            reservation_id: id.clone(),
            customer_id: request.customer_id,
            amount: request.amount,
            status: status.into(),
            reason: reason.unwrap_or_default(),
            ..Payment::default()
        };
        let payment = books.payments.entry(id).or_insert(made).clone();
        if charging == Charging::LosesTheAnswer {
            return Err(Status::deadline_exceeded("lost"));
        }
        if charging == Charging::BreaksOurStore {
            books.faults.arm("store.commit", 1);
        }
        let payment = Some(payment);
        Ok(Response::new(ChargePaymentResponse { payment }))
    }

    async fn get_payment(
        &self,
        _: Request<payment::GetPaymentRequest>,
    ) -> Result<Response<payment::GetPaymentResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn list_payments(
        &self,
        _: Request<payment::ListPaymentsRequest>,
    ) -> Result<Response<payment::ListPaymentsResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_ledger(
        &self,
        _: Request<payment::GetLedgerRequest>,
    ) -> Result<Response<payment::GetLedgerResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn receive_notification(
        &self,
        _: Request<payment::ReceiveNotificationRequest>,
    ) -> Result<Response<payment::ReceiveNotificationResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

/// The owner of offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner(Arc<Mutex<OwnerBooks>>);

#[derive(Debug, Default)]
struct OwnerBooks {
    down: bool,
    offers: BTreeMap<String, Offer>,
}

impl Owner {
    pub(crate) fn offers(&self, offer: Offer) {
        let mut books = self.0.lock().unwrap();
        books.offers.insert(offer.offer_id.clone(), offer);
    }

    pub(crate) fn forgets(&self) {
        self.0.lock().unwrap().offers.clear();
    }

    pub(crate) fn is_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(OfferServiceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl OfferService for Owner {
    async fn get_offer(
        &self,
        request: Request<GetOfferRequest>,
    ) -> Result<Response<GetOfferResponse>, Status> {
        let books = self.0.lock().unwrap();
        if books.down {
            return Err(unavailable("DOWN", "down"));
        }
        let offer = books.offers.get(&request.into_inner().offer_id).cloned();
        let offer = Some(offer.ok_or_else(|| not_found("offer"))?);
        Ok(Response::new(GetOfferResponse { offer }))
    }
}

chassis::id! {
    /// What a colleague tells of.
    StoryId,
}

/// Whatever a colleague has to tell: every command is a fact for its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Story;

/// A story is never refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Never {}

impl Refused for Never {
    fn kind(&self) -> Kind {
        match *self {}
    }
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Story {
    const KIND: &'static str = "story";
    type Id = StoryId;
    type Command = Fact;
    type Event = Fact;
    type Refusal = Never;

    fn decide(_: Option<&Self>, fact: &Fact, _: &Now) -> Result<Vec<Fact>, Never> {
        Ok(vec![fact.clone()])
    }

    fn evolve(_: Option<Self>, _: &Fact) -> Option<Self> {
        Some(Self)
    }
}

impl Publish for Story {
    fn facts(_: StoryId, fact: &Fact, _: &Versioned<Self>) -> Vec<Fact> {
        vec![fact.clone()]
    }
}
