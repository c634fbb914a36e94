//! The mesh starts, the demo plays on it, and its processes come and go.

use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use mesh::{Mesh, MeshOptions, balancer::Counts};

use crate::{TURN, demo, fake::MOMENT};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_sqlite() {
    let _turn = TURN.lock().await;
    let options = MeshOptions {
        postgres: None,
        ..MeshOptions::default()
    };
    let mesh = Mesh::start(options).await.unwrap();
    demo(&mesh.url());
    mesh.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_killed_paused_and_restarted_and_clients_notice_nothing() {
    let _turn = TURN.lock().await;
    let options = MeshOptions {
        replicas: 2,
        ..MeshOptions::default()
    };
    let mut mesh = Mesh::start(options).await.unwrap();
    // Until member was there, it was asked in vain.
    let before = counts(&mesh);
    demo(&mesh.url());
    for (before, after) in before.into_iter().zip(counts(&mesh)) {
        assert!(after.requests > before.requests, "{after:?}");
        assert_eq!(failed(&after), failed(&before));
    }

    let before = counts(&mesh);
    let mut rooms = RoomServiceClient::new(mesh.channel().unwrap());
    let mut lists = async || rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();
    mesh.replica("room-0").unwrap().kill().unwrap();
    mesh.ready().await.unwrap();
    lists().await;
    lists().await;
    mesh.replica("room-0").unwrap().start().await.unwrap();
    mesh.ready().await.unwrap();
    lists().await;

    // It does not say that it stands still. It is noticed.
    mesh.replica("room-1").unwrap().pause().unwrap();
    mesh.balancer.until_ready("room", 1, MOMENT).await.unwrap();
    lists().await;
    lists().await;
    mesh.replica("room-1").unwrap().resume().unwrap();
    mesh.ready().await.unwrap();

    mesh.grow("room").await.unwrap();
    for name in ["room-0", "room-1", "room-2"] {
        mesh.replica(name).unwrap().stop().await.unwrap();
        lists().await;
        mesh.replica(name).unwrap().start().await.unwrap();
        lists().await;
    }
    mesh.replica("room-2").unwrap().stop().await.unwrap();
    mesh.roll(&mesh::contexts()).await.unwrap();
    lists().await;
    for (before, after) in before.iter().zip(counts(&mesh)) {
        assert_eq!(after.absent, before.absent, "{after:?}");
    }
    mesh.stop().await.unwrap();
}

fn counts(mesh: &Mesh) -> Vec<Counts> {
    let contexts = mesh::contexts().into_iter();
    contexts.map(|name| mesh.balancer.counts(name)).collect()
}

fn failed(counts: &Counts) -> (u64, u64) {
    (counts.absent, counts.broken)
}
