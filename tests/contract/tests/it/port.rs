//! Does the public port serve what it should?
use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use chassis::{Context, Platform, runtime::options::Options};
use contract::{
    client::call,
    contracts::services,
    world::{Person, World},
};
use prost_reflect::DynamicMessage;
use tokio::{sync::Notify, time::timeout};
use tokio_stream::once;
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_port_serves_the_services_of_the_contexts_and_no_others() {
    let world = World::start(all::contexts()).await.unwrap();
    let mut hidden = 0;
    for service in services(&world.pool).filter(|service| !world.serves(service)) {
        for method in service.methods() {
            hidden += 1;
            for person in Person::ALL {
                let request = DynamicMessage::new(method.input());
                let headers = world.headers(person);
                let answer = call(&world.channel, &method, &request, &headers).await;
                assert_eq!(answer.code, Code::Unimplemented, "{}", method.full_name());
            }
        }
    }
    assert_eq!(hidden, 5, "GetOffer, the event log and the inspection");

    let carried = services(&world.pool).filter(|service| world.serves(service));
    let mut expected: BTreeSet<String> = carried
        .map(|service| service.full_name().to_owned())
        .collect();
    let mut health = HealthClient::new(world.channel.clone());
    for service in expected
        .iter()
        .map(String::as_str)
        .chain(["", "liveness", "readiness"])
    {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(request).await.unwrap().into_inner();
        assert_eq!(status.status(), ServingStatus::Serving, "{service}");
    }
    expected.insert("grpc.health.v1.Health".to_owned());
    assert_eq!(v1::list(&world).await, expected);
    assert_eq!(v1alpha::list(&world).await, expected);
}

/// The public port is bound at once, so that no other process can bind it, and served when all contexts are ready.
/// Requirement: A-O17.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_port_is_served_when_every_context_is_ready() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (begun.clone(), go.clone());
    let late = Context::named("late").on_start(move |_| {
        let (begins, goes) = (begins.clone(), goes.clone());
        async move {
            begins.notify_one();
            goes.notified().await;
            Ok(())
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let [public, admin] = free_ports();
    let mut options = Options::in_dir(dir.path());
    (options.config.listen, options.config.admin_listen) = (public, admin);
    let contexts = all::contexts().into_iter().chain([late]).collect();
    let platform = tokio::spawn(Platform::start(contexts, options));
    begun.notified().await;

    let to = |port: SocketAddr| {
        Endpoint::from_shared(format!("http://{port}"))
            .unwrap()
            .connect_lazy()
    };
    let ready = async |port| {
        let request = HealthCheckRequest::default();
        let response = HealthClient::new(to(port)).check(request).await;
        response.unwrap().into_inner().status()
    };
    assert_eq!(ready(admin).await, ServingStatus::NotServing);
    let refused = timeout(Duration::from_millis(300), ready(public)).await;
    assert!(refused.is_err(), "served: {refused:?}");
    go.notify_one();
    let platform = platform.await.unwrap().unwrap();
    assert_eq!(ready(admin).await, ServingStatus::Serving);
    assert_eq!(ready(public).await, ServingStatus::Serving);
    platform.stop().await.unwrap();
}

/// Ports that were free a moment ago.
fn free_ports() -> [SocketAddr; 2] {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    [bind(), bind()].map(|listener| listener.local_addr().unwrap())
}

macro_rules! reflection {
    ($version:ident) => {
        mod $version {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };

            use super::{BTreeSet, World, once};

            /// The services that reflection lists.
            pub(super) async fn list(world: &World) -> BTreeSet<String> {
                let request = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(MessageRequest::ListServices(String::new())),
                };
                let mut client = ServerReflectionClient::new(world.channel.clone());
                let answers = client.server_reflection_info(once(request)).await.unwrap();
                let answer = answers.into_inner().message().await.unwrap().unwrap();
                let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response
                else {
                    panic!("no list of services");
                };
                let names = list.service.into_iter().map(|service| service.name);
                names.collect()
            }
        }
    };
}

reflection!(v1);
reflection!(v1alpha);
