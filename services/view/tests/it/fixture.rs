//! A view context with its own SQLite store, and logs of the other contexts that tests write to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use berth::{
    common::v1::Role,
    google::r#type::Money,
    message::v1::{Message, MessageSent},
    offer::v1::{OfferKind, Unit},
    payment::v1::{Payment, PaymentApproved, PaymentCancelled, PaymentStatus},
    reservation::v1::{
        Reservation, ReservationCancelled, ReservationConfirmed, ReservationRequested,
        ReservationStatus,
    },
    room::v1::{Review, ReviewCreated, Room, RoomRegistered, RoomReserved, RoomStatus},
    view::v1::{
        ListMyPageRequest, ListRoomViewsRequest, MyPageEntry, RebuildRequest, RebuildResponse,
        RoomView, view_service_client::ViewServiceClient,
    },
};
use chassis::{
    Caller, Clock, MemberId, StoreError, Timestamp,
    base::{clock::ManualClock, faults::Faults, time, time::SignedDuration},
    client::peers::Peers,
    domain::event::Recorded,
    messaging::{
        in_process::InProcess,
        log_reader::{LogError, LogReader},
    },
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
};
use chassis_testing::{noon, open_store, settle, tape::Tape};
use futures::future::BoxFuture;
use tonic::{Request, Status, service::Routes};

pub(crate) const PRODUCERS: [&str; 4] = ["message", "payment", "reservation", "room"];

/// The id of a number.
pub(crate) fn id(n: u128) -> String {
    member(n).to_string()
}

pub(crate) fn member(n: u128) -> MemberId {
    MemberId::from_u128(n)
}

pub(crate) const HOST: u128 = 0xb2;
pub(crate) const GUEST: u128 = 0xa1;

/// A log that fails after a number of reads, and that can publish events while it is read.
#[derive(Debug)]
struct Log {
    tape: Tape,
    reads_left: Arc<AtomicI64>,
    interference: Arc<Interference>,
}

/// Publishes reservations while a rebuild reads, and lets the live views apply them.
#[derive(Debug, Default)]
pub(crate) struct Interference {
    runtime: OnceLock<ContextRuntime>,
    bus: OnceLock<Arc<InProcess>>,
    rounds: AtomicI64,
    tape: OnceLock<Tape>,
}

impl Interference {
    /// Publishes a reservation at each of the next reads, which the live views apply at once.
    pub(crate) fn start(&self, rounds: i64) {
        self.rounds.store(rounds, Ordering::SeqCst);
    }

    async fn interfere(&self) {
        let round = self.rounds.fetch_sub(1, Ordering::SeqCst);
        if round <= 0 {
            self.rounds.store(0, Ordering::SeqCst);
            return;
        }
        // Off while the live views read the log themselves.
        self.rounds.store(0, Ordering::SeqCst);
        let (runtime, tape) = (self.runtime.get().unwrap(), self.tape.get().unwrap());
        let number = 1000 + u128::try_from(round).unwrap();
        tape.record(id(number), noon(), "", &requested(number, 1, round));
        tape.announce(self.bus.get().unwrap().as_ref())
            .await
            .unwrap();
        settle(std::slice::from_ref(runtime), 100).await.unwrap();
        self.rounds.store(round - 1, Ordering::SeqCst);
    }
}

impl LogReader for Log {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move {
            if self.reads_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
                return Err(LogError("no reads left".into()));
            }
            self.interference.interfere().await;
            self.tape.read(after, limit).await
        })
    }

    fn high_water_mark(
        &self,
    ) -> BoxFuture<'_, Result<chassis::domain::position::Position, LogError>> {
        self.tape.high_water_mark()
    }
}

