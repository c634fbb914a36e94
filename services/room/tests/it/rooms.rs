//! Rooms and offers.

use berth::{
    google::r#type::{Date, TimeOfDay},
    offer::v1::{Approval, CancellationTier, DateRange, OfferKind, Unit},
    room::v1::{GetRoomRequest, Room, RoomDeleted, RoomRegistered, RoomStatus},
};
use chassis::{
    Caller, MemberId,
    base::{time, time::SignedDuration},
};
use chassis_testing::noon;
use tonic::Code;

use crate::fixture::{
    ADMIN, Fixture, HOST, OTHER_HOST, a_room, admin, euros, guest, host, refused, uuid,
};

pub(crate) const ATTIC: u128 = 1;
const UNKNOWN: u128 = 99;

fn other_host() -> Caller {
    guest(OTHER_HOST)
}

pub(crate) fn oclock(hours: i32) -> TimeOfDay {
    TimeOfDay {
        hours,
        ..TimeOfDay::default()
    }
}

fn day(day: i32) -> Date {
    Date {
        year: 2027,
        month: 5,
        day,
    }
}

/// A room with all fields.
pub(crate) fn full_room() -> Room {
    Room {
        description: "Under the roof.\nNo lift.".into(),
        units: 3,
        approval: Approval::Host.into(),
        cancellation_tiers: vec![
            CancellationTier {
                hours_before: 48,
                refund_percent: 100,
            },
            CancellationTier {
                hours_before: 24,
                refund_percent: 50,
            },
        ],
        blackouts: vec![DateRange {
            start_date: Some(day(1)),
            end_date: Some(day(8)),
        }],
        check_in_time: Some(oclock(16)),
        check_out_time: Some(oclock(10)),
        ..a_room(ATTIC)
    }
}

#[tokio::test]
async fn a_room_is_registered_with_defaults() {
    let fixture = Fixture::new().await;
    let room = fixture.register(a_room(ATTIC)).await.unwrap();
    let at = Some(time::to_proto(noon()));
    let expected = Room {
        units: 1,
        approval: Approval::None.into(),
        check_in_time: Some(oclock(15)),
        check_out_time: Some(oclock(11)),
        status: RoomStatus::Available.into(),
        last_action: "registered".into(),
        version: 1,
        create_time: at,
        update_time: at,
        ..a_room(ATTIC)
    };
    assert_eq!(room, expected);
    assert_eq!(fixture.get(ATTIC).await.unwrap(), expected);
    let event: RoomRegistered = fixture.last(ATTIC).await;
    assert_eq!(
        (event.room, event.offer),
        (Some(room), fixture.offer(ATTIC).await.ok())
    );
}

#[tokio::test]
async fn an_offer_has_the_terms_of_its_room() {
    let fixture = Fixture::new().await;
    let room = fixture.register(full_room()).await.unwrap();
    let offer = fixture.offer(ATTIC).await.unwrap();
    assert_eq!(offer.approval(), Approval::Host);
    assert_eq!(
        (offer.offer_id, offer.owner_id),
        (uuid(ATTIC), HOST.to_string())
    );
    assert_eq!((offer.kind, offer.capacity), (OfferKind::Room.into(), 3));
    assert_eq!((offer.title, offer.unit), (room.title, Unit::Night.into()));
    assert_eq!((offer.max_persons, offer.price), (2, Some(euros(80))));
    assert_eq!(offer.cancellation_tiers, full_room().cancellation_tiers);
    assert_eq!(offer.blackouts, full_room().blackouts);
    assert_eq!(offer.time_zone, "Europe/Paris");
    assert_eq!(
        (offer.check_in_time, offer.check_out_time),
        (Some(oclock(16)), Some(oclock(10)))
    );
    assert_eq!((offer.withdrawn, offer.version), (false, 1));
}

