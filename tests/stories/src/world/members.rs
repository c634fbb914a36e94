//! The people of a story, and the rooms that they offer.

use std::{sync::atomic::Ordering, time::Duration};

use berth::{
    common::v1::Role,
    offer::v1::Unit,
    room::v1::{RegisterRoomRequest, Room},
};
use chassis::args;

use super::{ADMIN, World, eur, eventually};
use crate::people::{PASSWORD, Person};

/// Bound for a registered room to arrive in the replica of offers.
const REPLICATION: Duration = Duration::from_secs(30);

impl World {
    /// An id that is unique in this world.
    pub fn id(&self) -> String {
        let n = self.ids.fetch_add(1, Ordering::SeqCst);
        format!("{n:08x}-0000-4000-8000-{n:012x}")
    }

    /// A new member with roles.
    pub async fn person(&self, roles: &[Role]) -> Person {
        let person = Person::join(&self.line, self.id(), roles)
            .await
            .expect("joins");
        self.people().push(person.clone());
        person
    }

    /// A new host.
    pub async fn host(&self) -> Person {
        self.person(&[Role::Host]).await
    }

    /// A new customer.
    pub async fn customer(&self) -> Person {
        self.person(&[Role::Customer]).await
    }

    /// The operator.
    pub async fn admin(&self) -> Person {
        let signed_in = Person::sign_in(&self.line, ADMIN.into(), PASSWORD).await;
        signed_in.expect("the operator signs in").0
    }

    /// A room on offer: by the night, 80 EUR, in UTC, unless `change` says otherwise.
    pub async fn room(&self, host: &Person, change: impl FnOnce(&mut Room)) -> Room {
        let mut room = Room {
            room_id: self.id(),
            host_id: host.id.clone(),
            title: "A room".into(),
            description: "Quiet".into(),
            unit: Unit::Night.into(),
            max_persons: 2,
            units: 1,
            price: eur(80),
            time_zone: "UTC".into(),
            ..Room::default()
        };
        change(&mut room);
        let request = RegisterRoomRequest { room: Some(room) };
        let registered = host
            .rooms()
            .register_room(request)
            .await
            .expect("registers");
        let room = registered.into_inner().room.expect("a room");
        self.replicated(&room).await;
        room
    }

    /// Waits until the replica of offers in `reservation` holds a room, unless a story keeps `reservation` from consuming
    /// events. The deadline of `GetOffer` is 150 ms; on a busy machine the first call may exceed it, and without a replica
    /// the reservation would fail with `OFFER_UNAVAILABLE`.
    async fn replicated(&self, room: &Room) {
        if self.faults.is_armed("consumer.reservation.views") {
            return;
        }
        let replicated = eventually(async || {
            for runtime in self.runtimes_of("reservation") {
                let store = &runtime.deps.store;
                if store.fenced().is_some() {
                    continue;
                }
                let (id, version) = (room.room_id.clone(), room.version);
                let sql = "SELECT 1 FROM offer_replica WHERE offer_id = $1 AND version >= $2";
                let rows = store.read(move |conn| conn.query(sql, args![id, version]));
                if rows.await.is_ok_and(|rows| rows.is_empty()) {
                    return false;
                }
            }
            true
        });
        // Not an error: a story may have stopped the broker, `room` or a database.
        let _ = tokio::time::timeout(REPLICATION, replicated).await;
    }
}
