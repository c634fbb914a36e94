//! The story: Hanna offers a house and a meeting room; Gus, Rita and Nils book them.

mod approval;
mod booking;
mod cancellation;
mod limit;
mod rooms;
mod screen;

use berth::{
    common::v1::Role,
    google::r#type::Money,
    offer::v1::{Approval, CancellationTier, DateRange, Period, TimeRange, Unit, period},
    reservation::v1::{
        ListReservationsRequest, RequestReservationRequest,
        reservation_service_client::ReservationServiceClient,
    },
    room::v1::Room,
};
use chassis::{
    Clock, ReservationId,
    base::{
        random, time,
        time::{Date, DateTime, TimeZone, ToSpan},
    },
};

use super::{
    narrator::{Mismatch, Narrator},
    people::Person,
    servers::Platform,
};

const HOUSE: &str = "House by the harbour";
const MEETING: &str = "Meeting room with a view";
const ATTIC: &str = "Attic";

/// The people and rooms of the story.
struct Story<'a> {
    narrator: &'a mut Narrator,
    platform: Platform,
    hanna: Person,
    gus: Person,
    rita: Person,
    house: Room,
    meeting: Room,
    day: Day,
}

/// Plays the whole story.
pub(crate) async fn play(narrator: &mut Narrator, platform: Platform) -> Result<(), Mismatch> {
    let mut story = begin(narrator, platform).await?;
    story.rooms().await?;
    let booked = story.booking().await?;
    story.rivals().await?;
    story.approval().await?;
    story.cancellation(&booked).await?;
    story.screen(&booked).await?;
    story.limit().await?;
    Ok(())
}

async fn begin(narrator: &mut Narrator, platform: Platform) -> Result<Story<'_>, Mismatch> {
    narrator.chapter("Members");
    let hanna = Person::join(narrator, &platform, "Hanna", Role::Host).await?;
    let gus = Person::join(narrator, &platform, "Gus", Role::Customer).await?;
    let rita = Person::join(narrator, &platform, "Rita", Role::Customer).await?;
    let mut stranger = ReservationServiceClient::new(platform.clone());
    let call = stranger.list_reservations(ListReservationsRequest::default());
    narrator
        .expect_refusal(
            "An anonymous caller lists reservations",
            call,
            "UNAUTHENTICATED",
        )
        .await?;

    let today = Clock::System.now().to_zoned(TimeZone::UTC).date();
    Ok(Story {
        narrator,
        platform,
        house: house(&hanna),
        meeting: meeting(&hanna),
        hanna,
        gus,
        rita,
        day: Day(today.saturating_add(30.days())),
    })
}

/// The first day of the stays, a month from now.
#[derive(Clone, Copy)]
struct Day(Date);

impl Day {
    /// A period of nights, as numbers of days after this day.
    fn nights(self, from: i32, to: i32) -> Period {
        let date = |days: i32| Some(time::date_to_proto(self.0.saturating_add(days.days())));
        let dates = DateRange {
            start_date: date(from),
            end_date: date(to),
        };
        Period {
            kind: Some(period::Kind::Dates(dates)),
        }
    }

    /// A period of hours on this day.
    fn hours(self, from: i32, to: i32) -> Period {
        let instant = |hours: i32| {
            let at = DateTime::from(self.0).saturating_add(hours.hours());
            let at = TimeZone::UTC.to_timestamp(at).ok();
            at.map(time::to_proto)
        };
        let times = TimeRange {
            start_time: instant(from),
            end_time: instant(to),
        };
        Period {
            kind: Some(period::Kind::Times(times)),
        }
    }
}

fn house(host: &Person) -> Room {
    Room {
        room_id: new_id(),
        host_id: host.id.clone(),
        title: HOUSE.to_owned(),
        description: "Three rooms, a boat, and a view of the sea".to_owned(),
        unit: Unit::Night.into(),
        max_persons: 4,
        units: 1,
        price: Some(eur(120)),
        approval: Approval::None.into(),
        cancellation_tiers: vec![tier(60 * 24, 100), tier(7 * 24, 50)],
        time_zone: "Europe/Lisbon".to_owned(),
        ..Room::default()
    }
}

fn meeting(host: &Person) -> Room {
    Room {
        room_id: new_id(),
        title: MEETING.to_owned(),
        description: "A table for eight, and coffee".to_owned(),
        unit: Unit::Hour.into(),
        max_persons: 8,
        price: Some(eur(45)),
        approval: Approval::Host.into(),
        ..house(host)
    }
}

fn tier(hours_before: i32, refund_percent: i32) -> CancellationTier {
    CancellationTier {
        hours_before,
        refund_percent,
    }
}

/// A booking request.
fn booking_request(
    customer: &Person,
    room: &Room,
    period: Period,
    payment_method: &str,
) -> RequestReservationRequest {
    RequestReservationRequest {
        reservation_id: new_id(),
        offer_id: room.room_id.clone(),
        customer_id: customer.id.clone(),
        period: Some(period),
        quantity: 1,
        persons: 2,
        payment_method: payment_method.to_owned(),
    }
}

fn new_id() -> String {
    random::id::<ReservationId>().to_string()
}

fn eur(units: i64) -> Money {
    Money {
        currency_code: "EUR".to_owned(),
        units,
        nanos: 0,
    }
}
