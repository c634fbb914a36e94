//! The host registers, modifies and deletes what she offers.

use berth::room::v1::{
    DeleteRoomRequest, ListRoomsRequest, ModifyRoomRequest, RegisterRoomRequest, Room,
};
use prost_types::FieldMask;

use super::{ATTIC, HOUSE, MEETING, Story, eur, new_id};
use crate::demo::teller::Wrong;

impl Story<'_> {
    pub(super) async fn rooms(&mut self) -> Result<(), Wrong> {
        let Self {
            teller,
            hanna,
            gus,
            house,
            meeting,
            ..
        } = self;
        teller.chapter("Rooms");

        let room = Some(house.clone());
        let answer = teller
            .asks(
                "Hanna offers a house by the night; whoever cancels late gets half or nothing back",
                hanna.rooms().register_room(RegisterRoomRequest { room }),
                &format!("{HOUSE}: 120.00 EUR a night, AVAILABLE"),
            )
            .await?;
        *house = answer.room.unwrap_or_default();

        let room = Some(meeting.clone());
        let answer = teller
            .asks(
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
        teller
            .asks(
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
        teller
            .is_refused(
                "In another window Hanna changes what she saw before that",
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
        teller
            .asks(
                "Hanna offers her attic",
                hanna.rooms().register_room(request),
                &format!("{ATTIC}: 120.00 EUR a night, AVAILABLE"),
            )
            .await?;
        let request = DeleteRoomRequest {
            room_id: attic.room_id.clone(),
        };
        teller
            .asks(
                "Hanna thinks again and takes it off offer",
                hanna.rooms().delete_room(request),
                &format!("{ATTIC}: 120.00 EUR a night, DELETED"),
            )
            .await?;
        let request = ListRoomsRequest {
            host_id: hanna.id.clone(),
            ..ListRoomsRequest::default()
        };
        teller
            .asks(
                "Gus looks around at Hanna's",
                gus.rooms().list_rooms(request),
                &format!(
                    "{MEETING}: 45.00 EUR an hour, AVAILABLE | {HOUSE}: 130.00 EUR a night, AVAILABLE"
                ),
            )
            .await?;
        Ok(())
    }
}
