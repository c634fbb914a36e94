//! The limits of a port.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use berth::{
    room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient},
    view::v1::view_service_client::ViewServiceClient,
};
use chassis::server::{RequestPipeline, Services, limits::Limits};
use futures::{FutureExt, future::select};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt;

use crate::stage::{MOMENT, Stage, ask, channel, health, why};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The type of the frame with which a response begins.
const HEADERS: u8 = 1;
/// The type of the frame that asks a client to close its connection.
const GOAWAY: u8 = 7;
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Waits until the other side closes. Returns what it sent before.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = timeout(MOMENT, stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    if let Err(error) = end {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    bytes
}

pub(crate) async fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(MOMENT, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_before_it_is_read() {
    let stage = Stage::with(|_| {}).await;
    let mut client = stage.client();
    let fits = ask(&"x".repeat(255 * 1024));
    client.list_room_views(fits).await.unwrap();
    let large = ask(&"x".repeat(256 * 1024));
    let refused = why(client.list_room_views(large).await);
    assert_eq!(refused, (Code::InvalidArgument, "MESSAGE_TOO_LARGE".into()));
}

#[tokio::test]
async fn a_response_that_is_too_long_is_an_internal_error() {
    let stage = Stage::with(|_| {}).await;
    let mut client = stage.client().max_decoding_message_size(usize::MAX);
    let failed = why(client.list_room_views(ask("large")).await);
    assert_eq!(failed, (Code::Internal, "INTERNAL".into()));
}

#[tokio::test]
async fn an_undecodable_message_is_an_invalid_request() {
    let stage = Stage::with(|_| {}).await;
    let mut grpc = tonic::client::Grpc::new(channel(stage.platform.public()));
    let path = http::uri::PathAndQuery::from_static("/berth.view.v1.ViewService/ListRoomViews");
    // At the field of the page token this has bytes that are not UTF-8.
    let price = berth::google::r#type::Money {
        units: -1,
        ..Default::default()
    };
    let wrong = berth::view::v1::RoomView {
        price: Some(price),
        ..Default::default()
    };
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<_, berth::view::v1::ListRoomViewsResponse>::default();
    let answer = grpc.unary(Request::new(wrong), path, codec).await;
    assert_eq!(
        why(answer),
        (Code::InvalidArgument, "MALFORMED_REQUEST".into())
    );
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let stage = Stage::with(|limits| limits.preface_timeout = Duration::from_millis(100)).await;
    let mut silent = TcpStream::connect(stage.platform.public()).await.unwrap();
    closed(&mut silent).await;
    let mut slow = TcpStream::connect(stage.platform.public()).await.unwrap();
    slow.write_all(&PREFACE[..10]).await.unwrap();
    closed(&mut slow).await;
    stage.client().list_room_views(ask("")).await.unwrap();
}

#[tokio::test]
async fn excess_connections_are_closed_and_closing_one_frees_its_slot() {
    let stage = Stage::with(|limits| limits.max_connections_per_ip = 2).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(stage.platform.public()).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(SETTINGS).await.unwrap();
        stream.read_u8().await.unwrap();
        connections.push(stream);
    }
    let mut third = TcpStream::connect(stage.platform.public()).await.unwrap();
    closed(&mut third).await;
    connections.clear();
    let free = async { while stage.client().list_room_views(ask("")).await.is_err() {} };
    timeout(MOMENT, free).await.unwrap();
}

/// A connection with a request that has begun and does not arrive completely.
async fn unfinished(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(SETTINGS).await.unwrap();
    let path = b"/berth.view.v1.ViewService/ListRoomViews";
    let mut headers = vec![0x83, 0x86, 0x41, 1, b'x', 0x44];
    headers.push(u8::try_from(path.len()).unwrap());
    headers.extend(path);
    // The content type.
    headers.extend([0x0f, 0x10, 16]);
    headers.extend(b"application/grpc");
    let length = u8::try_from(headers.len()).unwrap();
    stream
        .write_all(&[0, 0, length, 1, 4, 0, 0, 0, 1])
        .await
        .unwrap();
    stream.write_all(&headers).await.unwrap();
    stream
}

/// Waits for the response on a connection.
async fn answered(mut stream: TcpStream) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if kind == HEADERS {
            return;
        }
    }
}

#[tokio::test]
async fn an_old_connection_gets_goaway_and_is_then_cut_off() {
    let stage = Stage::with(|limits| {
        limits.connection_age = Duration::from_millis(50);
        limits.connection_age_grace = Duration::from_millis(50);
    })
    .await;
    // A request that is never finished keeps it open as long as it may.
    let mut old = unfinished(stage.platform.public()).await;
    let mut sent = closed(&mut old).await;
    let mut goaways = Vec::new();
    while let [a, b, c, kind, ..] = sent[..] {
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        let frame: Vec<u8> = sent.drain(..(9 + length).min(sent.len())).collect();
        if kind == GOAWAY {
            goaways.push(frame[13..17].to_vec());
        }
    }
    let no_error = vec![0, 0, 0, 0];
    assert!(goaways.contains(&no_error), "{goaways:?}");
}

#[tokio::test]
async fn a_request_ends_at_the_timeout_of_the_port() {
    let stage = Stage::with(|limits| limits.request_timeout = Duration::from_millis(50)).await;
    for asked in [None, Some(Duration::from_hours(1))] {
        let mut request = Request::new(ask("slow"));
        if let Some(asked) = asked {
            request.set_timeout(asked);
        }
        let late = timeout(MOMENT, stage.client().list_room_views(request)).await;
        let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".into());
        assert_eq!(why(late.unwrap()), expected, "{asked:?}");
    }
}

