//! A payment service on a file of its own, a reservation log to feed it with, and the provider's provider_ledger to check it by.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use berth::{
    common::v1::Role,
    payment::v1::{
        ChargePaymentRequest, GetLedgerRequest, GetPaymentRequest, Payment, PaymentApproved,
        PaymentStatus, payment_service_client::PaymentServiceClient,
    },
    reservation::v1 as reservation,
};
use chassis::{
    Aggregate, Caller, Clock, Fact, Kind, MemberId, Money, Now, Publish, Refused, ReservationId,
    Store, Versioned, args,
    base::{clock::ManualClock, faults::Faults, time::SignedDuration},
    client::peers::Peers,
    domain::event::Cause,
    messaging::{bus::Bus, in_process::InProcess, log_reader::LogReader, relay::relay_once},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
    store::StoreOptions,
};
use chassis_testing::{noon, open_store, settle};
use prost::{Message, Name};
use serde::{Deserialize, Serialize};
use tonic::{Request, Status, service::Routes};

pub(crate) const SECRET: &str = "shh";
pub(crate) const GUEST: MemberId = MemberId::from_u128(0x61);
pub(crate) const HOST: MemberId = MemberId::from_u128(0x62);
pub(crate) const ADMIN: MemberId = MemberId::from_u128(0x63);

pub(crate) type Client = PaymentServiceClient<Routes>;

pub(crate) struct Bench {
    pub(crate) site: ContextRuntime,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    reservations: Store,
    bus: Arc<dyn Bus>,
    dir: tempfile::TempDir,
    timeout: u64,
}

pub(crate) fn eur(minor: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor)
}