pub(crate) struct Fixture {
    pub(crate) runtime: ContextRuntime,
    pub(crate) tapes: BTreeMap<&'static str, Tape>,
    pub(crate) reads_left: Arc<AtomicI64>,
    pub(crate) interference: Arc<Interference>,
    bus: Arc<InProcess>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let context = view::context();
        let clock = Clock::Manual(ManualClock::new(noon()));
        let store = open_store(&context, dir.path(), clock, Faults::default())
            .await
            .unwrap();
        let tapes: BTreeMap<_, _> = PRODUCERS.map(|name| (name, Tape::of(name))).into();
        let reads_left = Arc::new(AtomicI64::new(i64::MAX));
        let interference = Arc::new(Interference::default());
        let logs = tapes.iter().map(|(name, tape)| {
            let log: Arc<dyn LogReader> = Arc::new(Log {
                tape: tape.clone(),
                reads_left: reads_left.clone(),
                interference: interference.clone(),
            });
            ((*name).to_owned(), log)
        });
        let bus = InProcess::new();
        let wiring = Wiring {
            peers: Peers::new(),
            logs: Arc::new(logs.collect()),
            bus: bus.clone(),
            settings: Settings::default(),
        };
        let runtime = ContextRuntime::new(context, store, &wiring);
        interference.runtime.set(runtime.clone()).unwrap();
        interference.bus.set(bus.clone()).unwrap();
        interference.tape.set(tapes["reservation"].clone()).unwrap();
        Self {
            runtime,
            tapes,
            reads_left,
            interference,
            bus,
            _dir: dir,
        }
    }

    pub(crate) async fn settle(&self) {
        for tape in self.tapes.values() {
            tape.announce(self.bus.as_ref()).await.unwrap();
        }
        settle(std::slice::from_ref(&self.runtime), 100)
            .await
            .unwrap();
    }

    /// Applies a room with reservations 1 to `count`, each a minute after the one before, paid, confirmed and with a
    /// message.
    pub(crate) async fn busy_room(&self, room: u128, count: u128) {
        self.apply(room, &registered(room, "Sea view", 120)).await;
        for n in 1..=count {
            let minutes = i64::try_from(n).unwrap();
            self.apply(n, &requested(n, room, minutes)).await;
            self.apply(n, &paid(n)).await;
            self.apply(n, &confirmed(n, room, minutes)).await;
            self.apply(n + 5000, &sent(n, GUEST)).await;
        }
        self.apply(room, &reserved(room, count)).await;
        self.apply(1, &reviewed(1, room, 4)).await;
    }

    /// Publishes an event in its context and lets the views apply it.
    pub(crate) async fn apply<E: prost::Message + prost::Name>(&self, subject: u128, event: &E) {
        self.record(subject, event);
        self.settle().await;
    }

    pub(crate) fn record<E: prost::Message + prost::Name>(&self, subject: u128, event: &E) {
        let name = E::full_name();
        let producer = chassis::runtime::context::producer_of(&name).unwrap();
        let tape = &self.tapes[producer];
        tape.record(id(subject), later(1), "", event);
    }

    pub(crate) fn client(&self) -> ViewServiceClient<Routes> {
        ViewServiceClient::new(
            self.runtime
                .context
                .make_routes(&self.runtime.deps)
                .prepare(),
        )
    }

    pub(crate) async fn rooms(
        &self,
        caller: &Caller,
        request: ListRoomViewsRequest,
    ) -> Result<(Vec<RoomView>, String), Status> {
        let response = self.client().list_room_views(by(caller, request)).await?;
        let page = response.into_inner();
        Ok((page.room_views, page.next_page_token))
    }

    pub(crate) async fn my_page(
        &self,
        customer: u128,
        request: ListMyPageRequest,
    ) -> Result<(Vec<MyPageEntry>, String), Status> {
        let caller = Caller::person(member(customer), &[Role::Customer]);
        let response = self.client().list_my_page(by(&caller, request)).await?;
        let page = response.into_inner();
        Ok((page.entries, page.next_page_token))
    }

    /// All rooms, and all entries of the guest's page.
    pub(crate) async fn contents(&self) -> (Vec<RoomView>, Vec<MyPageEntry>) {
        let host = Caller::person(member(HOST), &[Role::Host]);
        let rooms = ListRoomViewsRequest {
            page_size: 100,
            ..ListRoomViewsRequest::default()
        };
        let entries = ListMyPageRequest {
            page_size: 100,
            ..ListMyPageRequest::default()
        };
        (
            self.rooms(&host, rooms).await.unwrap().0,
            self.my_page(GUEST, entries).await.unwrap().0,
        )
    }

    pub(crate) async fn rebuild(&self) -> Result<RebuildResponse, Status> {
        let admin = Caller::person(member(1), &[Role::Admin]);
        let response = self.client().rebuild(by(&admin, RebuildRequest {})).await?;
        Ok(response.into_inner())
    }

    pub(crate) async fn digest(&self) -> String {
        view::digest(&self.runtime.deps.store).await.unwrap()
    }

    /// Changes rows directly, without an event.
    pub(crate) async fn tamper(&self, sql: &'static str) -> u64 {
        let done: Result<u64, StoreError> = self
            .runtime
            .deps
            .store
            .transact(move |unit| {
                Box::pin(async move { unit.conn().execute(sql, Vec::new()).await })
            })
            .await;
        done.unwrap()
    }
}

