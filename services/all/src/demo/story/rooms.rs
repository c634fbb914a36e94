//! The host registers, modifies and deletes rooms.

use berth::room::v1::{
    DeleteRoomRequest, ListRoomsRequest, ModifyRoomRequest, RegisterRoomRequest, Room,
};
use prost_types::FieldMask;

use super::{ATTIC, HOUSE, MEETING, Story, eur, new_id};
use crate::demo::narrator::Mismatch;

impl Story<'_> {
    pub(super) async fn rooms(&mut self) -> Result<(), Mismatch> {
        let Self {
            narrator,
            hanna,
            gus,
            house,
            meeting,
            ..
        } = self;
        narrator.chapter("Rooms");

        let room = Some(house.clone());
        let answer = narrator
            .expect(
                "Hanna offers a house by the night; late cancellations are refunded by half or not at all",
                hanna.rooms().register_room(RegisterRoomRequest { room }),
                &format!("{HOUSE}: 120.00 EUR a night, AVAILABLE"),
            )
            .await?;
        *house = answer.room.unwrap_or_default();

        let room = Some(meeting.clone());
        let answer = narrator
            .expect(
                "Hanna offers a meeting room by the hour and wants to approve each reservation",
                hanna.rooms().register_room(RegisterRoomRequest { room }),
                &format!("{MEETING}: 45.00 EUR an hour, AVAILABLE"),
            )
            .await?;
        *meeting = answer.room.unwrap_or_default();

        let dearer = Room {
            price: Some(eur(130)),
            ..house.clone()
        };
        let request = ModifyRoomRequest {
            room: Some(dearer.clone()),
            update_mask: Some(FieldMask {
                paths: vec!["price".to_owned()],
            }),
        };
        narrator
            .expect(
                "Hanna raises the price of the house",
                hanna.rooms().modify_room(request),
                &format!("{HOUSE}: 130.00 EUR a night, AVAILABLE"),
            )
            .await?;
        let request = ModifyRoomRequest {
            room: Some(Room {
                price: Some(eur(125)),
                ..dearer
            }),
            update_mask: None,
        };
        narrator
            .expect_refusal(
                "In another window Hanna changes an outdated version of it",
                hanna.rooms().modify_room(request),
                "VERSION_MISMATCH",
            )
            .await?;

        let attic = Room {
            room_id: new_id(),
            title: ATTIC.to_owned(),
            ..house.clone()
        };
        let request = RegisterRoomRequest {
            room: Some(attic.clone()),
        };
        narrator
            .expect(
                "Hanna offers her attic",
                hanna.rooms().register_room(request),
                &format!("{ATTIC}: 120.00 EUR a night, AVAILABLE"),
            )
            .await?;
        let request = DeleteRoomRequest {
            room_id: attic.room_id.clone(),
        };
        narrator
            .expect(
                "Hanna deletes the attic",
                hanna.rooms().delete_room(request),
                &format!("{ATTIC}: 120.00 EUR a night, DELETED"),
            )
            .await?;
        let request = ListRoomsRequest {
            host_id: hanna.id.clone(),
            ..ListRoomsRequest::default()
        };
        narrator
            .expect(
                "Gus lists Hanna's rooms",
                gus.rooms().list_rooms(request),
                &format!(
                    "{MEETING}: 45.00 EUR an hour, AVAILABLE | {HOUSE}: 130.00 EUR a night, AVAILABLE"
                ),
            )
            .await?;
        Ok(())
    }
}