#[tokio::test]
async fn a_meeting_room_is_sold_by_the_hour() {
    let fixture = Fixture::new().await;
    let meeting = Room {
        unit: Unit::Hour.into(),
        time_zone: "asia/seoul".into(),
        ..a_room(ATTIC)
    };
    let room = fixture.register(meeting.clone()).await.unwrap();
    assert_eq!(
        (room.unit, room.time_zone.as_str()),
        (Unit::Hour.into(), "Asia/Seoul")
    );
    assert_eq!((room.check_in_time, room.check_out_time), (None, None));
    let offer = fixture.offer(ATTIC).await.unwrap();
    assert_eq!((offer.unit, offer.check_in_time), (Unit::Hour.into(), None));

    let mut change = Room {
        title: "Board room".into(),
        version: 1,
        ..meeting
    };
    let changed = fixture.modify(host(), change.clone(), &[]).await.unwrap();
    assert_eq!((changed.title.as_str(), changed.version), ("Board room", 2));
    change.check_in_time = Some(oclock(9));
    change.version = 2;
    let refusal = fixture.modify(host(), change, &["check_in_time"]).await;
    refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_repeated_registration_changes_nothing() {
    let fixture = Fixture::new().await;
    let first = fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.clock.turn(SignedDuration::from_hours(1));
    let with_defaults = Room {
        units: 1,
        approval: Approval::None.into(),
        check_in_time: Some(oclock(15)),
        room_id: uuid(ATTIC).to_uppercase(),
        // Output only: ignored.
        status: RoomStatus::Deleted.into(),
        version: 7,
        ..a_room(ATTIC)
    };
    assert_eq!(fixture.register(with_defaults).await.unwrap(), first);
    assert_eq!(fixture.events(ATTIC).await, ["RoomRegistered"]);

    let mut change = a_room(ATTIC);
    (change.title, change.version) = ("Loft".into(), 1);
    let changed = fixture.modify(host(), change, &["title"]).await.unwrap();
    assert_eq!(fixture.register(a_room(ATTIC)).await.unwrap(), changed);
}

#[tokio::test]
async fn a_repeated_registration_with_other_content_is_refused() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let others = [
        Room {
            title: "Loft".into(),
            ..a_room(ATTIC)
        },
        Room {
            host_id: OTHER_HOST.to_string(),
            ..a_room(ATTIC)
        },
        full_room(),
    ];
    for other in others {
        let refusal = fixture.register(other).await;
        refused(refusal, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
    }
}

#[tokio::test]
async fn a_deleted_room_is_withdrawn_and_can_still_be_read() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let deleted = fixture.delete(host(), ATTIC).await.unwrap();
    assert_eq!(
        (deleted.status(), deleted.version),
        (RoomStatus::Deleted, 2)
    );
    assert_eq!(deleted.last_action, "deleted");
    let offer = fixture.offer(ATTIC).await.unwrap();
    assert_eq!((offer.withdrawn, offer.version), (true, 2));
    let event: RoomDeleted = fixture.last(ATTIC).await;
    assert_eq!(
        (event.room.as_ref(), event.offer),
        (Some(&deleted), Some(offer))
    );

    fixture.clock.turn(SignedDuration::from_mins(1));
    assert_eq!(fixture.delete(host(), ATTIC).await.unwrap(), deleted);
    assert_eq!(fixture.get(ATTIC).await.unwrap(), deleted);
    assert_eq!(fixture.register(a_room(ATTIC)).await.unwrap(), deleted);
    let change = fixture.modify(host(), deleted, &["title"]).await;
    refused(change, Code::FailedPrecondition, "ROOM_DELETED");
    assert_eq!(
        fixture.events(ATTIC).await,
        ["RoomRegistered", "RoomDeleted"]
    );
}

#[tokio::test]
async fn a_room_with_an_open_reservation_cannot_be_deleted() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.confirmed(11, ATTIC).await;
    let refusal = fixture.delete(host(), ATTIC).await;
    refused(refusal, Code::FailedPrecondition, "ROOM_HAS_RESERVATIONS");
    fixture.completed(11, ATTIC).await;
    fixture.delete(host(), ATTIC).await.unwrap();
}

