//! A reservation service on a file of its own, with colleagues that do what a test says.

use std::{path::Path, sync::Arc};

use berth::{
    common::v1::Role,
    google::r#type::{Date, Money},
    offer::v1::{
        Approval, CancellationTier, DateRange, Offer, OfferKind, Period, TimeRange, Unit,
        period::Kind,
    },
    payment::v1::{self as payment, Payment},
    reservation::v1::{
        self as v1, Reservation, ReservationStatus,
        reservation_service_client::ReservationServiceClient,
    },
};
use chassis::{
    Caller, Clock, Fact, MemberId, OfferId, ReservationId, Store, Timestamp,
    base::{clock::ManualClock, faults::Faults, time, time::SignedDuration},
    client::peers::Peers,
    domain::event::Cause,
    error::status::reason_of,
    messaging::{bus::Bus, in_process::InProcess, log_reader::LogReader, relay::relay_once},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
    store::StoreOptions,
};
use chassis_testing::{noon, open_store, settle};
use prost::{Message, Name};
use tonic::{Code, Request, Status, service::Routes};

use crate::others::{Owner, Payments, Story, StoryId};

pub(crate) const GUEST: MemberId = MemberId::from_u128(0x61);
pub(crate) const HOST: MemberId = MemberId::from_u128(0x62);
pub(crate) const STRANGER: MemberId = MemberId::from_u128(0x63);
pub(crate) const OFFER: OfferId = OfferId::from_u128(0x64);
pub(crate) const TOKEN: &str = "tok_very_secret";

pub(crate) type Client = ReservationServiceClient<Routes>;

