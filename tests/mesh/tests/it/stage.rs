//! What several tests of the mesh need: people, rooms, settings and metrics.

use berth::{
    common::v1::Role,
    offer::v1::Unit,
    room::v1::{RegisterRoomRequest, Room},
};
use mesh::{Env, Mesh, process::Process};
use stories::{
    people::{Line, Person},
    world::eur,
};
use tonic::Status;

pub(crate) fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Environment variables.
pub(crate) fn env<const N: usize>(variables: [(&str, &str); N]) -> Env {
    Env::from(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// A host and a customer.
pub(crate) async fn people(mesh: &Mesh) -> (Person, Person) {
    let line = Line::to(mesh.channel().unwrap());
    people_on(&line).await
}

/// The same on a line.
pub(crate) async fn people_on(line: &Line) -> (Person, Person) {
    let host = Person::join(line, id(), &[Role::Host]).await.unwrap();
    let guest = Person::join(line, id(), &[Role::Customer]).await.unwrap();
    (host, guest)
}

/// Registers a room of so many units.
pub(crate) async fn register(host: &Person, units: i32) -> Result<Room, Status> {
    let room = Room {
        room_id: id(),
        host_id: host.id.clone(),
        title: "A room".into(),
        description: "Quiet".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units,
        price: eur(80),
        time_zone: "UTC".into(),
        ..Room::default()
    };
    let request = RegisterRoomRequest { room: Some(room) };
    let registered = host.rooms().register_room(request).await?;
    Ok(registered.into_inner().room.unwrap())
}

/// A metric of a process by name and labels; 0 if it is not there.
pub(crate) fn metric(process: &Process, name: &str) -> u64 {
    let metrics = process.metrics().unwrap();
    let mut lines = metrics.lines();
    let number = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number.map_or(0, |number| number.parse().unwrap())
}

/// How often the breaker of a process for a peer has become something.
pub(crate) fn became(process: &Process, peer: &str, to: &str) -> u64 {
    let labels = format!("{{peer=\"{peer}\",to=\"{to}\"}}");
    metric(process, &format!("berth_breaker_transitions_total{labels}"))
}

/// The first replica of a context.
pub(crate) fn first<'m>(mesh: &'m Mesh, context: &str) -> &'m Process {
    mesh.replicas(context).next().unwrap()
}
