//! Who may call which rpc?

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use berth::{common::v1::Role, member::v1 as member, payment::v1 as payment, room::v1 as room};
use chassis::{
    Caller, MemberId,
    error::status::{not_found, reason_of},
};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use member::member_service_client::MemberServiceClient;
use prost::Message;
use tonic::{Code, Request, Status, body::Body, service::Routes};
use tonic_types::StatusExt;
use tower::ServiceExt;

use crate::platform::{ADMIN, CUSTOMER, HOST, OTHER, Platform, by, token, with};

pub(crate) fn refusal<T>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.err().unwrap();
    (status.code(), reason_of(&status).unwrap_or_default())
}

pub(crate) fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

fn room_of(host: &str) -> room::RegisterRoomRequest {
    let room = room::Room {
        host_id: host.to_owned(),
        title: "a room with a view".to_owned(),
        ..Default::default()
    };
    room::RegisterRoomRequest { room: Some(room) }
}

/// Sends a request as bytes to a path. Returns the status of the response.
async fn call(routes: Routes, path: &str, body: Body, headers: &[(&str, String)]) -> Status {
    let mut request = http::Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = routes.prepare().oneshot(request.body(body).unwrap()).await;
    let (parts, body) = response.unwrap().into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    Status::from_header_map(&parts.headers)
        .or_else(|| Status::from_header_map(&trailers?))
        .unwrap()
}

/// One message with its header.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

fn whole(body: Vec<u8>) -> Body {
    Body::new(http_body_util::Full::new(body.into()))
}

fn in_pieces(pieces: Vec<Result<Vec<u8>, Status>>) -> Body {
    let frames = pieces
        .into_iter()
        .map(|piece| piece.map(|data| Frame::data(data.into())));
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

fn bearer(of: MemberId, roles: &[Role]) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", token(of, roles)))
}

const REGISTER: &str = "/berth.room.v1.RoomService/RegisterRoom";

#[tokio::test]
async fn a_role_is_required_where_the_contract_declares_one() {
    let platform = Platform::new();
    let payment = payment::GetPaymentRequest::default;
    let nobody = platform.payments().get_payment(payment()).await;
    assert_eq!(
        refusal(nobody),
        is(Code::Unauthenticated, "UNAUTHENTICATED")
    );
    let host = platform
        .payments()
        .get_payment(by(payment(), HOST, &[Role::Host]))
        .await;
    assert_eq!(refusal(host), is(Code::PermissionDenied, "ROLE_REQUIRED"));
    let none = platform
        .payments()
        .get_payment(by(payment(), HOST, &[]))
        .await;
    assert_eq!(refusal(none), is(Code::PermissionDenied, "ROLE_REQUIRED"));
    let ledger = payment::GetLedgerRequest::default;
    let customer = platform
        .payments()
        .get_ledger(by(ledger(), CUSTOMER, &[Role::Customer, Role::Host]))
        .await;
    assert_eq!(
        refusal(customer),
        is(Code::PermissionDenied, "ROLE_REQUIRED")
    );
    assert_eq!(platform.contexts.callers(), []);
    platform
        .payments()
        .get_payment(by(payment(), CUSTOMER, &[Role::Host, Role::Customer]))
        .await
        .unwrap();
    platform
        .payments()
        .get_payment(by(payment(), ADMIN, &[Role::Admin]))
        .await
        .unwrap();
    platform
        .payments()
        .get_ledger(by(ledger(), ADMIN, &[Role::Admin]))
        .await
        .unwrap();
    assert_eq!(platform.contexts.callers().len(), 3);
}

#[tokio::test]
async fn only_services_may_call_an_internal_rpc() {
    let platform = Platform::new();
    let charge = payment::ChargePaymentRequest::default;
    let closed = is(Code::Unauthenticated, "SERVICE_IDENTITY_REQUIRED");
    let nobody = platform.payments().charge_payment(charge()).await;
    assert_eq!(refusal(nobody), closed);
    let admin = platform
        .payments()
        .charge_payment(by(charge(), ADMIN, &[Role::Admin]))
        .await;
    assert_eq!(refusal(admin), closed);
    let mut person = Request::new(charge());
    person
        .extensions_mut()
        .insert(Caller::person(ADMIN, &[Role::Admin]));
    assert_eq!(
        refusal(platform.payments().charge_payment(person).await),
        closed
    );

    let mut service = Request::new(charge());
    service
        .extensions_mut()
        .insert(Caller::service("reservation"));
    platform.payments().charge_payment(service).await.unwrap();
    assert_eq!(
        platform.contexts.last().service.as_deref(),
        Some("reservation")
    );
}

