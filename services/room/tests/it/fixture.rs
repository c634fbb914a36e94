//! A room context with its own SQLite store, and a reservation log that tests write to.

use std::{path::Path, sync::Arc};

use berth::{
    common::v1::Role,
    google::r#type::Money,
    offer::v1::{
        GetOfferRequest, Offer, OfferKind, Unit, offer_service_client::OfferServiceClient,
    },
    reservation::v1::{
        Reservation, ReservationCancelRequested, ReservationCancelled, ReservationCompleted,
        ReservationConfirmed,
    },
    room::v1::{
        CreateReviewRequest, DeleteRoomRequest, GetRoomRequest, ListReviewsRequest,
        ListRoomsRequest, ModifyReviewRequest, ModifyRoomRequest, RegisterRoomRequest, Review,
        Room, room_service_client::RoomServiceClient,
    },
};
use chassis::{
    Aggregate, Caller, Clock, Fact, Kind, MemberId, Now, Publish, Refused, ReservationId, Store,
    Versioned,
    base::{clock::ManualClock, faults::Faults},
    client::peers::Peers,
    domain::event::Cause,
    error::status::reason_of,
    messaging::{bus::Bus, in_process::InProcess, log_reader::LogReader, relay::relay_once},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
    store::{DeadLetter, StoreOptions},
};
use chassis_testing::{noon, open_store, settle};
use prost::{Message, Name};
use prost_types::FieldMask;
use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Status, service::Routes};

pub(crate) const HOST: MemberId = MemberId::from_u128(0x61);
pub(crate) const OTHER_HOST: MemberId = MemberId::from_u128(0x62);
pub(crate) const GUEST: MemberId = MemberId::from_u128(0x63);
pub(crate) const OTHER_MEMBER: MemberId = MemberId::from_u128(0x64);
pub(crate) const ADMIN: MemberId = MemberId::from_u128(0x65);

