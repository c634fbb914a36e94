//! The process `berth`: its command line, its shutdown, and the services on its ports.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
};

use axum::{Router, body::Bytes, response::IntoResponse};
use berth::{
    eventlog::v1::{
        ListDeadLettersRequest, ReadRequest, event_log_service_client::EventLogServiceClient,
    },
    member::v1::{JoinRequest, SignInRequest, member_service_client::MemberServiceClient},
    offer::v1::{GetOfferRequest, offer_service_client::OfferServiceClient},
    room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient},
};
use tokio::sync::mpsc;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::berth::{Berth, MOMENT, command, run};

const MEMBER: &str = "018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a";

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Changes the log filter.
fn log_filter(admin: SocketAddr, token: &str, filter: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let length = filter.len();
    let text = format!(
        "PUT /log HTTP/1.1\r\nhost: {admin}\r\ncontent-type: text/plain\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\n\r\n{filter}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn sign_in(email: &str) -> SignInRequest {
    SignInRequest {
        email: email.into(),
        password: "correct horse".into(),
    }
}

#[test]
fn an_invalid_command_line_is_reported_on_one_line() {
    let missing = [
        "--service-key-file",
        "/nowhere",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--ephemeral",
    ];
    let cases: [&[&str]; 8] = [
        &["--bogus"],
        &["--listen", "somewhere"],
        &["--max-in-flight", "0"],
        &["--request-timeout", "soon"],
        &["--ephemeral", "--data-dir", "x"],
        &["--log", "loud"],
        &["--hold-minutes", "-1"],
        &missing,
    ];
    for flags in cases {
        let (code, stderr) = run(flags);
        assert_eq!(code, Some(64), "{flags:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{flags:?}: {stderr}");
    }
    let help = command(&["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("BERTH_LISTEN")
    );
}

#[test]
fn under_the_name_of_a_context_it_is_that_context() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        ("room", "the context `room` as a process of its own"),
        ("reservation", "the context `reservation` as a process"),
        ("anything", "all in one process"),
    ];
    for (name, about) in names {
        let link = dir.path().join(name);
        symlink(command(&[]).get_program(), &link).unwrap();
        let help = Command::new(&link).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(about), "{name}: {help}");
    }
}

#[test]
fn an_occupied_port_is_reported_on_one_line() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let (code, stderr) = run(&[
        "--ephemeral",
        "--listen",
        &address,
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT", "KILL"] {
        let mut berth = Berth::start(dir.path(), &[]);
        let mut members = MemberServiceClient::new(channel(berth.public));
        let join = JoinRequest {
            member_id: MEMBER.into(),
            email: "ada@example.org".into(),
            display_name: "Ada".into(),
            password: "correct horse".into(),
            roles: vec![],
        };
        // At the second start the request is a repetition.
        members.join(join).await.unwrap();
        members.sign_in(sign_in("ada@example.org")).await.unwrap();
        berth.signal(signal);
        let expected = if signal == "KILL" { None } else { Some(0) };
        assert_eq!(berth.ends().code(), expected, "{signal}");
    }
    let mut berth = Berth::start(dir.path(), &[]);
    let mut members = MemberServiceClient::new(channel(berth.public));
    members.sign_in(sign_in("ada@example.org")).await.unwrap();
    let second = command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));
}