#[tokio::test]
async fn for_other_hosts_a_room_does_not_exist() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let change = |room| Room {
        title: "Mine".into(),
        version: 1,
        ..a_room(room)
    };
    for deleted in [false, true] {
        if deleted {
            fixture.delete(host(), ATTIC).await.unwrap();
        }
        let foreign = fixture
            .modify(other_host(), change(ATTIC), &["title"])
            .await
            .unwrap_err();
        let absent = fixture
            .modify(other_host(), change(UNKNOWN), &["title"])
            .await
            .unwrap_err();
        same(&foreign, &absent);
        let foreign = fixture.delete(other_host(), ATTIC).await.unwrap_err();
        let absent = fixture.delete(other_host(), UNKNOWN).await.unwrap_err();
        same(&foreign, &absent);
    }
    assert_eq!(
        fixture.events(ATTIC).await,
        ["RoomRegistered", "RoomDeleted"]
    );
}

#[track_caller]
fn same(foreign: &tonic::Status, absent: &tonic::Status) {
    assert_eq!(foreign.code(), Code::NotFound);
    assert_eq!(
        (foreign.code(), foreign.message(), foreign.details()),
        (absent.code(), absent.message(), absent.details())
    );
}

#[tokio::test]
async fn an_operator_can_modify_and_delete_a_room() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let renamed = Room {
        title: "Removed by the operator".into(),
        version: 1,
        ..a_room(ATTIC)
    };
    let room = fixture.modify(admin(), renamed, &["title"]).await.unwrap();
    assert_eq!((room.version, room.host_id), (2, HOST.to_string()));
    fixture.delete(admin(), ATTIC).await.unwrap();
    let log = fixture
        .runtime
        .deps
        .store
        .log_of(uuid(ATTIC))
        .await
        .unwrap();
    let actors: Vec<&str> = log.iter().map(|event| event.cause.actor.as_str()).collect();
    let name = |member: MemberId| member.to_string();
    assert_eq!(actors, [name(HOST), name(ADMIN), name(ADMIN)]);
}

#[tokio::test]
async fn an_unknown_room_is_not_found() {
    let fixture = Fixture::new().await;
    let values = Room {
        version: 1,
        ..a_room(UNKNOWN)
    };
    refused(fixture.get(UNKNOWN).await, Code::NotFound, "NOT_FOUND");
    refused(fixture.offer(UNKNOWN).await, Code::NotFound, "NOT_FOUND");
    refused(
        fixture.delete(host(), UNKNOWN).await,
        Code::NotFound,
        "NOT_FOUND",
    );
    refused(
        fixture.modify(host(), values, &[]).await,
        Code::NotFound,
        "NOT_FOUND",
    );
}

#[tokio::test]
async fn a_caller_without_a_member_cannot_change_a_room() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let values = Room {
        version: 1,
        ..a_room(ATTIC)
    };
    for caller in [Caller::default(), Caller::service("view")] {
        let refusal = fixture
            .modify(caller.clone(), values.clone(), &["title"])
            .await;
        refused(refusal, Code::Unauthenticated, "UNAUTHENTICATED");
        refused(
            fixture.delete(caller, ATTIC).await,
            Code::Unauthenticated,
            "UNAUTHENTICATED",
        );
    }
}

#[tokio::test]
async fn rooms_and_lists_survive_a_restart() {
    let mut fixture = Fixture::new().await;
    fixture.register(full_room()).await.unwrap();
    fixture.confirmed(11, ATTIC).await;
    let (room, page) = (
        fixture.get(ATTIC).await.unwrap(),
        fixture.page("", 0, "").await.unwrap(),
    );
    fixture.restart().await;
    fixture.settle().await;
    assert_eq!(fixture.get(ATTIC).await.unwrap(), room);
    assert_eq!(fixture.page("", 0, "").await.unwrap(), page);
    let room_id = "no id".into();
    let refusal = fixture.rooms().get_room(GetRoomRequest { room_id }).await;
    refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
}
