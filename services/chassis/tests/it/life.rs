//! How a platform becomes ready, and how it stops.

use std::time::{Duration, Instant};

use chassis::runtime::supervisor::Failed;
use chassis_testing::quiet;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    http::{Client, framed, post},
    stage::{MOMENT, Stage, ask, channel, health, raise, screen, why},
};

#[tokio::test]
async fn a_process_is_not_ready_while_its_store_fails() {
    let stage = Stage::with(|_| {}).await;
    let admin = stage.platform.admin();
    for service in ["", "liveness", "readiness", "berth.view.v1.ViewService"] {
        assert_eq!(
            health(stage.platform.public(), service).await,
            ServingStatus::Serving,
            "{service}"
        );
    }
    let request = HealthCheckRequest {
        service: "readiness".into(),
    };
    let mut news = HealthClient::new(channel(admin))
        .watch(request)
        .await
        .unwrap()
        .into_inner();
    let first = news.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    let faults = stage.platform.contexts()[0].deps.faults.clone();
    faults.arm("store.commit", u32::MAX);
    let refused = why(stage.client().list_room_views(ask("write")).await);
    assert_eq!(refused, (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    let second = timeout(MOMENT, news.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    assert_eq!(health(admin, "liveness").await, ServingStatus::Serving);

    faults.disarm("store.commit");
    let third = timeout(MOMENT, news.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(third.status(), ServingStatus::Serving);
    stage.client().list_room_views(ask("write")).await.unwrap();
}

#[tokio::test]
async fn a_failed_sync_ends_the_process() {
    let mut stage = Stage::with(|_| {}).await;
    let faults = stage.platform.contexts()[0].deps.faults.clone();
    faults.arm("store.sync", 1);
    stage
        .client()
        .list_room_views(ask("write"))
        .await
        .unwrap_err();
    let ended = timeout(MOMENT, stage.platform.ended()).await.unwrap();
    assert_eq!(ended, Err(Failed::Store("view")));
}

#[tokio::test]
async fn a_stop_finishes_requests_in_flight() {
    let stage = Stage::with(|_| {}).await;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let public = stage.platform.public();
    let mut news = HealthClient::new(channel(public))
        .watch(request)
        .await
        .unwrap()
        .into_inner();
    news.message().await.unwrap().unwrap();
    let mut client = stage.client();
    let slow = tokio::spawn(async move { client.list_room_views(ask("slow")).await });
    stage.gate.comes().await;

    let stopped = tokio::spawn(stage.platform.stop());
    let draining = timeout(MOMENT, news.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(draining.status(), ServingStatus::NotServing);
    let end = timeout(MOMENT, news.message()).await.unwrap();
    assert_eq!(why(end), (Code::Unavailable, "DRAINING".into()));
    let gone = async { while TcpStream::connect(public).await.is_ok() {} };
    timeout(MOMENT, gone).await.unwrap();
    assert!(!stopped.is_finished());

    stage.gate.lets_go();
    slow.await.unwrap().unwrap();
    assert_eq!(timeout(MOMENT, stopped).await.unwrap().unwrap(), Ok(()));
}

/// Nothing is in progress on them, and a client that is gone says nothing.
#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let stage = Stage::with(|_| {}).await;
    let mut idle = Vec::new();
    for port in [stage.platform.public(), stage.platform.admin()] {
        for sent in [
            &b""[..],
            b"PRI",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"GET /metrics HTTP/1.1\r\n",
        ] {
            let mut stream = TcpStream::connect(port).await.unwrap();
            stream.write_all(sent).await.unwrap();
            idle.push(stream);
        }
    }
    // A watch whose client receives nothing is no reason to wait either.
    let public = stage.platform.public();
    let client = Client::connect([127, 0, 0, 1], public, 0).await;
    let watch = framed(&HealthCheckRequest::default());
    let watch = client
        .send(post("/grpc.health.v1.Health/Watch"), watch)
        .await;
    let watch = watch.await.unwrap();
    stage.client().list_room_views(ask("")).await.unwrap();

    let began = Instant::now();
    assert_eq!(stage.platform.stop().await, Ok(()));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    drop((idle, watch));
}

#[tokio::test]
async fn a_stop_ends_after_the_grace_period() {
    let grace = Duration::from_millis(100);
    let stage = Stage::on(|options| options.config.grace = grace).await;
    let mut client = stage.client();
    let slow = tokio::spawn(async move { client.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    let stopped = timeout(MOMENT, stage.platform.stop()).await.unwrap();
    assert_eq!(stopped, Err(Failed::Grace(grace)));
    slow.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn acknowledged_commands_survive_a_crash() {
    let stage = Stage::with(|_| {}).await;
    stage.client().list_room_views(ask("write")).await.unwrap();
    let mut client = stage.client();
    let slow = tokio::spawn(async move { client.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    stage.platform.crash().await;
    slow.await.unwrap().unwrap_err();

    let again = raise(stage.dir.path(), &stage.gate, |_| {}).await;
    let log = again.contexts()[0]
        .deps
        .store
        .log_after(0, 10)
        .await
        .unwrap();
    assert_eq!(log.len(), 1);
    quiet(again.contexts()).await.unwrap();
    again.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_process() {
    let stage = Stage::with(|_| {}).await;
    let options = chassis::runtime::options::Options::in_dir(stage.dir.path());
    let second = chassis::Platform::start(vec![screen(&stage.gate)], options).await;
    let error = second.unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[tokio::test]
async fn a_process_is_not_ready_before_its_contexts_have_started() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let gate = std::sync::Arc::new(crate::stage::Gate::default());
    let waits = gate.clone();
    let context = screen(&gate).on_start(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let mut options = chassis::runtime::options::Options::in_dir(dir.path());
    options.config.admin_listen = admin;
    let starting = tokio::spawn(chassis::Platform::start(vec![context], options));
    gate.comes().await;
    assert_eq!(health(admin, "readiness").await, ServingStatus::NotServing);
    assert_eq!(health(admin, "liveness").await, ServingStatus::Serving);
    gate.lets_go();
    let platform = starting.await.unwrap().unwrap();
    assert_eq!(health(admin, "readiness").await, ServingStatus::Serving);
    platform.stop().await.unwrap();
}
