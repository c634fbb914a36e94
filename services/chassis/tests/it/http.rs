//! What a port does with requests that are not as gRPC wants them. The client is a bare HTTP/2 client.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Method, Request, Response};
use prost::Message;
use tokio::{net::TcpSocket, time::timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::stage::{MOMENT, Stage, ask, why};

pub(crate) const LIST: &str = "/berth.view.v1.ViewService/ListRoomViews";

/// A message as gRPC sends it.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// A connection of a bare HTTP/2 client. It confirms pings and settings, and reads of a response what it is asked to.
pub(crate) struct Client(SendRequest<Bytes>);

impl Client {
    /// Connects from an address of this machine. A response may send so many bytes before they are read.
    pub(crate) async fn connect(from: [u8; 4], to: SocketAddr, window: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let stream = socket.connect(to).await.unwrap();
        let mut builder = Builder::new();
        builder.initial_window_size(window);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    pub(crate) async fn send(&self, request: Request<()>, body: Bytes) -> ResponseFuture {
        let mut send = self.0.clone().ready().await.unwrap();
        let (response, mut stream) = send.send_request(request, false).unwrap();
        stream.send_data(body, true).unwrap();
        response
    }

    /// Lists room views; the page token chooses what happens.
    pub(crate) async fn list(&self, how: &str) -> Response<RecvStream> {
        timeout(MOMENT, self.request(how).await)
            .await
            .unwrap()
            .unwrap()
    }

    /// Requests the same, without waiting for the response.
    pub(crate) async fn request(&self, how: &str) -> ResponseFuture {
        self.send(post(LIST), framed(&ask(how))).await
    }
}

pub(crate) fn post(path: &str) -> Request<()> {
    Request::post(format!("http://x{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// The error in the head of a response, if there is one.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<(Code, String)> {
    let status = Status::from_header_map(headers)?;
    let info = status.get_details_error_info();
    Some((status.code(), info.map_or_else(String::new, |i| i.reason)))
}

#[tokio::test]
async fn only_post_with_a_message_of_grpc_is_served() {
    let stage = Stage::with(|_| {}).await;
    for port in [stage.platform.public(), stage.platform.admin()] {
        let client = Client::connect([127, 0, 0, 1], port, 65_535).await;
        let path = "/grpc.health.v1.Health/Check";
        for (method, content_type, status) in [
            (Method::POST, "application/grpc", 200),
            (Method::POST, "application/grpc+proto", 200),
            (Method::POST, "Application/GRPC; charset=utf-8", 200),
            (Method::POST, "application/grpc+json", 415),
            (Method::POST, "application/grpc-web", 415),
            (Method::POST, "text/plain", 415),
            (Method::POST, "", 415),
            (Method::GET, "application/grpc", 405),
            (Method::PUT, "application/grpc", 405),
            (Method::OPTIONS, "application/grpc", 405),
        ] {
            let mut request = post(path);
            *request.method_mut() = method.clone();
            let value = content_type.parse().unwrap();
            request.headers_mut().insert("content-type", value);
            let response = client.send(request, Bytes::from_static(&[0; 5])).await;
            let response = timeout(MOMENT, response).await.unwrap().unwrap();
            assert_eq!(response.status(), status, "{method} {content_type}");
            let allowed = response.headers().get("allow");
            assert_eq!(
                allowed.is_some_and(|allowed| allowed == "POST"),
                status == 405
            );
        }
    }
}

#[tokio::test]
async fn metadata_that_is_too_large_is_refused_and_costs_no_other_call() {
    let stage = Stage::with(|_| {}).await;
    let mut client = stage.client();
    let mut other = client.clone();
    let other = tokio::spawn(async move { other.list_room_views(ask("slow")).await });
    stage.gate.comes().await;
    for (values, size) in [(1, 20_000), (20, 1000), (1, 65_536), (8, 8192), (600, 1)] {
        let mut request = tonic::Request::new(ask(""));
        for n in 0..values {
            let name = format!("x-{n}").parse::<tonic::metadata::MetadataKey<_>>();
            let value = "x".repeat(size).parse().unwrap();
            request.metadata_mut().insert(name.unwrap(), value);
        }
        let refused = why(client.list_room_views(request).await);
        let expected = (Code::ResourceExhausted, "METADATA_TOO_LARGE".into());
        assert_eq!(refused, expected, "{values} of {size}");
    }
    let mut request = tonic::Request::new(ask(""));
    let large = "x".repeat(15 * 1024).parse().unwrap();
    request.metadata_mut().insert("x-large", large);
    client.list_room_views(request).await.unwrap();
    stage.gate.lets_go();
    other.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_may_arrive_in_pieces_and_with_trailers() {
    let stage = Stage::with(|_| {}).await;
    let client = Client::connect([127, 0, 0, 1], stage.platform.public(), 65_535).await;
    let mut send = client.0.clone().ready().await.unwrap();
    let (response, mut stream) = send.send_request(post(LIST), false).unwrap();
    let mut message = framed(&ask(&"x".repeat(2000)));
    while !message.is_empty() {
        let piece = message.split_to(message.len().min(99));
        stream.send_data(piece, false).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-more", "x".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
    let response = timeout(MOMENT, response).await.unwrap().unwrap();
    assert_eq!(refusal(response.headers()), None);
}