/// A service may call internal rpcs, but an rpc that requires a role only together with a person's token.
///
/// Threat: X4.
#[tokio::test]
async fn a_service_alone_has_no_role() {
    let platform = Platform::new();
    let mut alone = Request::new(payment::GetLedgerRequest::default());
    alone
        .extensions_mut()
        .insert(Caller::service("reservation"));
    let answer = platform.payments().get_ledger(alone).await;
    assert_eq!(
        refusal(answer),
        is(Code::Unauthenticated, "UNAUTHENTICATED")
    );

    let mut with_customer = by(
        payment::GetLedgerRequest::default(),
        CUSTOMER,
        &[Role::Customer],
    );
    with_customer
        .extensions_mut()
        .insert(Caller::service("reservation"));
    let answer = platform.payments().get_ledger(with_customer).await;
    assert_eq!(refusal(answer), is(Code::PermissionDenied, "ROLE_REQUIRED"));

    let mut foreign = by(room_of(&OTHER.to_string()), HOST, &[Role::Host]);
    foreign
        .extensions_mut()
        .insert(Caller::service("reservation"));
    assert_eq!(
        refusal(platform.rooms().register_room(foreign).await),
        is(Code::NotFound, "NOT_FOUND")
    );

    let mut with_admin = by(payment::GetLedgerRequest::default(), ADMIN, &[Role::Admin]);
    with_admin
        .extensions_mut()
        .insert(Caller::service("reservation"));
    platform.payments().get_ledger(with_admin).await.unwrap();
    let caller = platform.contexts.last();
    assert_eq!(
        (caller.member, caller.service.as_deref()),
        (Some(ADMIN), Some("reservation"))
    );
}

#[tokio::test]
async fn the_owner_field_must_name_the_caller() {
    let platform = Platform::new();
    let host = |host: &str| by(room_of(host), HOST, &[Role::Host]);
    platform
        .rooms()
        .register_room(host(&HOST.to_string()))
        .await
        .unwrap();
    platform
        .rooms()
        .register_room(host(&HOST.to_string().to_uppercase()))
        .await
        .unwrap();
    assert_eq!(platform.contexts.callers().len(), 2);
    for foreign in [
        OTHER.to_string().as_str(),
        "nonsense",
        &format!("{{{HOST}}}"),
        &format!("{HOST}\0"),
    ] {
        let status = platform
            .rooms()
            .register_room(host(foreign))
            .await
            .unwrap_err();
        let absent = not_found("host");
        assert_eq!(
            (status.code(), status.message(), status.details()),
            (absent.code(), absent.message(), absent.details()),
            "{foreign:?}"
        );
    }
    let no_room = by(
        room::RegisterRoomRequest { room: None },
        HOST,
        &[Role::Host],
    );
    for empty in [host(""), no_room] {
        let status = platform.rooms().register_room(empty).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let wrong = status.get_details_bad_request().unwrap();
        assert_eq!(wrong.field_violations[0].field, "room.host_id");
    }
    assert_eq!(platform.contexts.callers().len(), 2);
    let admin = by(room_of(&OTHER.to_string()), ADMIN, &[Role::Admin]);
    platform.rooms().register_room(admin).await.unwrap();

    let get = |id: MemberId| member::GetMemberRequest {
        member_id: id.to_string(),
    };
    let mut members = MemberServiceClient::new(platform.routes());
    members
        .get_member(by(get(CUSTOMER), CUSTOMER, &[Role::Customer]))
        .await
        .unwrap();
    let foreign = members
        .get_member(by(get(OTHER), CUSTOMER, &[Role::Customer]))
        .await
        .unwrap_err();
    assert_eq!(foreign.message(), not_found("member").message());
}

/// Of several owners the last counts, as the context decodes it.
#[tokio::test]
async fn of_two_owners_the_one_that_the_context_decodes_is_checked() {
    let platform = Platform::new();
    let (mine, foreign) = (
        room_of(&HOST.to_string()).encode_to_vec(),
        room_of(&OTHER.to_string()).encode_to_vec(),
    );
    let headers = [bearer(HOST, &[Role::Host])];
    let last_is_foreign = frame(0, &[mine.clone(), foreign.clone()].concat());
    let status = call(
        platform.routes(),
        REGISTER,
        whole(last_is_foreign),
        &headers,
    )
    .await;
    assert_eq!(status.code(), Code::NotFound);
    let last_is_mine = frame(0, &[foreign, mine].concat());
    let status = call(platform.routes(), REGISTER, whole(last_is_mine), &headers).await;
    assert_eq!(status.code(), Code::Ok);
    assert_eq!(platform.contexts.callers().len(), 1);
}

