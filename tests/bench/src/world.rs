//! The rooms and customers of a benchmark.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use berth::{
    common::v1::Role,
    google::r#type::{Date, Money},
    member::v1::{JoinRequest, SignInRequest, member_service_client::MemberServiceClient},
    offer::v1::{Approval, DateRange, Period, Unit, period},
    reservation::v1::{
        RequestReservationRequest, ReservationStatus,
        reservation_service_client::ReservationServiceClient,
    },
    room::v1::{RegisterRoomRequest, Room, room_service_client::RoomServiceClient},
};
use clap::Args;
use tonic::{Request, metadata::MetadataValue, transport::Channel};
use uuid::Uuid;

use crate::platform::Platform;

/// The size of the data set.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Size {
    /// Number of customers.
    #[arg(long, default_value_t = 1500)]
    pub(crate) customers: usize,
    /// Number of rooms.
    #[arg(long, default_value_t = 1000)]
    pub(crate) rooms: usize,
}

/// The kind of booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Request, charge, confirm.
    Booking,
    /// Request only.
    Hold,
}

/// The settings of the platform: customers may have many open reservations, and the one address of the benchmark stands for
/// those of many customers.
pub(crate) const ENV: &[(&str, &str)] = &[
    ("MAX_RESERVATION_PER_PERSON", "1000"),
    ("BERTH_MAX_IN_FLIGHT_PER_SOURCE", "512"),
];

/// Rooms to book and customers to book them.
#[derive(Debug)]
pub(crate) struct World {
    kind: Kind,
    /// The connections to `reservation`, used round-robin.
    pub(crate) channels: Vec<Channel>,
    rooms: Vec<String>,
    customers: Vec<Person>,
    next: AtomicUsize,
}

/// A member who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: MetadataValue<tonic::metadata::Ascii>,
}

/// A booked reservation.
#[derive(Clone, Debug)]
pub(crate) struct Booked {
    pub(crate) id: String,
    pub(crate) customer: Person,
}

impl World {
    /// Registers customers and rooms.
    pub(crate) async fn prepare(platform: &Platform, kind: Kind, size: Size) -> Result<Self> {
        let channels = platform.connect("reservation", 4)?;
        let one = |context| -> Result<Channel> {
            let channel = platform.connect(context, 1)?.pop();
            channel.context("a channel")
        };
        let (channel, rooms_channel) = (one("member")?, one("room")?);
        let host = join(channel.clone(), "host".into(), Role::Host).await?;
        let mut customers = Vec::new();
        for batch in (0..size.customers).collect::<Vec<_>>().chunks(8) {
            let joining = batch
                .iter()
                .map(|n| join(channel.clone(), format!("guest{n}"), Role::Customer));
            for joined in joining.map(tokio::spawn).collect::<Vec<_>>() {
                customers.push(joined.await??);
            }
        }
        let mut rooms = Vec::new();
        for n in 0..size.rooms {
            let room = room(&host, n, kind, "A quiet room");
            rooms.push(register(rooms_channel.clone(), &host, room).await?);
        }
        Ok(Self {
            kind,
            channels,
            rooms,
            customers,
            next: AtomicUsize::new(0),
        })
    }

    /// Books the next night of the next room for the next customer. Every night is free.
    pub(crate) async fn book(&self) -> Result<(), String> {
        self.book_as().await.map(|_| ())
    }

