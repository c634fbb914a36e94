//! The mesh starts, the demo plays on it, and its processes come and go.

use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use mesh::{Mesh, MeshOptions, balancer::Counts};

use crate::{demo, fake::MOMENT};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_a_file_for_each_context() {
    let options = MeshOptions {
        postgres: None,
        ..MeshOptions::default()
    };
    let mesh = Mesh::start(options).await.unwrap();
    demo(&mesh.url());
    mesh.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_two_replicas_of_each_context() {
    let options = MeshOptions {
        replicas: 2,
        ..MeshOptions::default()
    };
    let mesh = Mesh::start(options).await.unwrap();
    // Until member was there, it was asked in vain.
    let counts = || {
        mesh::contexts()
            .into_iter()
            .map(|name| mesh.balancer.counts(name))
    };
    let before: Vec<_> = counts().collect();
    demo(&mesh.url());
    for (before, after) in before.into_iter().zip(counts()) {
        assert!(after.requests > before.requests, "{after:?}");
        let expected = Counts {
            requests: after.requests,
            ..before
        };
        assert_eq!(after, expected);
    }
    mesh.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_killed_paused_and_restarted_and_clients_notice_nothing() {
    let options = MeshOptions {
        replicas: 2,
        ..MeshOptions::default()
    };
    let mut mesh = Mesh::start(options).await.unwrap();
    let before = mesh.balancer.counts("room");
    let mut rooms = RoomServiceClient::new(mesh.channel().unwrap());
    let mut lists = async || rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();

    mesh.replica("room-0").unwrap().kill().unwrap();
    mesh.ready().await.unwrap();
    lists().await;
    lists().await;
    mesh.replica("room-0").unwrap().start().await.unwrap();
    mesh.ready().await.unwrap();
    lists().await;

    // It does not say that it stands still. It is noticed, and what is asked meanwhile waits.
    mesh.replica("room-1").unwrap().pause().unwrap();
    mesh.balancer.until_ready("room", 1, MOMENT).await.unwrap();
    lists().await;
    lists().await;
    mesh.replica("room-1").unwrap().resume().unwrap();
    mesh.ready().await.unwrap();

    for name in ["room-0", "room-1"] {
        mesh.replica(name).unwrap().stop().await.unwrap();
        lists().await;
        mesh.replica(name).unwrap().start().await.unwrap();
        mesh.ready().await.unwrap();
    }
    let after = mesh.balancer.counts("room");
    assert_eq!((after.absent, after.broken), (before.absent, before.broken));
    mesh.stop().await.unwrap();
}