pub(crate) fn payment(n: u128) -> ReservationId {
    ReservationId::from_u128(n)
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with_timeout(60_000).await
    }

    /// A service that waits so many milliseconds for the provider.
    pub(crate) async fn with_timeout(timeout: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, faults) = (ManualClock::new(noon()), Faults::default());
        let bus: Arc<dyn Bus> = InProcess::new();
        let options = StoreOptions {
            clock: Clock::Manual(clock.clone()),
            ..StoreOptions::default()
        };
        let path = dir.path().join("reservation.db");
        let reservations = Store::sqlite("reservation", &path, options).await.unwrap();
        let site = site(dir.path(), &clock, &faults, (&reservations, &bus), timeout).await;
        Self {
            site,
            clock,
            faults,
            reservations,
            bus,
            dir,
            timeout,
        }
    }

    /// The process dies and another one starts on the same files.
    pub(crate) async fn restart(&mut self) {
        let around = (&self.reservations, &self.bus);
        self.site = site(
            self.dir.path(),
            &self.clock,
            &self.faults,
            around,
            self.timeout,
        )
        .await;
    }

    pub(crate) fn client(&self) -> Client {
        let routes = self.site.context.make_routes(&self.site.deps);
        PaymentServiceClient::new(routes.prepare())
    }

    /// Charges 100 EUR as the reservation service does.
    pub(crate) async fn charge(&self, id: ReservationId, method: &str) -> Result<Payment, Status> {
        self.charge_this(order(id, method)).await
    }

    pub(crate) async fn charge_this(&self, order: ChargePaymentRequest) -> Result<Payment, Status> {
        let request = of(Caller::service("reservation"), order);
        let answer = self.client().charge_payment(request).await?;
        Ok(answer.into_inner().payment.unwrap())
    }

    pub(crate) async fn get(&self, id: ReservationId) -> Result<Payment, Status> {
        let payment_id = id.to_string();
        let request = of(guest(), GetPaymentRequest { payment_id });
        let answer = self.client().get_payment(request).await?;
        Ok(answer.into_inner().payment.unwrap())
    }

    pub(crate) async fn status(&self, id: ReservationId) -> PaymentStatus {
        self.get(id).await.unwrap().status()
    }

    /// Does all there is to do now.
    pub(crate) async fn settle(&self) {
        settle(std::slice::from_ref(&self.site), 100).await.unwrap();
    }

    /// Lets time pass until nothing is left to do: two days are enough for whatever is not down for ever.
    pub(crate) async fn rest(&self) {
        let far = chassis::base::time::from_micros(i64::MAX);
        for _ in 0..2 * 24 * 6 {
            self.settle().await;
            let due = self.site.deps.store.due(vec!["payment"], far, 1);
            if due.await.unwrap().is_empty() {
                return;
            }
            self.clock.turn(SignedDuration::from_mins(10));
        }
        panic!("does not come to rest");
    }

    /// The reservation service publishes something about a reservation.
    pub(crate) async fn publish<E: Message + Name>(&self, id: ReservationId, event: E) {
        let cause = Cause::by("test");
        let published = self
            .reservations
            .execute::<Story>(id, Fact::of(&event), &cause);
        published.await.unwrap();
        relay_once(&self.reservations, &self.bus).await.unwrap();
    }

    pub(crate) async fn publish_cancelled(&self, id: ReservationId, refund: i64) {
        let event = reservation::ReservationCancelRequested {
            reservation: Some(a_reservation(id)),
            refund: Some(eur(refund).into()),
        };
        self.publish(id, event).await;
    }

    pub(crate) async fn publish_missed(&self, id: ReservationId) {
        let event = reservation::ConfirmationMissed {
            reservation: Some(a_reservation(id)),
            payment_id: id.to_string(),
        };
        self.publish(id, event).await;
    }

    pub(crate) async fn publish_approved(&self, id: ReservationId, method: &str) {
        let event = reservation::ReservationApproved {
            reservation: Some(a_reservation(id)),
            payment_method: method.into(),
        };
        self.publish(id, event).await;
    }

    /// Short names of the events about a payment, oldest first.
    pub(crate) async fn events(&self, id: ReservationId) -> Vec<String> {
        let log = self.site.deps.store.log_of(id.to_string()).await.unwrap();
        log.iter()
            .map(|event| event.event_type.rsplit('.').next().unwrap().to_owned())
            .collect()
    }

    /// The provider's provider_ledger about a key.
    pub(crate) async fn provider_ledger(&self, id: ReservationId) -> ProviderLedger {
        let rows = self.site.deps.store.read(move |conn| {
            Box::pin(async move {
                let sql =
                    "SELECT state FROM aggregate WHERE kind = 'simulated-provider' AND id = $1";
                conn.query(sql, args![id.to_string()]).await
            })
        });
        let rows = rows.await.unwrap();
        rows.first().map_or_else(ProviderLedger::default, |row| {
            serde_json::from_str(row.text(0).unwrap()).unwrap()
        })
    }

    /// What moved onto each account because of a payment.
    pub(crate) async fn ledger(&self, id: ReservationId) -> BTreeMap<String, i64> {
        let payment_id = id.to_string();
        let request = of(admin(), GetLedgerRequest { payment_id });
        let ledger = self
            .client()
            .get_ledger(request)
            .await
            .unwrap()
            .into_inner();
        let mut accounts = BTreeMap::new();
        for entry in ledger.entries {
            let amount = Money::try_from(&entry.amount.unwrap()).unwrap();
            *accounts.entry(entry.account).or_default() += amount.minor;
        }
        let mut total = BTreeMap::<String, i64>::new();
        for balance in ledger.balances {
            let amount = Money::try_from(&balance.amount.unwrap()).unwrap();
            *total.entry(amount.currency.code().into()).or_default() += amount.minor;
        }
        assert!(total.values().all(|sum| *sum == 0), "{total:?}");
        accounts
    }

    /// What must hold about a payment at any time; and at rest, that our provider_ledger are the provider's.
    pub(crate) async fn check(&self, id: ReservationId, at_rest: bool) {
        let (provider_ledger, ledger) = (self.provider_ledger(id).await, self.ledger(id).await);
        assert!(
            provider_ledger.charges.len() <= 1,
            "charged twice: {provider_ledger:?}"
        );
        let paid: i64 = provider_ledger
            .charges
            .iter()
            .map(|amount| amount.minor)
            .sum();
        assert!(
            (0..=paid).contains(&provider_ledger.refunded()),
            "{provider_ledger:?}"
        );
        assert_eq!(ledger.values().sum::<i64>(), 0);
        let approved = self.events(id).await;
        let approved = approved.iter().filter(|name| *name == "PaymentApproved");
        assert!(approved.count() <= 1);
        if !at_rest {
            return;
        }
        let Ok(payment) = self.get(id).await else {
            assert_eq!(paid, 0, "charged and not known");
            return;
        };
        let left = if provider_ledger.voided {
            0
        } else {
            paid - provider_ledger.refunded()
        };
        let held = -ledger.get(&format!("guest/{GUEST}")).unwrap_or(&0);
        assert_eq!(held, left, "{payment:?} {provider_ledger:?}");
        let refunded = Money::try_from(&payment.refunded.unwrap()).unwrap().minor;
        match PaymentStatus::try_from(payment.status).unwrap() {
            PaymentStatus::Paid => assert_eq!((left, refunded), (10_000, 0)),
            PaymentStatus::Refunded => assert_eq!(left, 10_000 - refunded),
            PaymentStatus::Declined => assert_eq!((left, refunded), (0, 0)),
            other => panic!("not at rest: {other:?}"),
        }
    }
}