#[tokio::test]
async fn a_request_whose_owner_cannot_be_read_is_refused() {
    let platform = Platform::new();
    let room = room_of(&HOST.to_string()).encode_to_vec();
    let foreign = room_of(&OTHER.to_string()).encode_to_vec();
    let malformed = |body| (body, is(Code::InvalidArgument, "MALFORMED_REQUEST"));
    let cases = [
        malformed(vec![]),
        malformed(vec![0, 0, 0]),
        malformed(frame(0, &room)[..room.len()].to_vec()),
        malformed([frame(0, &room), frame(0, &foreign)].concat()),
        malformed([frame(0, &room), vec![0]].concat()),
        malformed(frame(2, &room)),
        malformed(frame(0, &[0x08, 0x01])),
        malformed(frame(0, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        (
            frame(1, &room),
            is(Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
        ),
    ];
    for (body, refused) in cases {
        let headers = [bearer(HOST, &[Role::Host])];
        let status = call(platform.routes(), REGISTER, whole(body.clone()), &headers).await;
        assert_eq!(refusal(Err::<(), _>(status)), refused, "{body:?}");
    }
    assert_eq!(platform.contexts.callers(), []);
}

/// A request is read as a whole, whatever pieces it arrives in.
#[tokio::test]
async fn a_request_may_arrive_in_pieces() {
    let platform = Platform::new();
    let whole = frame(0, &room_of(&HOST.to_string()).encode_to_vec());
    for size in [1, 4, 5, 6, whole.len()] {
        let pieces = whole.chunks(size).map(|piece| Ok(piece.to_vec()));
        let body = in_pieces(pieces.collect());
        let headers = [bearer(HOST, &[Role::Host])];
        let status = call(platform.routes(), REGISTER, body, &headers).await;
        assert_eq!(status.code(), Code::Ok, "{size}");
    }
    assert_eq!(platform.contexts.callers().len(), 5);
    // An error of the port about the rest of a request reaches the caller.
    let too_long = Status::invalid_argument("too long");
    let body = in_pieces(vec![Ok(whole[..7].to_vec()), Err(too_long)]);
    let headers = [bearer(HOST, &[Role::Host])];
    let status = call(platform.routes(), REGISTER, body, &headers).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "too long")
    );
}

#[tokio::test]
async fn data_after_the_message_is_not_read() {
    let platform = Platform::new();
    let message = frame(0, &room_of(&HOST.to_string()).encode_to_vec());
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let more = (0..1000).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        vec![0; 1000]
    });
    let frames = std::iter::once(message).chain(more);
    let frames = frames.map(|data| Ok::<_, Status>(Frame::data(data.into())));
    let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
    let headers = [bearer(HOST, &[Role::Host])];
    let status = call(platform.routes(), REGISTER, body, &headers).await;
    assert_eq!(
        refusal(Err::<(), _>(status)),
        is(Code::InvalidArgument, "MALFORMED_REQUEST")
    );
    assert_eq!(read.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_service_identity_must_be_proved() {
    let platform = Platform::new();
    let charge = payment::ChargePaymentRequest::default;
    for forged in [
        "reservation",
        "service:reservation",
        &token(ADMIN, &[Role::Admin]),
    ] {
        let request = with(charge(), &[("x-berth-service", forged)]);
        let answer = platform.payments().charge_payment(request).await;
        assert_eq!(
            refusal(answer),
            is(Code::Unauthenticated, "SERVICE_IDENTITY_REQUIRED"),
            "{forged}"
        );
    }
    // Where no service identity is required, an unproved one is dropped: the context does not receive it.
    let request = with(
        room::GetRoomRequest::default(),
        &[("x-berth-service", "reservation")],
    );
    platform.rooms().get_room(request).await.unwrap();
    assert_eq!(platform.contexts.last().service, None);
}

#[tokio::test]
async fn the_context_receives_the_caller() {
    let platform = Platform::new();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = by(
        room::GetRoomRequest::default(),
        CUSTOMER,
        &[Role::Customer, Role::Host],
    );
    request
        .metadata_mut()
        .insert("x-request-id", "abc-1".parse().unwrap());
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    request.set_timeout(std::time::Duration::from_secs(3));
    platform.rooms().get_room(request).await.unwrap();
    let caller = platform.contexts.last();
    assert_eq!(
        (caller.request_id.as_str(), caller.traceparent.as_str()),
        ("abc-1", traceparent)
    );
    assert_eq!(caller.roles, [Role::Customer, Role::Host]);
    assert_eq!(
        caller.token,
        Some(token(CUSTOMER, &[Role::Customer, Role::Host]))
    );
    let left = caller.deadline.unwrap() - tokio::time::Instant::now();
    assert!(left.as_secs_f64() > 2.0 && left.as_secs_f64() <= 3.0);
    assert!(!format!("{caller:?}").contains(&caller.token.unwrap()));

    let nonsense = [("x-request-id", "a b"), ("traceparent", "00-zz-zz-00")];
    platform
        .rooms()
        .get_room(with(room::GetRoomRequest::default(), &nonsense))
        .await
        .unwrap();
    let caller = platform.contexts.last();
    assert_eq!(
        (caller.request_id.len(), caller.traceparent.as_str()),
        (36, "")
    );
}

#[tokio::test]
async fn an_unknown_rpc_is_unimplemented() {
    let platform = Platform::new();
    for path in [
        "/grpc.health.v1.Health/Check",
        "/berth.room.v1.RoomService/Nothing",
        "/berth.room.v1.RoomService/RegisterRoom/",
        "//berth.room.v1.RoomService/RegisterRoom",
        "/",
    ] {
        let status = call(platform.routes(), path, whole(frame(0, &[])), &[]).await;
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}