#[tokio::test]
async fn a_caller_may_set_a_shorter_deadline() {
    let stage = Stage::with(|_| {}).await;
    // Without a connection: a client with one would enforce the deadline itself.
    let site = &stage.platform.contexts()[0];
    let services = Services::new(site.context.make_routes(&site.deps));
    let edge = RequestPipeline::new(services, &Limits::default(), CancellationToken::new());
    let mut request = Request::new(ask("slow"));
    request.set_timeout(Duration::from_millis(20));
    let began = Instant::now();
    let late = why(ViewServiceClient::new(edge).list_room_views(request).await);
    assert_eq!(late, (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".into()));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_has_its_source() {
    let stage = Stage::with(|_| {}).await;
    let mut request = Request::new(ask("source"));
    let forged = "192.0.2.9".parse().unwrap();
    request.metadata_mut().insert("x-forwarded-for", forged);
    let answer = stage.client().list_room_views(request).await.unwrap();
    assert_eq!(answer.get_ref().next_page_token, "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_source() {
    let loopback = || "127.0.0.0/8".parse().unwrap();
    let stage = Stage::with(|limits| limits.trusted.trusted_proxies = loopback()).await;
    let mut request = Request::new(ask("source"));
    let given = "192.0.2.9".parse().unwrap();
    request.metadata_mut().insert("x-forwarded-for", given);
    let answer = stage.client().list_room_views(request).await.unwrap();
    assert_eq!(answer.get_ref().next_page_token, "192.0.2.9");
}

async fn is_shed(stage: &Stage, mut client: ViewServiceClient<tonic::transport::Channel>) {
    let mut first = client.clone();
    let first = tokio::spawn(async move { first.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    let refused = client.list_room_views(ask("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        refused.get_details_error_info().unwrap().reason,
        "OVERLOADED"
    );
    assert!(refused.get_details_retry_info().is_some());
    // Health is served all the same.
    assert_eq!(
        health(stage.platform.public(), "").await,
        ServingStatus::Serving
    );
    stage.gate.lets_go();
    first.await.unwrap().unwrap();
    client.list_room_views(ask("")).await.unwrap();
}

#[tokio::test]
async fn excess_requests_are_refused_at_once() {
    let stage = Stage::with(|limits| limits.max_in_flight = 1).await;
    is_shed(&stage, stage.client()).await;
}

#[tokio::test]
async fn one_connection_cannot_use_all_permits() {
    let stage = Stage::with(|limits| limits.max_in_flight_per_connection = 1).await;
    is_shed(&stage, stage.client()).await;
    let mut first = stage.client();
    let first = tokio::spawn(async move { first.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    stage.client().list_room_views(ask("")).await.unwrap();
    stage.gate.lets_go();
    first.await.unwrap().unwrap();
}

/// Their number and what they have sent so far do not matter.
#[tokio::test]
async fn slow_senders_use_no_permits() {
    let stage = Stage::with(|limits| limits.max_in_flight = 1).await;
    let mut slow = answered(unfinished(stage.platform.public()).await).boxed();
    for _ in 0..3 {
        // One is cancelled when the other arrives: then both have been received.
        let other = answered(unfinished(stage.platform.public()).await).boxed();
        slow = select(slow, other).await.factor_first().1.into_inner();
    }
    for _ in 0..20 {
        stage.client().list_room_views(ask("")).await.unwrap();
    }
}

#[tokio::test]
async fn one_context_cannot_use_all_permits() {
    let stage = Stage::with(|limits| limits.max_in_flight = 2).await;
    let mut first = stage.client();
    let first = tokio::spawn(async move { first.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    let refused = why(stage.client().list_room_views(ask("")).await);
    assert_eq!(refused, (Code::Unavailable, "OVERLOADED".into()));
    // The other context of the port has its own half. It does not implement this rpc.
    let mut rooms = RoomServiceClient::new(channel(stage.platform.public()));
    let answer = rooms.list_rooms(ListRoomsRequest::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
    stage.gate.lets_go();
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_fails_one_request_and_is_counted() {
    let stage = Stage::with(|_| {}).await;
    let mut client = stage.client();
    let status = client.list_room_views(ask("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("secret"), "{status:?}");
    client.list_room_views(ask("")).await.unwrap();
    let metrics = http(stage.platform.admin(), "GET", "/metrics", "").await;
    assert!(
        metrics.contains("berth_panics_total{service=\"berth.view.v1.ViewService\"}"),
        "{metrics}"
    );
    let rpc = "service=\"berth.view.v1.ViewService\",method=\"ListRoomViews\"";
    assert!(
        metrics.contains(&format!("berth_rpc_in_flight{{{rpc}}}")),
        "{metrics}"
    );
    assert!(
        metrics.contains(&format!(
            "berth_rpc_duration_seconds_bucket{{{rpc},code=\"INTERNAL\",le=\"0.1\"}}"
        )),
        "{metrics}"
    );
}

#[tokio::test]
async fn reflection_describes_every_service_in_both_versions() {
    let stage = Stage::with(|_| {}).await;
    let channel = channel(stage.platform.public());
    let expected = [
        "berth.view.v1.ViewService",
        "berth.room.v1.RoomService",
        "grpc.health.v1.Health",
    ];

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) = answer
    else {
        panic!("{answer:?}")
    };
    let names: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert_eq!(names, expected);

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "berth.view.v1.ViewService".into(),
            ),
        ),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    assert!(
        matches!(
            answer,
            Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_))
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_event_log_is_not_on_the_public_port() {
    let stage = Stage::with(|_| {}).await;
    let mut logs = berth::eventlog::v1::event_log_service_client::EventLogServiceClient::new(
        channel(stage.platform.public()),
    );
    let request = berth::eventlog::v1::ReadRequest::default();
    assert_eq!(
        logs.read(request).await.unwrap_err().code(),
        Code::Unimplemented
    );
}