pub(crate) struct Bench {
    pub(crate) site: ContextRuntime,
    pub(crate) clock: ManualClock,
    pub(crate) payments: Payments,
    pub(crate) owner: Owner,
    pub(crate) faults: Faults,
    bus: Arc<dyn Bus>,
    payment_log: Store,
    room_log: Store,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// Everybody is there, and a house in Paris is on offer.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, faults) = (ManualClock::new(noon()), Faults::default());
        let payment_log = log("payment", dir.path(), &clock).await;
        let room_log = log("room", dir.path(), &clock).await;
        let (payments, owner) = (Payments::new(&faults), Owner::default());
        owner.offers(house());
        let peers = Peers::new();
        peers.add_local("payment", payments.routes());
        peers.add_local("room", owner.routes());
        let bus: Arc<dyn Bus> = InProcess::new();
        let context = reservation::context();
        let readers: [(&str, Arc<dyn LogReader>); 2] = [
            ("payment", Arc::new(payment_log.clone())),
            ("room", Arc::new(room_log.clone())),
        ];
        let around = Wiring {
            peers,
            logs: Arc::new(readers.map(|(name, log)| (name.to_owned(), log)).into()),
            bus: bus.clone(),
            settings: Settings::defaults(&context.settings).unwrap(),
        };
        let turned = Clock::Manual(clock.clone());
        let store = open_store(&context, dir.path(), turned, faults.clone()).await;
        let site = ContextRuntime::new(context, store.unwrap(), &around);
        Self {
            site,
            clock,
            payments,
            owner,
            faults,
            bus,
            payment_log,
            room_log,
            _dir: dir,
        }
    }

    /// The same, and the host of the house must agree.
    pub(crate) async fn with_a_host() -> Self {
        let bench = Self::new().await;
        bench.owner.offers(Offer {
            approval: Approval::Host.into(),
            ..house()
        });
        bench
    }

    pub(crate) fn client(&self) -> Client {
        let routes = self.site.context.make_routes(&self.site.deps);
        ReservationServiceClient::new(routes.prepare())
    }

    pub(crate) async fn request(
        &self,
        request: v1::RequestReservationRequest,
    ) -> Result<v1::RequestReservationResponse, Status> {
        let customer = request.customer_id.parse();
        let request = of(guest(customer.unwrap_or(GUEST)), request);
        Ok(self
            .client()
            .request_reservation(request)
            .await?
            .into_inner())
    }

    pub(crate) async fn book(&self, id: u128) -> Result<Reservation, Status> {
        Ok(shown(self.request(booking_request(id)).await?.reservation))
    }

    pub(crate) async fn pay(&self, id: u128) -> Result<Reservation, Status> {
        let request = v1::PayReservationRequest {
            reservation_id: text(id),
        };
        let answer = self
            .client()
            .pay_reservation(of(guest(GUEST), request))
            .await?;
        Ok(shown(answer.into_inner().reservation))
    }

    pub(crate) async fn approve(&self, id: u128) -> Result<Reservation, Status> {
        let request = v1::ApproveReservationRequest {
            reservation_id: text(id),
        };
        let answer = self
            .client()
            .approve_reservation(of(host(), request))
            .await?;
        Ok(shown(answer.into_inner().reservation))
    }

    pub(crate) async fn reject(&self, id: u128, reason: &str) -> Result<Reservation, Status> {
        let request = v1::RejectReservationRequest {
            reservation_id: text(id),
            reason: reason.into(),
        };
        let answer = self
            .client()
            .reject_reservation(of(host(), request))
            .await?;
        Ok(shown(answer.into_inner().reservation))
    }

    pub(crate) async fn quote(
        &self,
        by: Caller,
        id: u128,
    ) -> Result<v1::QuoteCancellationResponse, Status> {
        let request = v1::QuoteCancellationRequest {
            reservation_id: text(id),
        };
        Ok(self
            .client()
            .quote_cancellation(of(by, request))
            .await?
            .into_inner())
    }

    pub(crate) async fn cancel(
        &self,
        by: Caller,
        id: u128,
        expected_refund: Option<Money>,
    ) -> Result<Reservation, Status> {
        let request = v1::CancelReservationRequest {
            reservation_id: text(id),
            reason: "ill".into(),
            expected_refund,
        };
        let answer = self.client().cancel_reservation(of(by, request)).await?;
        Ok(shown(answer.into_inner().reservation))
    }

    pub(crate) async fn get(&self, id: u128) -> Reservation {
        let request = v1::GetReservationRequest {
            reservation_id: text(id),
        };
        let answer = self.client().get_reservation(of(admin(), request)).await;
        shown(answer.unwrap().into_inner().reservation)
    }

    pub(crate) async fn status(&self, id: u128) -> ReservationStatus {
        self.get(id).await.status()
    }

    pub(crate) async fn history(&self, id: u128) -> Vec<v1::HistoryEntry> {
        let request = v1::GetReservationHistoryRequest {
            reservation_id: text(id),
        };
        let answer = self
            .client()
            .get_reservation_history(of(admin(), request))
            .await;
        answer.unwrap().into_inner().entries
    }

    /// The short names of what happened to a reservation.
    pub(crate) async fn published(&self, id: u128) -> Vec<String> {
        let entries = self.history(id).await.into_iter();
        entries
            .map(|entry| entry.event_type.rsplit('.').next().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn availability(
        &self,
        period: Period,
        quantity: i32,
    ) -> Result<v1::GetAvailabilityResponse, Status> {
        let request = v1::GetAvailabilityRequest {
            offer_id: OFFER.to_string(),
            period: Some(period),
            quantity,
        };
        let request = of(Caller::default(), request);
        Ok(self.client().get_availability(request).await?.into_inner())
    }

    /// How many claims there are.
    pub(crate) async fn claims(&self) -> usize {
        self.site.deps.store.claims().await.unwrap().len()
    }

    /// How many claims a reservation holds.
    pub(crate) async fn claims_of(&self, id: u128) -> usize {
        let claims = self.site.deps.store.claims().await.unwrap();
        let holder = format!("reservation/{}", text(id));
        claims
            .iter()
            .filter(|(_, _, owner)| *owner == holder)
            .count()
    }

    /// Does all there is to do now.
    pub(crate) async fn settle(&self) {
        settle(std::slice::from_ref(&self.site), 100).await.unwrap();
    }

    /// Lets time pass and does all there is to do then.
    pub(crate) async fn wait(&self, time: SignedDuration) {
        self.clock.turn(time);
        self.settle().await;
    }

    /// The payment service publishes an event, and it is consumed.
    pub(crate) async fn payment_tells<E: Message + Name>(&self, event: E) {
        tell(&self.payment_log, &self.bus, event).await;
        self.settle().await;
    }

    /// The owner of offers publishes an event, and it is consumed.
    pub(crate) async fn room_tells<E: Message + Name>(&self, event: E) {
        tell(&self.room_log, &self.bus, event).await;
        self.settle().await;
    }

    pub(crate) async fn payment_is_approved(&self, id: u128) {
        self.payment_tells(payment::PaymentApproved {
            payment: Some(paid(id)),
        })
        .await;
    }

    pub(crate) async fn payment_is_declined(&self, id: u128) {
        let payment = Payment {
            reason: "INSUFFICIENT_FUNDS".into(),
            ..paid(id)
        };
        self.payment_tells(payment::PaymentDeclined {
            payment: Some(payment),
        })
        .await;
    }

    pub(crate) async fn payment_is_delayed(&self, id: u128) {
        self.payment_tells(payment::PaymentDelayed {
            payment: Some(paid(id)),
        })
        .await;
    }

    pub(crate) async fn payment_is_refunded(&self, id: u128) {
        let payment = Some(paid(id));
        self.payment_tells(payment::PaymentCancelled {
            payment,
            refund: None,
        })
        .await;
    }

    /// No event has become a dead letter.
    pub(crate) async fn nothing_is_parked(&self) {
        let none = (String::new(), String::new(), 0);
        let letters = self.site.deps.store.dead_letters(none, 10).await.unwrap();
        assert_eq!(letters, []);
    }
}

async fn log(context: &'static str, dir: &Path, clock: &ManualClock) -> Store {
    let options = StoreOptions {
        clock: Clock::Manual(clock.clone()),
        ..StoreOptions::default()
    };
    let path = dir.join(format!("{context}.db"));
    Store::sqlite(context, &path, options).await.unwrap()
}

async fn tell<E: Message + Name>(log: &Store, bus: &Arc<dyn Bus>, event: E) {
    let id = StoryId::from_u128(1);
    let (fact, cause) = (Fact::of(&event), Cause::by("test"));
    log.execute::<Story>(id, fact, &cause).await.unwrap();
    relay_once(log, bus).await.unwrap();
}

/// A house in Paris for two, of which there are two, at 100 euros a night.
pub(crate) fn house() -> Offer {
    let tier = |hours_before, refund_percent| CancellationTier {
        hours_before,
        refund_percent,
    };
    Offer {
        offer_id: OFFER.to_string(),
        kind: OfferKind::Room.into(),
        owner_id: HOST.to_string(),
        title: "Beautiful House".into(),
        unit: Unit::Night.into(),
        capacity: 2,
        max_persons: 2,
        price: Some(eur(100)),
        approval: Approval::None.into(),
        cancellation_tiers: vec![tier(168, 100), tier(24, 50)],
        time_zone: "Europe/Paris".into(),
        version: 1,
        ..Offer::default()
    }
}

/// Two nights from 1 April 2027 for two.
pub(crate) fn booking_request(id: u128) -> v1::RequestReservationRequest {
    v1::RequestReservationRequest {
        reservation_id: text(id),
        offer_id: OFFER.to_string(),
        customer_id: GUEST.to_string(),
        period: Some(nights(1, 3)),
        quantity: 1,
        persons: 2,
        payment_method: TOKEN.into(),
    }
}

pub(crate) fn date(year: i32, month: i32, day: i32) -> Date {
    Date { year, month, day }
}

pub(crate) fn dates(start: Date, end: Date) -> Period {
    let range = DateRange {
        start_date: Some(start),
        end_date: Some(end),
    };
    Period {
        kind: Some(Kind::Dates(range)),
    }
}

/// Nights of April 2027.
pub(crate) fn nights(start: i32, end: i32) -> Period {
    dates(date(2027, 4, start), date(2027, 4, end))
}

pub(crate) fn hours(start: &str, end: &str) -> Period {
    let time = |text: &str| Some(time::to_proto(text.parse().unwrap()));
    let range = TimeRange {
        start_time: time(start),
        end_time: time(end),
    };
    Period {
        kind: Some(Kind::Times(range)),
    }
}

pub(crate) fn eur(units: i64) -> Money {
    Money {
        currency_code: "EUR".into(),
        units,
        nanos: 0,
    }
}

/// The payment of the booking_request.
pub(crate) fn paid(id: u128) -> Payment {
    Payment {
        payment_id: text(id),
        reservation_id: text(id),
        customer_id: GUEST.to_string(),
        amount: Some(eur(200)),
        ..Payment::default()
    }
}

pub(crate) fn text(id: u128) -> String {
    ReservationId::from_u128(id).to_string()
}

pub(crate) fn of<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) fn guest(member: MemberId) -> Caller {
    Caller::person(member, &[Role::Customer])
}

pub(crate) fn host() -> Caller {
    Caller::person(HOST, &[Role::Customer, Role::Host])
}

pub(crate) fn admin() -> Caller {
    let admin = MemberId::from_u128(0x99);
    Caller::person(admin, &[Role::Customer, Role::Host, Role::Admin])
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn shown(reservation: Option<Reservation>) -> Reservation {
    reservation.unwrap()
}

/// It was refused with a code and a reason.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    let found = (status.code(), reason_of(&status).unwrap_or_default());
    assert_eq!(found, (code, reason.to_owned()), "{status:?}");
}