async fn site(
    dir: &Path,
    clock: &ManualClock,
    faults: &Faults,
    (reservations, bus): (&Store, &Arc<dyn Bus>),
    timeout: u64,
) -> ContextRuntime {
    let context = payment::context();
    let clock = Clock::Manual(clock.clone());
    let store = open_store(&context, dir, clock, faults.clone());
    let store = store.await.unwrap();
    let command = context
        .settings
        .iter()
        .fold(clap::Command::new("test"), |command, settings| {
            settings.augment(command)
        });
    let timeout = format!("--payment-provider-timeout-ms={timeout}");
    let secret = format!("--payment-webhook-secret={SECRET}");
    let matches = command.get_matches_from(["test".to_owned(), timeout, secret]);
    let log: Arc<dyn LogReader> = Arc::new(reservations.clone());
    let around = Wiring {
        peers: Peers::new(),
        logs: Arc::new([("reservation".to_owned(), log)].into()),
        bus: bus.clone(),
        settings: Settings::read(&context.settings, &matches).unwrap(),
    };
    ContextRuntime::new(context, store, &around)
}

/// What the simulated provider has written down.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ProviderLedger {
    pub(crate) requests: u32,
    pub(crate) charges: Vec<Money>,
    pub(crate) refunds: BTreeMap<String, (u32, Option<Money>)>,
    pub(crate) voided: bool,
}

impl ProviderLedger {
    pub(crate) fn refunded(&self) -> i64 {
        let refunds = self.refunds.values().filter_map(|(_, refunded)| *refunded);
        refunds.map(|amount| amount.minor).sum()
    }
}

pub(crate) fn order(id: ReservationId, method: &str) -> ChargePaymentRequest {
    ChargePaymentRequest {
        payment_id: id.to_string(),
        customer_id: GUEST.to_string(),
        host_id: HOST.to_string(),
        amount: Some(eur(10_000).into()),
        payment_method: method.into(),
    }
}

pub(crate) fn a_reservation(id: ReservationId) -> reservation::Reservation {
    reservation::Reservation {
        reservation_id: id.to_string(),
        customer_id: GUEST.to_string(),
        host_id: HOST.to_string(),
        price: Some(eur(10_000).into()),
        ..reservation::Reservation::default()
    }
}

pub(crate) fn of<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) fn guest() -> Caller {
    Caller::person(GUEST, &[Role::Customer])
}

pub(crate) fn admin() -> Caller {
    Caller::person(ADMIN, &[Role::Customer, Role::Admin])
}

/// The payment in an event on the log.
pub(crate) fn approved(data: &[u8]) -> Payment {
    PaymentApproved::decode(data).unwrap().payment.unwrap()
}

/// A reservation as far as its log goes: it publishes the events that a test asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Story;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum Never {}

impl Refused for Never {
    fn kind(&self) -> Kind {
        match *self {}
    }
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Story {
    const KIND: &'static str = "reservation";
    type Id = ReservationId;
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
    fn facts(_: ReservationId, fact: &Fact, _: &Versioned<Self>) -> Vec<Fact> {
        vec![fact.clone()]
    }
}