pub(crate) fn by<T>(caller: &Caller, request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.extensions_mut().insert(caller.clone());
    request
}

pub(crate) fn later(minutes: i64) -> Timestamp {
    noon()
        .checked_add(SignedDuration::from_mins(minutes))
        .unwrap()
}

pub(crate) fn eur(units: i64) -> Money {
    Money {
        currency_code: "EUR".into(),
        units,
        nanos: 0,
    }
}

pub(crate) fn registered(room: u128, title: &str, price: i64) -> RoomRegistered {
    RoomRegistered {
        room: Some(Room {
            room_id: id(room),
            host_id: id(HOST),
            title: title.into(),
            unit: Unit::Night.into(),
            price: Some(eur(price)),
            status: RoomStatus::Available.into(),
            ..Room::default()
        }),
        offer: None,
    }
}

pub(crate) fn reserved(room: u128, reservation: u128) -> RoomReserved {
    RoomReserved {
        room_id: id(room),
        reservation_id: id(reservation),
        status: RoomStatus::Reserved.into(),
    }
}

pub(crate) fn reviewed(reservation: u128, room: u128, rating: i32) -> ReviewCreated {
    ReviewCreated {
        review: Some(Review {
            reservation_id: id(reservation),
            room_id: id(room),
            rating,
            ..Review::default()
        }),
    }
}

fn reservation(n: u128, room: u128, minutes: i64, status: ReservationStatus) -> Reservation {
    Reservation {
        reservation_id: id(n),
        offer_id: id(room),
        kind: OfferKind::Room.into(),
        title: "Sea view".into(),
        customer_id: id(GUEST),
        host_id: id(HOST),
        price: Some(eur(240)),
        status: status.into(),
        create_time: Some(time::to_proto(later(minutes))),
        ..Reservation::default()
    }
}

pub(crate) fn requested(n: u128, room: u128, minutes: i64) -> ReservationRequested {
    ReservationRequested {
        agreement: None,
        reservation: Some(reservation(n, room, minutes, ReservationStatus::Requested)),
        payment_method: String::new(),
    }
}

pub(crate) fn confirmed(n: u128, room: u128, minutes: i64) -> ReservationConfirmed {
    ReservationConfirmed {
        reservation: Some(reservation(n, room, minutes, ReservationStatus::Confirmed)),
    }
}

pub(crate) fn cancelled(n: u128, room: u128, minutes: i64) -> ReservationCancelled {
    ReservationCancelled {
        reservation: Some(reservation(n, room, minutes, ReservationStatus::Cancelled)),
    }
}

fn payment(n: u128, status: PaymentStatus) -> Payment {
    Payment {
        payment_id: id(n),
        reservation_id: id(n),
        customer_id: id(GUEST),
        amount: Some(eur(240)),
        status: status.into(),
        ..Payment::default()
    }
}

pub(crate) fn paid(n: u128) -> PaymentApproved {
    PaymentApproved {
        payment: Some(payment(n, PaymentStatus::Paid)),
    }
}

pub(crate) fn refunded(n: u128, units: i64) -> PaymentCancelled {
    PaymentCancelled {
        payment: Some(Payment {
            refunded: Some(eur(units)),
            ..payment(n, PaymentStatus::Refunded)
        }),
        ..PaymentCancelled::default()
    }
}

pub(crate) fn sent(reservation: u128, recipient: u128) -> MessageSent {
    MessageSent {
        message: Some(Message {
            reservation_id: id(reservation),
            recipient_id: id(recipient),
            ..Message::default()
        }),
    }
}
