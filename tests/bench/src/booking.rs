//! Bookings: what the platform is there for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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

use crate::{
    load::{self, Outcome},
    machine,
    platform::Platform,
};

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Length of each of the two measurements in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Arrivals in a second for the open loop; 0 means 70 % of the measured capacity.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// How many wait for an answer at the same time in the closed loop.
    #[arg(long, default_value_t = 64)]
    workers: u32,
    /// How many customers book.
    #[arg(long, default_value_t = 1500)]
    customers: usize,
    /// How many rooms are booked.
    #[arg(long, default_value_t = 1000)]
    rooms: usize,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Request, charge, confirm.
    Booking,
    /// Request only.
    Hold,
}

/// Measures and reports.
pub(crate) async fn run(kind: Kind, options: Options) -> Result<()> {
    let platform = Platform::start(&["--max-reservation-per-person", "1000"]).await?;
    let idle = machine::resident_mib(platform.pid())?;
    println!("{}", machine::facts());
    println!(
        "ready after {} ms, {idle:.0} MiB idle",
        platform.ready_after.as_millis()
    );
    let world = Arc::new(World::prepare(&platform, kind, options).await?);
    println!(
        "{} rooms, {} customers; warming up",
        options.rooms, options.customers
    );
    let work = {
        let world = world.clone();
        move || {
            let world = world.clone();
            async move { world.book().await }
        }
    };
    load::closed(options.workers, Duration::from_secs(3), work.clone()).await;

    let time = Duration::from_secs(options.seconds);
    let before = machine::cpu_seconds(platform.pid())?;
    let peak = load::closed(options.workers, time, work.clone()).await;
    let cpu = machine::cpu_seconds(platform.pid())? - before;
    report("closed loop", &peak);

    let rate = if options.rate == 0 {
        peak.per_second() * 0.7
    } else {
        f64::from(options.rate)
    };
    let calm = load::open(rate, time, work).await;
    report(&format!("open loop at {rate:.0}/s"), &calm);
    let busy = machine::resident_mib(platform.pid())?;
    println!("{busy:.0} MiB under load");

    let micros = cpu * 1_000_000.0 / f64::from(u32::try_from(peak.done.max(1)).unwrap_or(u32::MAX));
    println!(
        "{micros:.0} us of CPU for each, {:.0}/s for each core",
        1_000_000.0 / micros
    );
    if options.json {
        let result = serde_json::json!({
            "bench": if kind == Kind::Booking { "booking" } else { "hold" },
            "machine": machine::facts(),
            "bookings_per_second": peak.per_second().round(),
            "bookings_per_second_per_core": (1_000_000.0 / micros).round(),
            "cpu_us_per_booking": micros.round(),
            "open_loop_rate": rate.round(),
            "p50_ms": calm.ms(50.0),
            "p90_ms": calm.ms(90.0),
            "p99_ms": calm.ms(99.0),
            "p999_ms": calm.ms(99.9),
            "max_ms": calm.ms(100.0),
            "errors": peak.failed.values().sum::<u64>() + calm.failed.values().sum::<u64>(),
            "ready_ms": u64::try_from(platform.ready_after.as_millis()).unwrap_or(u64::MAX),
            "idle_mib": idle.round(),
            "busy_mib": busy.round(),
        });
        println!("{result}");
    }
    Ok(())
}

fn report(name: &str, outcome: &Outcome) {
    println!(
        "{name}: {:.0}/s, p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}; {} done, failed: {:?}",
        outcome.per_second(),
        outcome.ms(50.0),
        outcome.ms(90.0),
        outcome.ms(99.0),
        outcome.ms(99.9),
        outcome.ms(100.0),
        outcome.done,
        outcome.failed,
    );
}

/// Rooms to book and customers to book them.
#[derive(Debug)]
struct World {
    kind: Kind,
    channels: Vec<Channel>,
    rooms: Vec<String>,
    customers: Vec<Person>,
    next: AtomicUsize,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: MetadataValue<tonic::metadata::Ascii>,
}

impl World {
    async fn prepare(platform: &Platform, kind: Kind, options: Options) -> Result<Self> {
        let channels = platform.connect(4)?;
        let channel = channels.first().context("a channel")?.clone();
        let host = join(channel.clone(), "host".into(), Role::Host).await?;
        let mut customers = Vec::new();
        for batch in (0..options.customers).collect::<Vec<_>>().chunks(8) {
            let joining = batch
                .iter()
                .map(|n| join(channel.clone(), format!("guest{n}"), Role::Customer));
            for joined in joining.map(tokio::spawn).collect::<Vec<_>>() {
                customers.push(joined.await??);
            }
        }
        let mut rooms = Vec::new();
        for n in 0..options.rooms {
            rooms.push(register(channel.clone(), &host, n, kind).await?);
        }
        Ok(Self {
            kind,
            channels,
            rooms,
            customers,
            next: AtomicUsize::new(0),
        })
    }

    /// Books the next night of the next room for the next customer: every one is free.
    async fn book(&self) -> Result<(), String> {
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
        let mut request = Request::new(RequestReservationRequest {
            reservation_id: Uuid::now_v7().to_string(),
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
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    }
}

/// One night, the n-th from the first of a year that is near enough to be booked.
fn nights(n: usize) -> Period {
    let date = |n: usize| {
        let n = i32::try_from(n).unwrap_or(0);
        Some(Date {
            year: 2027 + n / 336 % 2,
            month: 1 + n / 28 % 12,
            day: 1 + n % 28,
        })
    };
    // Months are cut to 28 days, so the night after the 28th is the first of the next: those are stays of several nights.
    let dates = DateRange {
        start_date: date(n),
        end_date: date(n + 1),
    };
    Period {
        kind: Some(period::Kind::Dates(dates)),
    }
}

/// Has a customer join.
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

async fn register(channel: Channel, host: &Person, n: usize, kind: Kind) -> Result<String> {
    let approval = if kind == Kind::Booking {
        Approval::None
    } else {
        Approval::Host
    };
    let room = Room {
        room_id: Uuid::now_v7().to_string(),
        host_id: host.id.clone(),
        title: format!("Room {n}"),
        description: "A quiet room".into(),
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
    };
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
