//! Modifications of rooms.

use berth::{
    offer::v1::Approval,
    room::v1::{ModifyRoomRequest, Room, RoomModified, RoomStatus},
};
use chassis::base::{time, time::SignedDuration};
use chassis_testing::noon;
use tonic::Code;

use crate::{
    fixture::{Fixture, a_room, host, of, refused},
    rooms::{ATTIC, full_room, oclock},
};

#[tokio::test]
async fn a_modification_changes_the_fields_that_the_mask_names() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.clock.turn(SignedDuration::from_mins(1));
    let values = Room {
        version: 1,
        ..full_room()
    };
    let mask = ["description", "cancellation_tiers", "description"];
    let room = fixture.modify(host(), values, &mask).await.unwrap();
    let before = a_room(ATTIC);
    assert_eq!(room.description, full_room().description);
    assert_eq!(room.cancellation_tiers, full_room().cancellation_tiers);
    assert_eq!(
        (room.title, room.blackouts, room.units),
        (before.title, before.blackouts, 1)
    );
    assert_eq!((room.version, room.last_action.as_str()), (2, "modified"));
    assert_eq!(room.create_time, Some(time::to_proto(noon())));
    assert!(room.update_time.unwrap().seconds == room.create_time.unwrap().seconds + 60);
    let event: RoomModified = fixture.last(ATTIC).await;
    assert_eq!(
        (event.room, event.offer),
        (
            fixture.get(ATTIC).await.ok(),
            fixture.offer(ATTIC).await.ok()
        )
    );
}

#[tokio::test]
async fn a_modification_without_a_mask_changes_all_fields_that_can_change() {
    let fixture = Fixture::new().await;
    fixture.register(full_room()).await.unwrap();
    let values = Room {
        version: 1,
        // Fields that cannot change are ignored.
        units: 9,
        time_zone: "Mars/Olympus".into(),
        ..a_room(ATTIC)
    };
    let request = of(
        host(),
        ModifyRoomRequest {
            room: Some(values),
            update_mask: None,
        },
    );
    let room = fixture
        .rooms()
        .modify_room(request)
        .await
        .unwrap()
        .into_inner()
        .room
        .unwrap();
    assert_eq!(
        (room.description.as_str(), room.approval),
        ("", Approval::None.into())
    );
    assert_eq!((room.cancellation_tiers, room.blackouts), (vec![], vec![]));
    assert_eq!(
        (room.check_in_time, room.check_out_time),
        (Some(oclock(15)), Some(oclock(11)))
    );
    assert_eq!((room.units, room.time_zone.as_str()), (3, "Europe/Paris"));
}

#[tokio::test]
async fn a_repeated_modification_returns_the_same() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let loft = Room {
        title: "Loft".into(),
        version: 1,
        ..a_room(ATTIC)
    };
    let first = fixture
        .modify(host(), loft.clone(), &["title", "price"])
        .await
        .unwrap();
    fixture.clock.turn(SignedDuration::from_mins(1));
    let again = fixture
        .modify(host(), loft.clone(), &["price", "title"])
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(
        fixture.events(ATTIC).await,
        ["RoomRegistered", "RoomModified"]
    );
    // The same version, but another modification.
    refused(
        fixture.modify(host(), loft, &["title"]).await,
        Code::Aborted,
        "VERSION_MISMATCH",
    );
}

#[tokio::test]
async fn of_two_modifications_of_one_version_one_is_refused() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let titled = |title: &str| Room {
        title: title.into(),
        version: 1,
        ..a_room(ATTIC)
    };
    let (loft, cellar) = tokio::join!(
        fixture.modify(host(), titled("Loft"), &["title"]),
        fixture.modify(host(), titled("Cellar"), &["title"]),
    );
    let (accepted, refusal) = if loft.is_ok() {
        (loft, cellar)
    } else {
        (cellar, loft)
    };
    assert_eq!(fixture.get(ATTIC).await.unwrap(), accepted.unwrap());
    refused(refusal, Code::Aborted, "VERSION_MISMATCH");
}

#[tokio::test]
async fn a_reservation_does_not_change_the_version() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.confirmed(11, ATTIC).await;
    let reserved = fixture.get(ATTIC).await.unwrap();
    assert_eq!(
        (reserved.status(), reserved.version),
        (RoomStatus::Reserved, 1)
    );
    let loft = Room {
        title: "Loft".into(),
        ..reserved
    };
    let room = fixture.modify(host(), loft, &["title"]).await.unwrap();
    assert_eq!((room.version, room.status()), (2, RoomStatus::Reserved));
}

#[tokio::test]
async fn a_mask_with_another_field_is_refused() {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    let room = Room {
        version: 1,
        ..full_room()
    };
    for path in [
        "unit",
        "units",
        "time_zone",
        "host_id",
        "room_id",
        "status",
        "review_count",
        "average_rating",
        "last_action",
        "version",
        "create_time",
        "update_time",
        "room.title",
        "titel",
        "*",
        "",
        "price.units",
        "\0",
    ] {
        let refusal = fixture.modify(host(), room.clone(), &["title", path]).await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
    assert_eq!(fixture.get(ATTIC).await.unwrap().title, "Attic");
}