pub(crate) struct Fixture {
    pub(crate) runtime: ContextRuntime,
    pub(crate) clock: ManualClock,
    reservations: Store,
    bus: Arc<dyn Bus>,
    dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(noon());
        let bus: Arc<dyn Bus> = InProcess::new();
        let options = StoreOptions {
            clock: Clock::Manual(clock.clone()),
            ..StoreOptions::default()
        };
        let path = dir.path().join("reservation.db");
        let reservations = Store::sqlite("reservation", &path, options).await.unwrap();
        let runtime = runtime(dir.path(), &clock, &reservations, &bus).await;
        Self {
            runtime,
            clock,
            reservations,
            bus,
            dir,
        }
    }

    /// Replaces the process by a new one on the same store, without a shutdown.
    pub(crate) async fn restart(&mut self) {
        self.runtime = runtime(self.dir.path(), &self.clock, &self.reservations, &self.bus).await;
    }

    fn routes(&self) -> Routes {
        self.runtime
            .context
            .make_routes(&self.runtime.deps)
            .prepare()
    }

    pub(crate) fn rooms(&self) -> RoomServiceClient<Routes> {
        RoomServiceClient::new(self.routes())
    }

    pub(crate) async fn register(&self, room: Room) -> Result<Room, Status> {
        let request = of(host(), RegisterRoomRequest { room: Some(room) });
        let response = self.rooms().register_room(request).await?;
        Ok(response.into_inner().room.unwrap())
    }

    pub(crate) async fn modify(
        &self,
        by: Caller,
        room: Room,
        mask: &[&str],
    ) -> Result<Room, Status> {
        let update_mask = Some(FieldMask {
            paths: mask.iter().map(ToString::to_string).collect(),
        });
        let room = Some(room);
        let request = of(by, ModifyRoomRequest { room, update_mask });
        let response = self.rooms().modify_room(request).await?;
        Ok(response.into_inner().room.unwrap())
    }

    pub(crate) async fn delete(&self, by: Caller, room: u128) -> Result<Room, Status> {
        let room_id = uuid(room);
        let request = of(by, DeleteRoomRequest { room_id });
        let response = self.rooms().delete_room(request).await?;
        Ok(response.into_inner().room.unwrap())
    }

    pub(crate) async fn get(&self, room: u128) -> Result<Room, Status> {
        let room_id = uuid(room);
        let response = self.rooms().get_room(GetRoomRequest { room_id }).await?;
        Ok(response.into_inner().room.unwrap())
    }

    pub(crate) async fn offer(&self, room: u128) -> Result<Offer, Status> {
        let offer_id = uuid(room);
        let request = of(Caller::service("reservation"), GetOfferRequest { offer_id });
        let response = OfferServiceClient::new(self.routes())
            .get_offer(request)
            .await?;
        Ok(response.into_inner().offer.unwrap())
    }

    /// The ids on one page of rooms, and the token of the next one.
    pub(crate) async fn page(
        &self,
        host: &str,
        size: i32,
        token: &str,
    ) -> Result<(Vec<String>, String), Status> {
        let request = ListRoomsRequest {
            host_id: host.into(),
            page_size: size,
            page_token: token.into(),
        };
        let page = self.rooms().list_rooms(request).await?.into_inner();
        let ids = page.rooms.into_iter().map(|room| room.room_id);
        Ok((ids.collect(), page.next_page_token))
    }

    pub(crate) async fn review(&self, author: MemberId, review: Review) -> Result<Review, Status> {
        let review = Some(Review {
            author_id: author.to_string(),
            ..review
        });
        let request = of(guest(author), CreateReviewRequest { review });
        let response = self.rooms().create_review(request).await?;
        Ok(response.into_inner().review.unwrap())
    }

    pub(crate) async fn modify_review(
        &self,
        by: MemberId,
        review: Review,
        mask: &[&str],
    ) -> Result<Review, Status> {
        let update_mask = Some(FieldMask {
            paths: mask.iter().map(ToString::to_string).collect(),
        });
        let review = Some(review);
        let request = of(
            guest(by),
            ModifyReviewRequest {
                review,
                update_mask,
            },
        );
        let response = self.rooms().modify_review(request).await?;
        Ok(response.into_inner().review.unwrap())
    }

    /// One page of the reviews of a room, and the token of the next one.
    pub(crate) async fn reviews(
        &self,
        room: u128,
        size: i32,
        token: &str,
    ) -> Result<(Vec<Review>, String), Status> {
        let request = ListReviewsRequest {
            room_id: uuid(room),
            page_size: size,
            page_token: token.into(),
        };
        let page = self.rooms().list_reviews(request).await?.into_inner();
        Ok((page.reviews, page.next_page_token))
    }

    /// Runs all workers until nothing is left to do.
    pub(crate) async fn settle(&self) {
        settle(std::slice::from_ref(&self.runtime), 100)
            .await
            .unwrap();
    }

    /// Publishes an event of the reservation context.
    pub(crate) async fn publish<E: Message + Name>(&self, reservation: u128, event: E) {
        let id = ReservationId::from_u128(reservation);
        let cause = Cause::by("test");
        let publish = self
            .reservations
            .execute::<PublishedFacts>(id, Fact::of(&event), &cause);
        publish.await.unwrap();
        relay_once(&self.reservations, &self.bus).await.unwrap();
    }

    pub(crate) async fn confirmed(&self, reservation: u128, room: u128) {
        let event = ReservationConfirmed {
            reservation: Some(stay(reservation, room)),
        };
        self.publish(reservation, event).await;
        self.settle().await;
    }

    pub(crate) async fn cancel_requested(&self, reservation: u128, room: u128) {
        let event = ReservationCancelRequested {
            reservation: Some(stay(reservation, room)),
            refund: None,
        };
        self.publish(reservation, event).await;
        self.settle().await;
    }

    pub(crate) async fn cancelled(&self, reservation: u128, room: u128) {
        let event = ReservationCancelled {
            reservation: Some(stay(reservation, room)),
        };
        self.publish(reservation, event).await;
        self.settle().await;
    }

    pub(crate) async fn completed(&self, reservation: u128, room: u128) {
        let event = ReservationCompleted {
            reservation: Some(stay(reservation, room)),
        };
        self.publish(reservation, event).await;
        self.settle().await;
    }

    /// The short names of the events of a subject, oldest first.
    pub(crate) async fn events(&self, subject: u128) -> Vec<String> {
        let log = self.runtime.deps.store.log_of(uuid(subject)).await.unwrap();
        let names = log.iter().map(|event| event.event_type.rsplit('.').next());
        names.map(|name| name.unwrap().to_owned()).collect()
    }

    /// The last event of a subject.
    pub(crate) async fn last<E: Message + Name + Default>(&self, subject: u128) -> E {
        let log = self.runtime.deps.store.log_of(uuid(subject)).await.unwrap();
        let last = log.last().unwrap();
        assert_eq!(last.event_type, E::full_name());
        last.receive::<E>().unwrap().event
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        let start = (String::new(), String::new(), 0);
        self.runtime
            .deps
            .store
            .dead_letters(start, 100)
            .await
            .unwrap()
    }
}