#[test]
fn an_ephemeral_platform_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut berth = Berth::start(dir.path(), &["--ephemeral"]);
    assert!(Path::new(&berth.data_dir).join("room.db").exists());
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));
    assert!(!Path::new(&berth.data_dir).exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_second_signal_aborts_a_drain() {
    let dir = tempfile::tempdir().unwrap();
    let mut berth = Berth::start(dir.path(), &["--drain-delay", "1h", "--grace", "1h"]);
    berth.signal("TERM");
    berth.logs(|line| line.contains("draining"));
    while berth.runs() {
        berth.signal("TERM");
    }
    assert_eq!(berth.ends().code(), Some(1));
}

/// The client of the connection is gone: it never says anything again, nor that it closes.
#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut berth = Berth::start(dir.path(), &["--grace", "1h"]);
    let mut idle = Vec::new();
    for port in [berth.public, berth.admin] {
        let mut stream = TcpStream::connect(port).unwrap();
        let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(settings).unwrap();
        // The settings of the other side: it serves the connection.
        stream.read_exact(&mut [0; 9]).unwrap();
        idle.push(stream);
    }
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_changes_the_log_level_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let email = "ada@example.org";
    let admin = ["--admin-email", email, "--admin-password", "correct horse"];
    let berth = Berth::start(dir.path(), &[&["--log", "warn"], &admin[..]].concat());
    let mut members = MemberServiceClient::new(channel(berth.public));
    let tokens = members.sign_in(sign_in(email)).await.unwrap();
    let token = tokens.into_inner().tokens.unwrap().access_token;
    let refused = log_filter(berth.admin, "x", "off");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let mut rooms = RoomServiceClient::new(channel(berth.public));
    rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();
    log_filter(berth.admin, &token, "info,chassis=debug");
    let announced = berth.logs(|line| line.contains("log filter"));
    assert!(
        announced.contains("log filter will be changed"),
        "{announced}"
    );
    assert!(announced.contains("\"who\":"), "{announced}");
    let changed = berth.logs(|line| line.contains("log filter"));
    assert!(changed.contains("log filter changed"), "{changed}");
    rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();
    let line = berth.logs(|line| line.contains("\"request ended\""));
    assert!(line.contains("\"rpc.method\":\"ListRooms\""), "{line}");
    assert!(line.contains("\"level\":\"DEBUG\""), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_port_has_only_the_public_services() {
    let dir = tempfile::tempdir().unwrap();
    let berth = Berth::start(dir.path(), &[]);
    let public = channel(berth.public);

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(public.clone());
    let answers = reflection.server_reflection_info(tokio_stream::once(request));
    let answer = answers.await.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("no list");
    };
    let names: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    let expected = [
        "member.v1.Member",
        "message.v1.Message",
        "payment.v1.Payment",
        "reservation.v1.Reservation",
        "room.v1.Room",
        "view.v1.View",
    ];
    let mut expected = expected.map(|name| format!("berth.{name}Service")).to_vec();
    expected.push("grpc.health.v1.Health".into());
    assert_eq!(names, expected);
    for service in names {
        let mut health = HealthClient::new(public.clone());
        let request = HealthCheckRequest {
            service: service.clone(),
        };
        let known = service != "grpc.health.v1.Health";
        let status = health
            .check(request)
            .await
            .ok()
            .map(|answer| answer.get_ref().status());
        assert_eq!(status, known.then_some(ServingStatus::Serving), "{service}");
    }

    let offer = OfferServiceClient::new(public.clone())
        .get_offer(GetOfferRequest::default())
        .await;
    assert_eq!(offer.unwrap_err().code(), Code::Unimplemented);
    let log = EventLogServiceClient::new(public)
        .read(ReadRequest::default())
        .await;
    assert_eq!(log.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_lists_dead_letters_on_the_admin_port() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        "--admin-email",
        "root@example.org",
        "--admin-password",
        "correct horse",
    ];
    let berth = Berth::start(dir.path(), &flags);
    let mut members = MemberServiceClient::new(channel(berth.public));
    let answer = members.sign_in(sign_in("root@example.org")).await.unwrap();
    let token = answer.into_inner().tokens.unwrap().access_token;
    let mut log = EventLogServiceClient::new(channel(berth.admin));
    let list = ListDeadLettersRequest {
        context: "message".into(),
        ..Default::default()
    };
    let anonymous = log.list_dead_letters(list.clone()).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
    let mut request = Request::new(list);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let page = log.list_dead_letters(request).await.unwrap().into_inner();
    assert!(page.dead_letters.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_continues_the_trace_of_its_caller() {
    // A collector that keeps all requests.
    let (sent, mut received) = mpsc::unbounded_channel();
    let collect = Router::new().fallback(move |body: Bytes| {
        let sent = sent.clone();
        async move {
            sent.send(body).unwrap();
            let headers = [("content-type", "application/grpc"), ("grpc-status", "0")];
            (headers, ()).into_response()
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let serves =
        tokio::task::JoinSet::from_iter([async move { axum::serve(listener, collect).await }]);

    let dir = tempfile::tempdir().unwrap();
    let mut command = command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command
        .current_dir(dir.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    let mut berth = Berth::of(command);
    let mut request = Request::new(ListRoomsRequest::default());
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request
        .metadata_mut()
        .insert("traceparent", context.parse().unwrap());
    RoomServiceClient::new(channel(berth.public))
        .list_rooms(request)
        .await
        .unwrap();
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));

    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    let parent = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
    let has = |body: &Bytes, part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let comes = async {
        loop {
            let body = received.recv().await.unwrap();
            if has(&body, &trace) && has(&body, &parent) && has(&body, b"ListRooms") {
                return;
            }
        }
    };
    tokio::time::timeout(MOMENT, comes).await.unwrap();
    drop(serves);
}