    /// Books like [`World::book`], and returns the reservation and its customer.
    pub(crate) async fn book_as(&self) -> Result<Booked, String> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let pick = |len: usize| n % len.max(1);
        let channel = self
            .channels
            .get(pick(self.channels.len()))
            .ok_or("no channel")?
            .clone();
        let customer = self
            .customers
            .get(pick(self.customers.len()))
            .ok_or("no customer")?;
        let room = self.rooms.get(pick(self.rooms.len())).ok_or("no room")?;
        let night = n / self.rooms.len().max(1);
        let id = Uuid::now_v7().to_string();
        let mut request = Request::new(RequestReservationRequest {
            reservation_id: id.clone(),
            offer_id: room.clone(),
            customer_id: customer.id.clone(),
            period: Some(nights(night)),
            payment_method: "tok_approved".into(),
            ..RequestReservationRequest::default()
        });
        request
            .metadata_mut()
            .insert("authorization", customer.token.clone());
        let answer = ReservationServiceClient::new(channel)
            .request_reservation(request)
            .await
            .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
        let status = answer.into_inner().reservation.unwrap_or_default().status();
        let expected = match self.kind {
            Kind::Booking => ReservationStatus::Confirmed,
            Kind::Hold => ReservationStatus::PendingApproval,
        };
        if status == expected {
            Ok(Booked {
                id,
                customer: customer.clone(),
            })
        } else {
            Err(format!("{status:?}"))
        }
    }
}

/// The n-th night of two years within the booking horizon.
fn nights(n: usize) -> Period {
    let date = |n: usize| {
        let n = i32::try_from(n).unwrap_or(0);
        Some(Date {
            year: 2027 + n / 336 % 2,
            month: 1 + n / 28 % 12,
            day: 1 + n % 28,
        })
    };
    // All months have 28 days here, so the stay from the 28th to the next month has several nights.
    let dates = DateRange {
        start_date: date(n),
        end_date: date(n + 1),
    };
    Period {
        kind: Some(period::Kind::Dates(dates)),
    }
}

/// Registers a customer.
pub(crate) async fn join_as_customer(channel: Channel, name: &str) -> Result<Person> {
    join(channel, name.to_owned(), Role::Customer).await
}

async fn join(channel: Channel, name: String, role: Role) -> Result<Person> {
    let request = JoinRequest {
        member_id: Uuid::now_v7().to_string(),
        email: format!("{name}@bench.example"),
        display_name: name.clone(),
        password: "correct horse battery".into(),
        roles: vec![role.into()],
    };
    MemberServiceClient::new(channel.clone())
        .join(request)
        .await?;
    sign_in(channel, &name).await
}

async fn sign_in(channel: Channel, name: &str) -> Result<Person> {
    let request = SignInRequest {
        email: format!("{name}@bench.example"),
        password: "correct horse battery".into(),
    };
    let answer = MemberServiceClient::new(channel)
        .sign_in(request)
        .await?
        .into_inner();
    let token = format!("Bearer {}", answer.tokens.context("tokens")?.access_token);
    Ok(Person {
        id: answer.member.context("member")?.member_id,
        token: token.parse()?,
    })
}

/// Registers rooms with long descriptions.
pub(crate) async fn register_rooms(member: Channel, rooms: &Channel, count: usize) -> Result<()> {
    let host = join(member, "host".into(), Role::Host).await?;
    let description = "A quiet room. ".repeat(300);
    for n in 0..count {
        let room = room(&host, n, Kind::Hold, &description);
        register(rooms.clone(), &host, room).await?;
    }
    Ok(())
}

fn room(host: &Person, n: usize, kind: Kind, description: &str) -> Room {
    let approval = if kind == Kind::Booking {
        Approval::None
    } else {
        Approval::Host
    };
    Room {
        room_id: Uuid::now_v7().to_string(),
        host_id: host.id.clone(),
        title: format!("Room {n}"),
        description: description.trim().to_owned(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units: 1,
        price: Some(Money {
            currency_code: "EUR".into(),
            units: 80,
            nanos: 0,
        }),
        approval: approval.into(),
        time_zone: "Europe/Paris".into(),
        ..Room::default()
    }
}

async fn register(channel: Channel, host: &Person, room: Room) -> Result<String> {
    let id = room.room_id.clone();
    let mut request = Request::new(RegisterRoomRequest { room: Some(room) });
    request
        .metadata_mut()
        .insert("authorization", host.token.clone());
    RoomServiceClient::new(channel)
        .register_room(request)
        .await?;
    Ok(id)
}