async fn runtime(
    dir: &Path,
    clock: &ManualClock,
    reservations: &Store,
    bus: &Arc<dyn Bus>,
) -> ContextRuntime {
    let context = room::context();
    let store = open_store(
        &context,
        dir,
        Clock::Manual(clock.clone()),
        Faults::default(),
    );
    let store = store.await.unwrap();
    let log = |store: &Store| -> Arc<dyn LogReader> { Arc::new(store.clone()) };
    let logs = [
        ("reservation".to_owned(), log(reservations)),
        ("room".to_owned(), log(&store)),
    ];
    let wiring = Wiring {
        peers: Peers::new(),
        logs: Arc::new(logs.into()),
        bus: bus.clone(),
        settings: Settings::default(),
    };
    ContextRuntime::new(context, store, &wiring)
}

/// A room with the required fields only.
pub(crate) fn a_room(room: u128) -> Room {
    Room {
        room_id: uuid(room),
        host_id: HOST.to_string(),
        title: "Attic".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        price: Some(euros(80)),
        time_zone: "Europe/Paris".into(),
        ..Room::default()
    }
}

pub(crate) fn euros(euros: i64) -> Money {
    Money {
        currency_code: "EUR".into(),
        units: euros,
        nanos: 0,
    }
}

pub(crate) fn stay(reservation: u128, room: u128) -> Reservation {
    Reservation {
        reservation_id: uuid(reservation),
        offer_id: uuid(room),
        kind: OfferKind::Room.into(),
        customer_id: GUEST.to_string(),
        host_id: HOST.to_string(),
        ..Reservation::default()
    }
}

pub(crate) fn a_review(reservation: u128, rating: i32, text: &str) -> Review {
    Review {
        reservation_id: uuid(reservation),
        rating,
        text: text.into(),
        ..Review::default()
    }
}

pub(crate) fn uuid(number: u128) -> String {
    ReservationId::from_u128(number).to_string()
}

pub(crate) fn host() -> Caller {
    Caller::person(HOST, &[Role::Host])
}

pub(crate) fn guest(member: MemberId) -> Caller {
    Caller::person(member, &[Role::Customer])
}

pub(crate) fn admin() -> Caller {
    Caller::person(ADMIN, &[Role::Admin])
}

pub(crate) fn of<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

/// Asserts code and reason of an error.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: &str) {
    let status = result.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_deref()),
        (code, Some(reason)),
        "{status:?}"
    );
}

/// An aggregate of the simulated reservation context. Its commands are the facts to publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PublishedFacts;

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

impl Aggregate for PublishedFacts {
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

impl Publish for PublishedFacts {
    fn facts(_: ReservationId, fact: &Fact, _: &Versioned<Self>) -> Vec<Fact> {
        vec![fact.clone()]
    }
}
