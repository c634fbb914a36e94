//! Changes to rooms, as a host sees them.

use berth::{
    offer::v1::Approval,
    room::v1::{ModifyRoomRequest, Room, RoomModified, RoomStatus},
};
use chassis::base::{time, time::SignedDuration};
use chassis_testing::noon;
use tonic::Code;

use crate::{
    inn::{Inn, a_room, host, of, refused},
    rooms::{ATTIC, full_room, oclock},
};

#[tokio::test]
async fn a_modification_changes_what_its_mask_names() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    inn.clock.turn(SignedDuration::from_mins(1));
    let values = Room {
        version: 1,
        ..full_room()
    };
    let mask = ["description", "cancellation_tiers", "description"];
    let room = inn.modify(host(), values, &mask).await.unwrap();
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
    let event: RoomModified = inn.last(ATTIC).await;
    assert_eq!(
        (event.room, event.offer),
        (inn.get(ATTIC).await.ok(), inn.offer(ATTIC).await.ok())
    );
}

#[tokio::test]
async fn a_modification_without_a_mask_changes_all_that_may_change() {
    let inn = Inn::new().await;
    inn.register(full_room()).await.unwrap();
    let values = Room {
        version: 1,
        // What may not change is not looked at.
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
    let room = inn
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
async fn a_repeated_modification_answers_the_same() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    let loft = Room {
        title: "Loft".into(),
        version: 1,
        ..a_room(ATTIC)
    };
    let first = inn
        .modify(host(), loft.clone(), &["title", "price"])
        .await
        .unwrap();
    inn.clock.turn(SignedDuration::from_mins(1));
    let again = inn
        .modify(host(), loft.clone(), &["price", "title"])
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(inn.events(ATTIC).await, ["RoomRegistered", "RoomModified"]);
    // From the same version, but not the same modification.
    refused(
        inn.modify(host(), loft, &["title"]).await,
        Code::Aborted,
        "VERSION_MISMATCH",
    );
}

#[tokio::test]
async fn two_modifications_from_one_version_do_not_both_hold() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    let titled = |title: &str| Room {
        title: title.into(),
        version: 1,
        ..a_room(ATTIC)
    };
    let (loft, cellar) = tokio::join!(
        inn.modify(host(), titled("Loft"), &["title"]),
        inn.modify(host(), titled("Cellar"), &["title"]),
    );
    let (won, refusal) = if loft.is_ok() {
        (loft, cellar)
    } else {
        (cellar, loft)
    };
    assert_eq!(inn.get(ATTIC).await.unwrap(), won.unwrap());
    refused(refusal, Code::Aborted, "VERSION_MISMATCH");
}

#[tokio::test]
async fn guests_do_not_make_a_modification_fail() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    inn.confirmed(11, ATTIC).await;
    let reserved = inn.get(ATTIC).await.unwrap();
    assert_eq!(
        (reserved.status(), reserved.version),
        (RoomStatus::Reserved, 1)
    );
    let loft = Room {
        title: "Loft".into(),
        ..reserved
    };
    let room = inn.modify(host(), loft, &["title"]).await.unwrap();
    assert_eq!((room.version, room.status()), (2, RoomStatus::Reserved));
}

#[tokio::test]
async fn a_mask_names_only_what_may_change() {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
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
        let refusal = inn.modify(host(), room.clone(), &["title", path]).await;
        refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    }
    assert_eq!(inn.get(ATTIC).await.unwrap().title, "Attic");
}
